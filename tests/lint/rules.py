# The rulebook as tests: each function is one rule, returns what breaks it, and says in its first line what it keeps true.
# SPDX-License-Identifier: Apache-2.0
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib

import sources

LINES_MAX = 600
RATCHET = "tests/lint/size_ratchet.txt"


class Skip(Exception):
    """This rule cannot be checked here; the text says why."""


# ---- who may include whom ---------------------------------------------------------------------------------------------

LAYERS = ["base", "wire", "fec", "congestion", "session", "worker", "node"]
# Beside the order: command stands next to worker, on wire; main.cc stands above everything. node joins both.
EXTRA = {"command": {"base", "wire", "command"}}
PURE = ["base", "wire", "fec", "congestion", "session"]
# What would bring a clock, a system call, a thread, a log or a packet library into the sans-I/O layers. <arpa/inet.h>
# is let in: inet_pton and inet_ntop are arithmetic on text.
IMPURE = re.compile(r"^(rte_.*|liburing.*|chrono|ctime|time\.h|fcntl\.h|unistd\.h|sys/.*|linux/.*|netinet/.*|poll\.h"
                    r"|thread|mutex|condition_variable|future|iostream|fstream|filesystem|spdlog/.*|fmt/.*|random)$")


def layer_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "dataplane" else None


def dataplane_layers_use_only_those_below():
    """base <- wire <- fec <- congestion <- session <- worker <- node; command beside worker."""
    bad = []
    for path in sources.cpp_files("dataplane"):
        layer = layer_of(path)
        if layer is None:
            continue
        if layer not in LAYERS and layer not in EXTRA:
            bad.append(f"{path}: '{layer}' is no known layer: add it to tests/lint/rules.py in its place")
            continue
        allowed = EXTRA.get(layer) or set(LAYERS[:LAYERS.index(layer) + 1])
        if layer in ("worker", "node"):
            allowed = allowed | {"command"}
        for line, name, quoted in sources.includes(path):
            used = layer_of(name) if quoted else None
            if used and used not in allowed:
                bad.append(f"{path}:{line}: {layer} may not use {used}")
    return bad


def layers_below_worker_are_sans_io():
    """No clock, system call, thread, log, DPDK or io_uring left of worker, nor in the link model."""
    bad = []
    for path in sources.cpp_files(*(f"dataplane/{layer}" for layer in PURE)) + [
            path for path in sources.cpp_files("drivers/wan") if "/link_" in path]:
        bad += [f"{path}:{line}: <{name}> does not belong below worker" for line, name, quoted in sources.includes(path)
                if not quoted and IMPURE.match(name)]
        bad += [f"{path}:{line}: {text.strip()} is a clock" for line, text in
                sources.lines_matching(sources.code(path), r"\b(steady_clock|system_clock|clock_gettime|gettimeofday|rte_rdtsc)\b")]
    return bad


def layers_below_worker_do_not_use_drivers():
    """Time, network, disk and keys are arguments there."""
    return [f"{path}:{line}: {name}" for path in sources.cpp_files(*(f"dataplane/{layer}" for layer in [*PURE, "command"]))
            for line, name, quoted in sources.includes(path) if quoted and name.startswith(("drivers/", "control/"))]


def drivers_do_not_know_who_uses_them():
    """No driver includes a session, a worker, a congestion controller, a command or the control process."""
    forbidden = tuple(f"dataplane/{layer}/" for layer in ("congestion", "session", "worker", "command")) + ("control/",)
    return [f"{path}:{line}: a driver may not use {name}" for path in sources.cpp_files("drivers")
            for line, name, quoted in sources.includes(path) if quoted and name.startswith(forbidden)]


