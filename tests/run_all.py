# Builds and runs all tests in phases, counts real test cases, says how to repeat each failure and what each phase took.
# SPDX-License-Identifier: Apache-2.0
import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")

# Any finding ends a test with a failure and a stack trace; leaks count as findings.
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1",
}


@dataclass
class Failure:
    name: str
    output: str
    again: str


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list = field(default_factory=list)
    skips: list = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.skips += other.skips

    def fail(self, name, output, again):
        self.failed += 1
        self.failures.append(Failure(name, output, again))

    def skip(self, name, reason):
        self.skipped += 1
        self.skips.append(f"{name}: {reason}")

    def line(self):
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


# Sanitizer builds read each target's sources as one: the headers, and what they instantiate, once for all of them. Their
# findings need lines, not variables. The release build reads the product file by file, which proves that each includes
# what it uses, and only its tests as one.
AS_ONE = ["-Dunity=on", "-Dunity_size=1000", "-Ddebug=false", "-Dcpp_args=-g1"]
RELEASE = ["--buildtype=release", "-Dwerror=true", "-Dtests_as_one=true"]


# ---- running one thing ------------------------------------------------------------------------------------------------

_children, _lock = set(), threading.Lock()


def run(command, timeout, environment=None, live=False, folder=ROOT):
    """(exit code or None for out of time, output). The child has its own process group, which is ended as a whole."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
                             env=dict(os.environ, **(environment or {})), start_new_session=True)
    with _lock:
        _children.add(child)
    lines, late = [], threading.Event()

    def out_of_time():
        late.set()
        end(child)

    timer = threading.Timer(timeout, out_of_time)
    timer.start()
    try:
        for raw in child.stdout:
            text = raw.decode("utf-8", "backslashreplace")
            lines.append(text)
            if live:
                print(text, end="", flush=True)
        code = child.wait()
    finally:
        timer.cancel()
        end(child)
        child.stdout.close()
        with _lock:
            _children.discard(child)
    return (None if late.is_set() else code), "".join(lines)


def end(child):
    """Ends a child's process group by its id: TERM first, so that e2e can end its own children."""
    for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def end_all(*_):
    for child in list(_children):
        end(child)
    os._exit(130)


# ---- the parts of a phase ---------------------------------------------------------------------------------------------

def configure_and_build(phase, compiler, options, targets, jobs, timeout):
    """Returns (build folder, None) or (None, Failure)."""
    folder = os.path.join(BUILD, f"ci-{phase}")
    setup = ["meson", "setup", *options, folder, ROOT]
    if os.path.exists(os.path.join(folder, "build.ninja")):
        setup = ["meson", "configure", folder, *(option for option in options if option.startswith("-D"))]
    elif os.path.isdir(os.path.join(folder, "meson-private")):
        setup.insert(2, "--wipe")
    code, output = run(setup, 300, {"CXX": compiler})
    if code != 0:
        return None, Failure(f"{phase}: configure", tail(output, 60), f"CXX={compiler} {' '.join(setup)}")
    if callable(targets):
        # An older folder learns of new tests first: what is built depends on them.
        run(["ninja", "-C", folder, "build.ninja"], 300)
        targets = targets(folder)
        if not targets:
            return folder, None
    build = ["ninja", "-C", folder, f"-j{jobs}", *targets]
    code, output = run(build, timeout)
    if code != 0:
        reason = f"not within {timeout} s\n" if code is None else ""
        return None, Failure(f"{phase}: build", reason + compiler_errors(output), " ".join(build))
    return folder, None


def tail(text, lines):
    return "\n".join(text.splitlines()[-lines:])


def finding_and_end(output):
    """The first finding of a sanitizer, which may stand far above the end, and the end."""
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if re.search(r"(WARNING|ERROR): \w+Sanitizer|: runtime error: ", line)), None)
    if first is None or first >= len(lines) - 60:
        return tail(output, 60)
    return "\n".join(lines[first:first + 80]) + "\n...\n" + tail(output, 20)


def compiler_errors(output):
    """What failed, without the hundreds of steps that did not."""
    lines = [line for line in output.splitlines() if not re.match(r"\[\d+/\d+\] ", line)]
    return "\n".join(lines[:60])


def introspect(folder, what):
    with open(os.path.join(folder, "meson-info", f"intro-{what}.json")) as file:
        return json.load(file)


def tests_in(folder, suites=None, pattern=None):
    """meson's tests of these suites, or whose name matches the pattern."""
    chosen = []
    for test in introspect(folder, "tests"):
        names = {suite.split(":")[-1] for suite in test["suite"]}
        if suites and not names & set(suites):
            continue
        if pattern and not re.search(pattern, test["name"]):
            continue
        chosen.append(test)
    return sorted(chosen, key=lambda test: (-test["priority"], test["name"]))


