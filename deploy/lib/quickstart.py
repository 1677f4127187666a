# Replicates a tree between two sites on this machine over an emulated long-distance link, and proves that it arrived.
# SPDX-License-Identifier: Apache-2.0
import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time

import compare_trees
import make_tree
from hugepages import Hugepages
from processes import Failed, parse_milliseconds, parse_rate, parse_share, wait_for
from world import DATAPLANE_MEMORY_MIB, SITES, WAN_MEMORY_MIB, Link, Options, World, listed, settled

DATASET = "quickstart"
RESCAN_S = 5
STALL_S = 120           # nothing new published for so long: say so and fail, instead of waiting for ever


def read_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="quickstart", description="Replicate a directory tree from site east to site west on this machine, over a "
        "lossy, long link, and verify every byte of it.")
    what = parser.add_argument_group("what is replicated")
    what.add_argument("--source", metavar="DIR", help="a tree of yours (read only); default: one is generated")
    what.add_argument("--size", type=int, default=1024, metavar="MIB", help="size of the generated tree (default 1024)")
    what.add_argument("--files", type=int, default=5000, metavar="N", help="its files (default 5000; 1: one large file)")
    what.add_argument("--seed", type=int, default=1, help="seed of the tree and of the link (default 1)")
    link = parser.add_argument_group("the link")
    link.add_argument("--rate", default="1G", help="of each direction (default 1G)")
    link.add_argument("--rtt", default="50ms", help="round trip time (default 50ms)")
    link.add_argument("--loss", default="0.1%", help="share of packets lost in each direction (default 0.1%%)")
    link.add_argument("--burst", type=float, default=1, metavar="N", help="mean packets per loss event (default 1)")
    run = parser.add_argument_group("the run")
    run.add_argument("--keep", action="store_true", help="leave both sites running at the end")
    run.add_argument("--work", metavar="DIR", help="where configuration, state, logs and replica go (default: a new "
                     "folder in /var/tmp, removed at the end unless --keep)")
    run.add_argument("--rest-port", type=int, metavar="N", help="REST at N (east) and N+1 (west), peers at N+2 and N+3")
    run.add_argument("--no-hugepages", action="store_true", help="do not reserve hugepages even when permitted")
    run.add_argument("--build", metavar="DIR", help="use the programs of this build folder; build nothing")
    run.add_argument("--check-arguments", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    try:
        arguments.link = Link(parse_rate(arguments.rate), parse_milliseconds(arguments.rtt),
                              parse_share(arguments.loss), arguments.burst, arguments.seed)
    except ValueError as error:
        parser.error(str(error))
    if arguments.burst < 1:
        parser.error("--burst is the mean length of a loss event in packets: at least 1")
    if arguments.files < 1 or arguments.size < 0:
        parser.error("--files must be at least 1 and --size at least 0")
    if arguments.rest_port is not None and not 1024 <= arguments.rest_port <= 65532:
        parser.error("--rest-port must be from 1024 to 65532")
    if arguments.source and not os.path.isdir(arguments.source):
        parser.error(f"--source {arguments.source} is not a directory")
    return arguments


def size_text(count):
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            return f"{count / factor:.2f} {unit}"
    return f"{count} bytes"


class Progress:
    """One line that is rewritten on a terminal; a line every 5 s elsewhere, so that logs stay readable."""

    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.last = 0.0
        self.open = False

    def show(self, text, force=False):
        now = time.monotonic()
        if not force and now - self.last < (0.2 if self.tty else 5):
            return
        self.last = now
        if self.tty:
            width = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + text[:width], end="", flush=True)
            self.open = True
        else:
            print(text, flush=True)

    def end(self):
        if self.open:
            print(flush=True)
            self.open = False