def control_moves_no_payload():
    """Control includes no driver except secrets, no DPDK, no io_uring, and nothing of the packet path."""
    forbidden = tuple(f"dataplane/{layer}/" for layer in ("congestion", "session", "worker"))
    bad = []
    for path in sources.cpp_files("control"):
        for line, name, quoted in sources.includes(path):
            if quoted and ((name.startswith("drivers/") and name != "drivers/crypto/secret.h") or name.startswith(forbidden)):
                bad.append(f"{path}:{line}: control may not use {name}")
            if not quoted and re.match(r"rte_|liburing", name):
                bad.append(f"{path}:{line}: control may not use <{name}>")
    return bad


def includes_are_written_from_the_root():
    """One include root: every quoted include names its room and exists."""
    return [f'{path}:{line}: "{name}" does not exist below the repository root' for path in sources.cpp_files()
            for line, name, quoted in sources.includes(path)
            if quoted and not os.path.isfile(os.path.join(sources.ROOT, name))]


def product_does_not_include_tests():
    """Nothing shipped depends on a test."""
    return [f"{path}:{line}: {name}" for path in sources.cpp_files("dataplane", "drivers", "control")
            for line, name, _ in sources.includes(path) if name.startswith("tests/") or re.match(r"g(test|mock)/", name)]


# ---- how a file looks -------------------------------------------------------------------------------------------------

def files_begin_with_their_idea():
    """The first line says the one idea of the file, and the licence follows."""
    bad = []
    for path in sources.files():
        kind = sources.script_kind(path)
        if not path.endswith(sources.CPP) and kind is None:
            continue
        lines = sources.read(path).splitlines() or [""]
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        mark = "//" if path.endswith(sources.CPP) else "#"
        if not first.startswith(mark) or len(first.lstrip("/# ")) < 12:
            bad.append(f"{path}:1: say the one idea of this file in the first line ({mark} ...)")
        header = list(itertools.takewhile(lambda line: line.startswith(mark), lines))
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in header):
            bad.append(f"{path}:1: no SPDX-License-Identifier: Apache-2.0 in its header")
    return bad


def headers_are_included_once():
    """Every header has #pragma once."""
    return [f"{path}: no #pragma once" for path in sources.cpp_files() if path.endswith(".h")
            and "#pragma once" not in sources.read(path)]


def files_hold_one_idea():
    """No file above 600 lines; those in size_ratchet.txt may only shrink."""
    ratchet = {}
    for line in sources.read(RATCHET).splitlines():
        if line.strip() and not line.startswith("#"):
            path, most = line.rsplit(None, 1)
            ratchet[path] = int(most)
    bad = []
    for path in sources.files():
        if not path.endswith(sources.CPP) and sources.script_kind(path) is None:
            continue
        count = len(sources.read(path).splitlines())
        most = ratchet.pop(path, LINES_MAX)
        if count > most:
            bad.append(f"{path}: {count} lines, at most {most}: split it by idea")
        elif most > LINES_MAX and count <= LINES_MAX:
            bad.append(f"{RATCHET}: {path} fits now; take its line out")
        elif most > LINES_MAX and count < most - 20:
            bad.append(f"{RATCHET}: {path} has shrunk to {count} lines; write that instead of {most}")
    return bad + [f"{RATCHET}: {path} does not exist" for path in ratchet]


def text_files_are_clean():
    """UTF-8, no tabs in C++ and Python, no spaces at line ends, one newline at the end."""
    bad = []
    for path in sources.files():
        if not path.endswith((*sources.CPP, ".md", ".toml", ".build")) and sources.script_kind(path) is None:
            continue
        with open(os.path.join(sources.ROOT, path), "rb") as file:
            content = file.read()
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            bad.append(f"{path}: not UTF-8 at byte {error.start}")
            continue
        if text and not text.endswith("\n"):
            bad.append(f"{path}: no newline at the end")
        bad += [f"{path}:{number}: spaces at the end of the line" for number, line in enumerate(text.split("\n"), 1)
                if line != line.rstrip()]
        if path.endswith((*sources.CPP, ".py")) and "\t" in text:
            bad.append(f"{path}: tabs")
    return bad


