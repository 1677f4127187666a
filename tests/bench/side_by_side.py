# One file, disk to durable disk, over one emulated link: Longhaul beside what users would pick instead, with BBR and
# with CUBIC, each row in payload bits per second and as a share of what its own packets could carry.
# SPDX-License-Identifier: Apache-2.0
import argparse
import filecmp
import os
import shutil
import statistics
import tempfile

import goodput
import longhaul_side
from lab import BenchLink, Lab, dropped_on_link, install_packages, require_root
from peers import TCP, Job, Outcome, all_peers, chosen
from processes import Failed
from world import find_programs

MIB = 1 << 20
RUNS = 1                    # a run of everything takes minutes; --runs 5 for medians
SHARE_BAR = 0.97
BEST_PEER_BAR = 1.2
CONTENDER = 0.7             # of the best peer's first run: who is slower than that will not be best, and is not run again
LOSSES = {"0": (0, 1), "0.001": (0.001, 1), "0.01": (0.01, 1), "0.01x8": (0.01, 8)}
TOOLS = ("longhaul", "iperf3", "gridftp", "rclone", "xrdcp", "curl", "rsync", "srt", "uftp")


def words(known):
    def parse(text):
        values = [word.strip() for word in text.split(",") if word.strip()]
        wrong = [value for value in values if value not in known]
        if wrong or not values:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong) or 'nothing'}: choose of {', '.join(known)}")
        return values
    return parse


def numbers(text):
    return [float(word) for word in text.split(",") if word.strip()]


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run side-by-side")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the file (default 1024)")
    parser.add_argument("--rtts", type=numbers, default=[50.0], metavar="MS,...", help="default 50; the full grid: 50,150")
    parser.add_argument("--losses", type=words(LOSSES), default=["0", "0.01"], metavar="LOSS,...",
                        help="default 0,0.01; the full grid: 0,0.001,0.01,0.01x8 (x8: in bursts of 8)")
    parser.add_argument("--tools", type=words(TOOLS), default=list(TOOLS), metavar="TOOL,...",
                        help="default: " + ",".join(TOOLS))
    parser.add_argument("--congestion", type=words(TCP), default=list(TCP), metavar="NAME,...",
                        help="of the TCP under the tools that use the kernel's (default bbr,cubic)")
    parser.add_argument("--limit", type=float, default=40, metavar="SECONDS",
                        help="for each transfer (default 40); who does not finish is reported by what it reached")
    parser.add_argument("--queue-ms", type=float, default=20, metavar="MS",
                        help="depth of the bottleneck's queue (default 20)")
    parser.add_argument("--rate", type=int, default=1_000_000_000, metavar="BPS", help="of each direction (default 1e9)")
    parser.add_argument("--share", type=float, default=goodput.DEDICATED_SHARE, metavar="S",
                        help="of the rate, that Longhaul never exceeds (default %(default)s: nobody else sends meanwhile)")
    goodput.add_goal(parser)
    return parser


class Grid:
    """The cells of the table, one after another; owner of the folder in which everything happens."""

    def __init__(self, options, build):
        self.options, self.build = options, build
        self.programs = find_programs(build)
        self.top = tempfile.mkdtemp(prefix="longhaul-bench-", dir="/var/tmp")
        os.chmod(self.top, 0o755)       # servers that refuse to be root must reach what is theirs
        self.source = os.path.join(self.top, "source", "file")
        self.size = options.size * MIB
        self.rows = []
        self.serial = 0

    def prepare(self):
        os.makedirs(os.path.dirname(self.source))
        goodput.make_file(self.source, self.size)
        self.copy_seconds = goodput.local_copy_seconds(self.source, os.path.join(self.top, "copy"))
        print(f"this disk alone copies the file, flushed, in {self.copy_seconds:.2f} s", flush=True)

    def folder(self, writable=False):
        """A fresh folder for one transfer; whoever used it removes it."""
        self.serial += 1
        path = os.path.join(self.top, f"{self.serial:04}")
        os.makedirs(path)
        os.chmod(path, 0o777 if writable else 0o755)
        return path

    def link(self, rtt_ms, loss):
        share, burst = LOSSES[loss]
        return BenchLink(rate_bps=self.options.rate, rtt_ms=rtt_ms, loss=share, burst=burst, seed=self.serial + 1,
                         queue_ms=self.options.queue_ms, share=self.options.share,
                         goal=self.options.goal)

    def longhaul(self, run, rtt_ms, loss):
        link = self.link(rtt_ms, loss)
        work = self.folder()
        try:
            outcome, published, figures = longhaul_side.file_transfer(self.build, work, link, self.source, self.size,
                                                                      self.options.limit)
            self.check(outcome, published)
        except Failed as error:
            outcome, figures = Outcome(0, 0, str(error)), {}
        longhaul_side.clear(work)
        self.add("longhaul", "reserved", run, link, outcome, longhaul_side.PAYLOAD_SHARE, True, figures)

    def peer(self, peer, congestion, run, rtt_ms, loss):
        link = self.link(rtt_ms, loss)
        work, target = self.folder(), self.folder(peer.needs_writable_target)
        job = Job(self.source, os.path.join(target, "file"), self.size, self.options.limit)
        try:
            with Lab(self.programs, link, work) as lab:
                lab.hosts.pin(congestion if congestion != "own" else "bbr")
                outcome = peer.transfer(lab, job)
                figures = dropped_on_link(lab.control.show())
            if peer.disk:
                self.check(outcome, job.target)
        except Failed as error:
            outcome, figures = Outcome(0, 0, str(error)), {}
        for path in (work, target):
            shutil.rmtree(path)
        self.add(peer.name, congestion, run, link, outcome, peer.payload_share, peer.disk, figures)

    def check(self, outcome, target):
        if outcome.bytes == self.size and not filecmp.cmp(self.source, target, shallow=False):
            raise Failed(f"{target} is not what was sent")

    def add(self, tool, congestion, run, link, outcome, payload_share, disk, figures):
        bps = outcome.bytes * 8 / outcome.seconds if outcome.seconds else 0
        achievable = link.rate_bps * payload_share * (1 - link.loss)
        row = {"tool": tool, "congestion_control": congestion, "run": run, "rtt_ms": link.rtt_ms, "loss": link.loss,
               "burst": link.burst, "seconds": round(outcome.seconds, 3), "finished": outcome.bytes == self.size,
               "mib": round(outcome.bytes / MIB, 1), "payload_mbps": round(bps / 1e6, 1),
               "share_of_achievable": round(bps / achievable, 4), "disk_to_disk": disk, "processors_idle": outcome.idle,
               "load_average": round(os.getloadavg()[0], 1), **figures}
        if outcome.note:
            row["note"] = outcome.note
        self.rows.append(row)
        print(f"{link.rtt_ms:5g} ms  loss {link.loss:<6g} x{link.burst:<3g} {tool:9} {congestion:9}"
              f"{outcome.seconds:8.2f} s {bps / 1e6:8.1f} Mbit/s  share {row['share_of_achievable']:.3f}  idle {outcome.idle}"
              f"{'' if outcome.note == '' else '  ' + outcome.note.splitlines()[0]}", flush=True)

    def cell(self, runs, rtt_ms, loss):
        """Every tool once, then those that may be the best again: the others' spread decides nothing and costs hours."""
        peers = [(peer, congestion) for peer in chosen([name for name in self.options.tools if name != "longhaul"])
                 for congestion in wanted(peer, self.options)]
        for run in range(runs):
            first_row = len(self.rows)
            if "longhaul" in self.options.tools:
                self.longhaul(run, rtt_ms, loss)
            for peer, congestion in peers:
                self.peer(peer, congestion, run, rtt_ms, loss)
            if run == 0:
                again = contenders(self.rows[first_row:])
                peers = [(peer, congestion) for peer, congestion in peers if (peer.name, congestion) in again]