def targets_of(tests, folder):
    """ninja's names of what these tests need."""
    needed = set()
    files = {t["id"]: t["filename"] for t in introspect(folder, "targets")}
    for test in tests:
        for identity in test.get("depends", []):
            needed.update(os.path.relpath(name, folder) for name in files.get(identity, []))
        if test["cmd"][0].startswith(folder):
            needed.add(os.path.relpath(test["cmd"][0], folder))
    return sorted(needed)


def run_meson_test(test, phase, build, environment, scale):
    """One meson test: a googletest program counts its cases, anything else counts as it reports, or as one."""
    tally, name = Tally(), f"{phase}: {test['name']}"
    own = dict(environment)
    own.update(test["env"] if isinstance(test["env"], dict) else {})
    with tempfile.TemporaryDirectory(prefix="longhaul-ci-") as folder:
        report = os.path.join(folder, "report.json")
        if test["protocol"] == "gtest":
            own["GTEST_OUTPUT"] = f"json:{report}"
        began = time.monotonic()
        timeout = max(30, (test["timeout"] or 300)) * scale
        code, output = run(test["cmd"], timeout, own, folder=test["workdir"] or build)
        again = " ".join([*(f"{k}={v}" for k, v in environment.items() if k.endswith("_SEEDS")), *test["cmd"]])
        if os.path.exists(report):
            count_gtest(report, tally, name, again, output)
            unsaid = code != 0 and tally.failed == 0
        else:
            counted = closing_count(output)
            if counted:
                tally.add(counted)
            elif code == 0:
                tally.passed += 1
            unsaid = code != 0 and (not counted or counted.failed == 0)
        if code == 77 and test["protocol"] == "exitcode":
            tally = Tally()
            tally.skip(name, tail(output, 1) or "says so by exit code 77")
        elif unsaid:
            reason = f"not within {timeout} s" if code is None else f"ended with {code}"
            tally.fail(name, f"{reason}\n{finding_and_end(output)}", again)
        elif code != 0 and not tally.failures:
            tally.failures.append(Failure(name, tail(output, 60), again))
    print(f"  {'ok  ' if not tally.failed else 'FAIL'}  {test['name']}: {tally.line()} ({time.monotonic() - began:.1f} s)", flush=True)
    return tally


def count_gtest(report, tally, name, again, output):
    try:
        with open(report) as file:
            suites = json.load(file).get("testsuites", [])
    except ValueError:
        return      # written half when the program died: its exit code says so
    for suite in suites:
        for case in suite.get("testsuite", []):
            whole = f"{suite['name']}.{case['name']}"
            if case.get("status") == "NOTRUN":
                tally.skip(f"{name} {whole}", "disabled in the source")
            elif case.get("result") == "SKIPPED":
                reason = re.search(rf"\[ RUN      \] {re.escape(whole)}\n(.*?)\[  SKIPPED \]", output, re.S)
                tally.skip(f"{name} {whole}", (tail(reason[1].strip(), 1) if reason else "") or "no reason given")
            elif case.get("failures"):
                text = "\n".join(failure.get("failure", "") for failure in case["failures"])
                tally.fail(f"{name} {whole}", tail(text, 40), f"{again} --gtest_filter='{whole}'")
            else:
                tally.passed += 1


def closing_count(output):
    """The counts of a script that ends with `N passed, N failed[, N skipped]`."""
    found = re.findall(r"(?m)^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", output)
    if not found:
        return None
    passed, failed, skipped = found[-1]
    return Tally(int(passed), int(failed), int(skipped or 0))


def run_meson_tests(tests, phase, build, environment, jobs, scale=1.0):
    tally = Tally()
    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        # Tests that meson must not run beside others (is_parallel: false) come after the rest, one at a time.
        beside = [test for test in tests if test.get("is_parallel", True)]
        for result in pool.map(lambda test: run_meson_test(test, phase, build, environment, scale), beside):
            tally.add(result)
    for test in tests:
        if not test.get("is_parallel", True):
            tally.add(run_meson_test(test, phase, build, environment, scale))
    return tally


def run_script(name, command, timeout, environment=None):
    """A runner of our own that prints a line per case and closes with a count."""
    code, output = run(command, timeout, environment, live=True)
    tally = closing_count(output) or Tally()
    for line in output.splitlines():
        if line.startswith("  SKIP"):
            tally.skips.append(f"{name}: {line[6:].strip()}")
    for part in re.split(r"(?m)^(?=  (?:FAIL|ok|SKIP|run) )", output):
        if part.startswith("  FAIL"):
            again = re.search(r"again: (.*)", part)
            tally.failures.append(Failure(f"{name}: {part[6:].splitlines()[0].strip()}", tail(part, 60),
                                          again[1] if again else " ".join(command)))
    if code != 0 and tally.failed == 0:
        tally.fail(name, (f"not within {timeout} s" if code is None else f"ended with {code}") + "\n" + tail(output, 60),
                   " ".join(command))
    return tally