def sources_are_formatted():
    """clang-format-14 would change nothing."""
    if not shutil.which("clang-format-14"):
        raise Skip("clang-format-14 is not installed")
    done = subprocess.run(["clang-format-14", "--dry-run", "-Werror", "--ferror-limit=1", "--style=file",
                           *sources.cpp_files()], cwd=sources.ROOT, capture_output=True)
    wrong = sorted({line.split(b": error:")[0].decode() for line in done.stderr.splitlines() if b": error:" in line})
    return [f"{place}: clang-format-14 -i would change it" for place in wrong]


def nothing_is_left_to_do():
    """No TO-DO marks: what is missing is an issue, or is said in the README."""
    marks = r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b"
    return [f"{path}:{line}: {text}" for path in sources.files()
            if path.endswith((*sources.CPP, ".md", ".build")) or sources.script_kind(path)
            for line, text in sources.lines_matching(sources.read(path), marks)]


# ---- what is not called -----------------------------------------------------------------------------------------------

def product_code_avoids_unsafe_calls():
    """No unbounded copies, no shell, no process-wide random numbers."""
    calls = r"(?<![\w.>])(?:std::|::)?(strcpy|strcat|sprintf|vsprintf|gets|system|popen|rand|srand|strtok|atoi|alloca)\s*\("
    return [f"{path}:{line}: {text}...)" for path in sources.cpp_files("dataplane", "drivers", "control")
            for line, text in sources.lines_matching(sources.code(path), calls)]


def tests_do_not_sleep():
    """A pause is allowed only inside a wait with a deadline: that word stands within the 12 lines above it."""
    calls = r"(?<![\w])((?:u|nano)?sleep|sleep_for|sleep_until)\s*\("
    bad = []
    for path in sources.files():
        python = sources.script_kind(path) == "python"
        if not ((path.startswith("tests/") and path.endswith(sources.CPP)) or
                (python and path.startswith(("tests/e2e/", "deploy/lib/processes.py")))):
            continue
        text = re.sub(r"#.*", "", sources.read(path)) if python else sources.code(path)
        lines = text.splitlines()
        for line, call in sources.lines_matching(text, calls):
            if not any("deadline" in above for above in lines[max(0, line - 13):line]):
                bad.append(f"{path}:{line}: {call}...) outside a wait with a deadline")
    return bad


def product_code_does_not_know_tests():
    """No `if (testing)`, no private made public."""
    bad = [f"{path}:{line}: {text}" for path in sources.cpp_files("dataplane", "drivers", "control")
           for line, text in sources.lines_matching(sources.code(path), r"\bif\s*\(\s*!?\s*testing\b|\bUNIT_TEST\b")]
    return bad + [f"{path}:{line}: {text}" for path in sources.cpp_files()
                  for line, text in sources.lines_matching(sources.code(path), r"#\s*define\s+(private|protected)\b")]


# ---- scripts, configuration, documents ----------------------------------------------------------------------------------

def scripts_are_valid():
    """Shell scripts pass bash -n, Python compiles, and what has a #! is executable."""
    bad = []
    for path in sources.files():
        kind = sources.script_kind(path)
        if kind is None:
            continue
        whole = os.path.join(sources.ROOT, path)
        if sources.read(path).startswith("#!") and not os.access(whole, os.X_OK):
            bad.append(f"{path}: has a #! and is not executable")
        if kind == "shell":
            done = subprocess.run(["bash", "-n", whole], capture_output=True)
            if done.returncode != 0:
                bad.append(done.stderr.decode().strip())
        else:
            try:
                compile(sources.read(path), path, "exec")
            except SyntaxError as error:
                bad.append(f"{path}:{error.lineno}: {error.msg}")
    return bad