class Quickstart:
    def __init__(self, arguments):
        self.arguments = arguments
        self.progress = Progress()
        self.own_work = arguments.work is None
        self.work = tempfile.mkdtemp(prefix="longhaul-quickstart-", dir="/var/tmp") if self.own_work \
            else os.path.abspath(arguments.work)
        self.replicas = os.path.join(self.work, "replicas")     # the root beneath which west allows replicas
        self.replica = os.path.join(self.replicas, DATASET)
        self.source = os.path.abspath(arguments.source) if arguments.source else os.path.join(self.work, "source")
        self.world = None
        self.hugepages = None

    # ---- the steps ----------------------------------------------------------------------------------------------

    def run(self):
        os.makedirs(self.work, exist_ok=True)
        for folder in (self.replica, *([] if self.arguments.source else [self.source])):
            if os.path.isdir(folder) and os.listdir(folder):
                raise Failed(f"{folder} is not empty: name another --work or remove it")
            os.makedirs(folder, exist_ok=True)
        self.world = World(Options(build=self.arguments.build, work=self.work, link=self.arguments.link,
                                   allowed_roots=(self.replicas,), first_port=self.arguments.rest_port,
                                   outlive=self.arguments.keep))
        self.make_source()
        self.start_sites()
        seconds, view = self.replicate()
        self.report(self.verify(), seconds, view)

    def make_source(self):
        if self.arguments.source:
            return
        self.say(f"generating {self.arguments.size} MiB in {self.arguments.files} files, seed {self.arguments.seed}")
        make_tree.make_tree(self.source, self.arguments.seed, self.arguments.size << 20, self.arguments.files,
                            progress=lambda made: self.progress.show(f"  {made.files} files, {size_text(made.bytes)}"))
        self.progress.end()
        os.sync()       # the copy that follows measures Longhaul, not the write-back of what was just generated

    def start_sites(self):
        if self.arguments.no_hugepages:
            memory = "ordinary pages (--no-hugepages)"
        else:
            self.hugepages = Hugepages(2 * DATAPLANE_MEMORY_MIB + WAN_MEMORY_MIB,
                                       self.world.run + "-hugepages")
            self.world.options.hugepages, memory = self.hugepages.taken, self.hugepages.text
        link = self.arguments.link
        self.say(f"starting sites east and west on {memory}; link {link.rate_bps / 1e9:g} Gbit/s, "
                 f"{link.rtt_ms:g} ms RTT, {link.loss:.3%} loss in bursts of {link.burst:g}")
        self.world.start()

    def replicate(self):
        """Creates the dataset and waits until a watermark proves all of it. Returns seconds and the last RPO view."""
        self.say(f"replicating {self.source} -> {self.replica}")
        began = time.monotonic()
        self.world.create_dataset(DATASET, self.source, self.replica, rescan_s=RESCAN_S)
        rates = []                           # (time, bytes) of the last seconds
        moved = (began, None)                # when the published figures changed last, and to what
        while True:
            view = self.world.rpo(DATASET)
            now = time.monotonic()
            if settled(view):
                self.show(view, rates, now, began, force=True)
                self.progress.end()
                return now - began, view
            figures = tuple(view.get(key) for key in ("objects_published", "bytes_published", "objects_total"))
            if figures != moved[1]:
                moved = (now, figures)
            self.show(view, rates, now, began)
            self.check_alive()
            if now - moved[0] > STALL_S:
                self.progress.end()
                raise Failed(f"nothing was published for {STALL_S} s.\n{self.failing_objects()}\n{self.world.tails()}")
            time.sleep(0.2)

    def show(self, view, rates, now, began, force=False):
        published = view.get("bytes_published") or 0
        rates.append((now, published))
        while len(rates) > 2 and now - rates[0][0] > 5:
            rates.pop(0)
        seconds = rates[-1][0] - rates[0][0]
        rate = (rates[-1][1] - rates[0][1]) * 8 / seconds / 1e9 if seconds > 0 else 0
        lag, eta = view.get("rpo_lag_s"), view.get("eta_s")
        self.progress.show(
            f"  {now - began:5.1f} s  {size_text(published)} of {size_text(view.get('bytes_total') or 0)}"
            f"  {view.get('objects_published') or 0}/{view.get('objects_total') or 0} objects"
            f"  {rate:.3f} Gbit/s  RPO lag {'seeding' if lag is None else f'{lag:.1f} s'}"
            f"  ETA {'-' if eta is None else f'{eta:.0f} s'}", force)

    def check_alive(self):
        for process in self.world.processes.values():
            if not process.running():
                self.progress.end()
                raise Failed(f"{process.name} ended ({process.ending()})\n{process.tail()}")

    def failing_objects(self):
        try:
            answer = self.world.rest("east", "GET", f"/v1/datasets/{DATASET}/failures")
        except OSError:
            return ""
        return "\n".join(f"  {f.get('path')}: {f.get('reason')}. {f.get('remedy')}"
                         for f in listed(answer.json, "failures")[:10])

    def verify(self):
        self.say("verifying every byte and the metadata at the target")
        result = compare_trees.compare_trees(
            self.source, self.replica,
            progress=lambda r: self.progress.show(f"  {r.files} files, {size_text(r.bytes)}"))
        self.progress.end()
        if not result.equal:
            raise Failed("the replica is not its source:\n" + "\n".join("  " + line for line in result.differences)
                         + f"\n{result.different} differences\n{self.world.tails()}")
        return result

    # ---- saying what was proved -----------------------------------------------------------------------------------

    def report(self, result, seconds, view):
        goodput = result.bytes * 8 / seconds
        share = goodput / self.arguments.link.payload_bps()
        view = self.world.rpo(DATASET) or view
        measured = self.world.link("east").get("measured") or {}
        lag = view.get("rpo_lag_s")
        owners = ", owner" if os.geteuid() == 0 else ""
        print(f"""
Proved: the replica at west is the source at east.
  compared     {result.files} files with {result.bytes} bytes byte by byte, {result.directories} directories, {result.symlinks} symlinks;
               type, mode, mtime to the nanosecond{owners} and symlink text
  took         {seconds:.1f} s from creating the dataset to a proven watermark: {goodput / 1e9:.3f} Gbit/s of goodput,
               {share:.0%} of the {self.arguments.link.payload_bps() / 1e9:.3f} Gbit/s that this link can carry as payload
  RPO lag      {'not proven' if lag is None else f'{lag:.1f} s'} now, rescanning every {RESCAN_S} s
  link         {measured.get('tx_lost_packets', '?')} of {measured.get('tx_packets', '?')} packets lost on the way to west; """
              f"""{measured.get('tx_parity_packets', '?')} sent as parity, {measured.get('tx_repair_packets', '?')} as repair""")
        for site in SITES:
            print(f"  REST {site}    http://127.0.0.1:{self.world.rest_port[site]}  token {self.world.token_file(site)}")
        if self.arguments.keep:
            self.leave_running()
        else:
            print("  (both sites end now; --keep leaves them running)")

    def leave_running(self):
        stop = os.path.join(self.work, "stop")
        with open(stop, "w") as file:
            file.write(self.stop_script())
        os.chmod(stop, 0o755)
        command = self.world.programs["longhaul"]
        print(f"""
Both sites keep running. Change something in {self.source} and watch it arrive in {self.replica}:
  export LONGHAUL_URL=http://127.0.0.1:{self.world.rest_port['east']} LONGHAUL_TOKEN_FILE={self.world.token_file('east')}
  {command} status
  {command} rpo --watch
  curl -s -H "Authorization: Bearer $(cat $LONGHAUL_TOKEN_FILE)" $LONGHAUL_URL/v1/rpo
  tail -f {self.world.path('log')}/*.log
Stop everything with: {stop}""")

    def stop_script(self):
        """Ends exactly the processes we started: a pid that has passed on to another program is left alone."""
        pids = {p.name: (p.pid, p.arguments[0]) for p in self.world.processes.values()}
        lines = ["#!/bin/bash", "# Stops what `quickstart --keep` left running.", "set -u",
                 'runs() { [ "$(readlink "/proc/$1/exe" 2>/dev/null)" = "$2" ]; }', "end() {", '    runs "$@" || return 0',
                 '    kill "$1"', '    for _ in $(seq 100); do runs "$@" || return 0; sleep 0.1; done', '    kill -9 "$1"', "}"]
        for name in sorted(pids, key=lambda n: ("control" not in n, n == "wan")):
            lines.append(f"end {pids[name][0]} {shlex.quote(os.path.realpath(pids[name][1]))}  # {name}")
        if self.hugepages:
            lines += self.hugepages.release_commands()
        lines.append(f"rm -rf {shlex.quote(self.world.run)}")
        lines.append("echo stopped, logs and replica are still in " + shlex.quote(self.work))
        return "\n".join(lines) + "\n"

    def say(self, text):
        print(text, flush=True)

    def clean_up(self, succeeded, failed):
        """Ends and removes everything, except what --keep keeps after success and what explains a failure."""
        self.progress.end()
        if succeeded and self.arguments.keep:
            return
        if self.world:
            self.world.stop()
        if self.hugepages:
            self.hugepages.release()
        if self.own_work and not failed:
            shutil.rmtree(self.work, ignore_errors=True)
        elif failed:
            # Logs are what a failure is for; a gigabyte of copied tree is not.
            for folder in (self.replicas, os.path.join(self.work, "source")) if self.own_work else ():
                shutil.rmtree(folder, ignore_errors=True)
            print(f"logs and configuration are kept in {self.work}", file=sys.stderr)


def main(argv):
    arguments = read_arguments(argv)
    if arguments.check_arguments:
        return 0
    if not arguments.build:
        print("quickstart.py: run deploy/quickstart, which builds first, or name a --build folder", file=sys.stderr)
        return 2

    def interrupted(number, _):
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupted)
    quickstart = Quickstart(arguments)
    succeeded = failed = False
    try:
        quickstart.run()
        succeeded = True
        return 0
    except (Failed, OSError) as error:
        failed = True
        quickstart.progress.end()
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as signal_name:
        quickstart.progress.end()
        print(f"quickstart: interrupted ({signal_name}), ending what was started", file=sys.stderr)
        return 130
    finally:
        # A second Ctrl-C must not leave children behind half way through.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        quickstart.clean_up(succeeded, failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