# ---- phases -----------------------------------------------------------------------------------------------------------

def phase_lint(options):
    return run_script("lint", [os.path.join(ROOT, "tests", "lint", "run"), *options.patterns], 300)


def built(phase, compiler, setup, targets, options, timeout):
    folder, failure = configure_and_build(phase, compiler, setup, targets, options.jobs, timeout)
    if failure:
        print(f"  FAIL  {failure.name}", flush=True)
        return None, Tally(failed=1, failures=[failure])
    return folder, Tally()


def chosen(tests, options):
    return [t for t in tests if not options.patterns or any(p in t["name"] for p in options.patterns)]


def phase_gcc(options):
    """Everything in a release build with g++, warnings as errors; unit, property and sim tests."""
    folder, tally = built("gcc", "g++", RELEASE, [], options, 2400)
    if folder:
        tests = chosen(tests_in(folder, ("unit", "property", "sim")), options)
        tally.add(run_meson_tests(tests, "gcc", folder, {}, options.jobs))
    return tally


def sanitizer_environment(seeds):
    environment = dict(SANITIZER_ENVIRONMENT)
    environment["SIM_SEEDS"] = os.environ.get("SIM_SEEDS", seeds)
    return environment


def phase_asan(options):
    """clang with AddressSanitizer and UndefinedBehaviorSanitizer; unit, property and sim tests, fewer sim seeds."""
    suites = ("unit", "property", "sim")
    folder, tally = built("asan", "clang++-14", [
        "--buildtype=debugoptimized", "-Doptimization=1", "-Db_sanitize=address,undefined", "-Db_lundef=false",
        "-Dnode_programs=true", *AS_ONE],
        lambda folder: targets_of(tests_in(folder, suites), folder), options, 2400)
    if folder:
        tests = chosen(tests_in(folder, suites), options)
        tally.add(run_meson_tests(tests, "asan", folder, sanitizer_environment("20"), options.jobs, 3))
    return tally


def phase_fuzz(options):
    """clang's libFuzzer over every parser of bytes from outside, a short run each."""
    folder, tally = built("fuzz", "clang++-14", [
        "--buildtype=debugoptimized", "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
        "-Dnode_programs=false", *AS_ONE, "-Dcpp_args=-g1 -fsanitize=fuzzer-no-link"],
        lambda folder: targets_of(tests_in(folder, ("fuzz",)), folder), options, 1200)
    if folder:
        tests = chosen(tests_in(folder, ("fuzz",)), options)
        if not tests and not options.patterns:
            tally.fail("fuzz", "the build has no test in suite `fuzz`", "meson introspect --tests build/ci-fuzz")
        tally.add(run_meson_tests(tests, "fuzz", folder, sanitizer_environment("20"), options.jobs, 3))
    return tally


TSAN_TESTS = r"^unit-(control[-_]core|control[-_]edge|worker)"


def phase_tsan(options):
    """ThreadSanitizer over the parts that have threads: control, its edge, the worker's mailbox."""
    folder, tally = built("tsan", "g++", ["--buildtype=debugoptimized", "-Doptimization=1", "-Db_sanitize=thread", "-Db_lundef=false", *AS_ONE],
                          lambda folder: targets_of(tests_in(folder, pattern=TSAN_TESTS), folder), options, 1500)
    if folder:
        tests = chosen(tests_in(folder, pattern=TSAN_TESTS), options)
        # Random histories have one thread: other builds play more of them.
        environment = {"LONGHAUL_SEEDS": os.environ.get("LONGHAUL_SEEDS", "30"), **sanitizer_environment("5")}
        tally.add(run_meson_tests(tests, "tsan", folder, environment, options.jobs, 3))
    return tally


# clang-tidy reads every header of a file anew, seconds each: the layers that decide are worth it on two cores.
TIDY_FOLDERS = ("dataplane/base", "dataplane/wire", "dataplane/fec", "dataplane/congestion", "dataplane/session")


def phase_tidy(options):
    """clang-tidy over the sans-I/O layers of the dataplane, with the checks of .clang-tidy."""
    folder, failure = configure_and_build("gcc", "g++", RELEASE, ["build.ninja"], options.jobs, 600)
    tally = Tally()
    if failure:
        return Tally(failed=1, failures=[failure])
    files = [os.path.join(place, name) for place in TIDY_FOLDERS for name in sorted(os.listdir(os.path.join(ROOT, place)))
             if name.endswith(".cc")]
    files = [name for name in files if not options.patterns or any(p in name for p in options.patterns)]

    def tidy(name):
        command = ["clang-tidy-14", "-p", folder, "--quiet", name]
        return name, command, subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                             timeout=600)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, command, done in pool.map(tidy, files):
            if done.returncode == 0:
                tally.passed += 1
            else:
                tally.fail(name, done.stdout[-4000:], " ".join(command))
                print(f"  FAIL  {name}", flush=True)
    return tally