def configuration_examples_parse():
    """Every TOML and JSON file in the tree can be read."""
    bad = []
    for path in sources.files():
        try:
            if path.endswith(".toml"):
                tomllib.loads(sources.read(path))
            elif path.endswith(".json"):
                json.loads(sources.read(path))
        except ValueError as error:
            bad.append(f"{path}: {error}")
    return bad


def packages_are_listed_once():
    """deploy/packages.txt names each package once, one a line, below its section."""
    seen, bad, section = set(), [], None
    for number, line in enumerate(sources.read("deploy/packages.txt").splitlines(), 1):
        heading = re.fullmatch(r"# ([a-z]+)", line)
        section = heading[1] if heading else section
        if not line.strip() or line.startswith("#"):
            continue
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line):
            bad.append(f"deploy/packages.txt:{number}: '{line}' is not a package name alone on its line")
        if line in seen:
            bad.append(f"deploy/packages.txt:{number}: {line} is listed twice")
        if section is None:
            bad.append(f"deploy/packages.txt:{number}: {line} stands in no section")
        seen.add(line)
    return bad


def units_are_valid():
    """systemd accepts the unit files without a complaint."""
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    units = [path for path in sources.files() if path.startswith("deploy/systemd/")]
    with tempfile.TemporaryDirectory() as folder:
        for path in units:      # the programs need not be installed here
            with open(os.path.join(folder, os.path.basename(path)), "w") as file:
                file.write(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", sources.read(path)))
        done = subprocess.run(["systemd-analyze", "verify", *(os.path.join(folder, os.path.basename(p)) for p in units)],
                              capture_output=True)
        # Other units of this machine may be complained about too: only ours count.
        bad = [line.replace(folder + "/", "deploy/systemd/") for line in done.stderr.decode().splitlines() if folder in line]
    return bad if units else ["deploy/systemd holds no units"]


def documents_name_what_exists():
    """Commands and links in the documents lead somewhere, and what is to be run can be run."""
    bad = []
    for path in (path for path in sources.files() if path.endswith(".md")):
        text = sources.read(path)
        folder = os.path.dirname(path)
        for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.S):
            for command in re.findall(r"(?:^|[\s$])\./((?:deploy|tests|\.ci)/[\w./-]+)", block):
                if not os.access(os.path.join(sources.ROOT, command), os.X_OK):
                    bad.append(f"{path}: ./{command} is not an executable file")
        for block in re.findall(r"```toml\n(.*?)```", text, re.S):
            try:
                tomllib.loads(block)
            except ValueError as error:
                bad.append(f"{path}: a TOML example does not parse: {error}")
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not re.match(r"[a-z]+:", target) and not os.path.exists(os.path.join(sources.ROOT, folder, target)):
                bad.append(f"{path}: link to {target}, which does not exist")
        for name in re.findall(r"`((?:deploy|tests|dataplane|drivers|control)/[\w./-]+)`", text):
            if not os.path.exists(os.path.join(sources.ROOT, name)) and "*" not in name:
                bad.append(f"{path}: names {name}, which does not exist")
    for needed in ("README.md", "CONTRIBUTING.md", "dataplane/wire/README.md"):
        if not os.path.isfile(os.path.join(sources.ROOT, needed)):
            bad.append(f"{needed} is missing")
    return bad


RULES = [dataplane_layers_use_only_those_below, layers_below_worker_are_sans_io, layers_below_worker_do_not_use_drivers,
         drivers_do_not_know_who_uses_them, control_moves_no_payload, includes_are_written_from_the_root,
         product_does_not_include_tests, files_begin_with_their_idea, headers_are_included_once, files_hold_one_idea,
         text_files_are_clean, sources_are_formatted, nothing_is_left_to_do, product_code_avoids_unsafe_calls,
         tests_do_not_sleep, product_code_does_not_know_tests, scripts_are_valid, configuration_examples_parse,
         packages_are_listed_once, units_are_valid, documents_name_what_exists]