def wanted(peer, options):
    """The congestion controls to run a peer with; those that bring their own have no choice."""
    return options.congestion if peer.congestion == TCP else peer.congestion


def contenders(rows):
    """Of the rows of one cell's first run, the peers that may be the best of those that end on a disk."""
    peers = [row for row in rows if row["disk_to_disk"] and row["tool"] != "longhaul"]
    best = max((row["payload_mbps"] for row in peers), default=0)
    return {(row["tool"], row["congestion_control"]) for row in peers if row["payload_mbps"] >= CONTENDER * best}


def median_bps(rows):
    return statistics.median(row["payload_mbps"] for row in rows)


def bars(rows):
    """Two for every cell that has Longhaul in it: its share, and its lead over the best that goes disk to disk."""
    found = []
    cells = dict.fromkeys((row["rtt_ms"], row["loss"], row["burst"]) for row in rows)
    for cell in cells:
        here = [row for row in rows if (row["rtt_ms"], row["loss"], row["burst"]) == cell]
        own = [row for row in here if row["tool"] == "longhaul"]
        if not own:
            continue
        where = f"{cell[0]:g} ms, loss {cell[1]:g}" + (f" in bursts of {cell[2]:g}" if cell[2] > 1 else "")
        share = statistics.median(row["share_of_achievable"] for row in own)
        found.append({"name": f"Longhaul's share of the achievable payload rate at {where}", "value": share,
                      "unit": "ratio", "bar": SHARE_BAR, "pass": share >= SHARE_BAR})
        rivals = {}
        for row in here:
            if row["disk_to_disk"] and row["tool"] != "longhaul" and row["payload_mbps"] > 0:
                rivals.setdefault(f"{row['tool']}/{row['congestion_control']}", []).append(row)
        if rivals:
            best = max(rivals, key=lambda name: median_bps(rivals[name]))
            lead = median_bps(own) / median_bps(rivals[best])
            found.append({"name": f"Longhaul beside the best disk-to-disk peer ({best}) at {where}",
                          "value": round(lead, 4), "unit": "ratio", "bar": BEST_PEER_BAR, "pass": lead >= BEST_PEER_BAR})
    return found


def measure(options, runs, build):
    require_root()
    build = build or goodput.default_build()
    known = all_peers()
    packages = {"ethtool", "iproute2", "util-linux"}
    for name in options.tools:
        packages |= set(known[name].packages if name in known else ())
    install_packages(sorted(packages))
    grid = Grid(options, build)
    transfers = sum(len(wanted(known[name], options)) if name in known else 1 for name in options.tools)
    total = transfers * len(options.rtts) * len(options.losses) * runs
    print(f"{total} transfers of {options.size} MiB, at most {options.limit:g} s each and a few seconds between them: "
          f"at most {total * (options.limit + 6) / 60:.0f} minutes, "
          "less where tools are too slow to be run again", flush=True)
    try:
        grid.prepare()
        for rtt_ms in options.rtts:
            for loss in options.losses:
                grid.cell(runs, rtt_ms, loss)
    finally:
        shutil.rmtree(grid.top, ignore_errors=True)
    return grid.rows, bars(grid.rows)