def phase_e2e(options):
    """Real processes, real disks, the emulated link; see tests/e2e."""
    folder = os.path.join(BUILD, "ci-gcc")
    if not os.path.exists(os.path.join(folder, "build.ninja")) or "gcc" not in options.ran:
        folder, tally = built("gcc", "g++", RELEASE, [], options, 2400)
        if not folder:
            return tally
    return run_script("e2e", [os.path.join(ROOT, "tests", "e2e", "run"), "--build", folder, *options.patterns], 2400)


def machine():
    """What tests could leave behind on the machine: hugepages, network interfaces and mounts."""
    with open("/proc/sys/vm/nr_hugepages") as pages, open("/proc/mounts") as mounts:
        return {"vm.nr_hugepages": pages.read().strip(), "network interfaces": sorted(os.listdir("/sys/class/net")),
                "mounts": sorted(line.split()[1] for line in mounts)}


PHASES = {"lint": phase_lint, "gcc": phase_gcc, "tidy": phase_tidy, "asan": phase_asan, "fuzz": phase_fuzz, "tsan": phase_tsan, "e2e": phase_e2e}
DESCRIPTIONS = {"lint": "The rules that need no compiler; see tests/lint."}


def list_everything():
    for name, phase in PHASES.items():
        print(f"{name}: {DESCRIPTIONS.get(name) or phase.__doc__}")
        folder = os.path.join(BUILD, f"ci-{name}")
        if name in ("lint", "e2e"):
            output = subprocess.run([os.path.join(ROOT, "tests", name, "run"), "--list"], capture_output=True, text=True).stdout
            names = [line.split(":")[0] for line in output.splitlines()]
        elif os.path.exists(os.path.join(folder, "meson-info", "intro-tests.json")):
            names = [test["name"] for test in tests_in(folder)]
        else:
            names = ["(known once it is built)"]
        print("".join(f"  {name}\n" for name in names), end="")


def read_arguments():
    parser = argparse.ArgumentParser(prog="tests/run", description="Build and run the tests. Phases: " + ", ".join(PHASES))
    parser.add_argument("--only", action="append", metavar="PHASE[:TEXT]", default=[],
                        help="run this phase only, or only its tests whose name contains TEXT; may be repeated")
    parser.add_argument("--quick", action="store_true", help="lint, and the unit, property and sim tests of one build")
    parser.add_argument("--list", action="store_true", help="name phases and tests, run nothing")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="compilers and tests at once")
    arguments = parser.parse_args()
    for only in arguments.only:
        if only.split(":")[0] not in PHASES:
            parser.error(f"--only {only}: phases are {', '.join(PHASES)}")
    return arguments


@dataclass
class PhaseOptions:
    jobs: int
    patterns: list
    ran: set


def main():
    arguments = read_arguments()
    if arguments.list:
        list_everything()
        return 0
    signal.signal(signal.SIGTERM, end_all)
    signal.signal(signal.SIGINT, end_all)
    wanted = {}
    for only in arguments.only or (["lint", "gcc"] if arguments.quick else list(PHASES)):
        name, _, pattern = only.partition(":")
        wanted.setdefault(name, []).extend([pattern] if pattern else [])
    total, times, ran, before = Tally(), [], set(), machine()
    for name in (name for name in PHASES if name in wanted):
        print(f"== {name}: {DESCRIPTIONS.get(name) or PHASES[name].__doc__}", flush=True)
        began = time.monotonic()
        tally = PHASES[name](PhaseOptions(arguments.jobs, wanted[name], ran))
        ran.add(name)
        total.add(tally)
        times.append(f"{name} {time.monotonic() - began:.0f} s")
        print(f"== {name}: {tally.line()} in {time.monotonic() - began:.0f} s\n", flush=True)
    after = machine()
    left = [f"{name}: {before[name]} before, {after[name]} after" for name in before if before[name] != after[name]]
    if left:
        total.fail("the machine is left as it was found", "\n".join(left), "tests/run")
    else:
        total.passed += 1
    for failure in total.failures:
        print(f"FAILED {failure.name}\n" + "\n".join("  | " + line for line in failure.output.splitlines()))
        print(f"  again: {failure.again}\n")
    for skip in total.skips:
        print(f"skipped {skip}")
    print("time: " + ", ".join(times))
    print(total.line(), flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
