# One large file, disk to durable disk, over the emulated link with the real processes: share of what the link can
# carry as payload. Baseline in the same run: copying the same file on the same disk with fsync.
# SPDX-License-Identifier: Apache-2.0
import argparse
import os
import shutil
import statistics
import tempfile
import time

from processes import Failed, wait_for
from world import Link, Options, World, find_programs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB = 1 << 20
GOALS = ("throughput", "balanced", "latency")
DEDICATED_SHARE = 0.999     # of a link that nobody else uses: what is left keeps its queue from standing


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run goodput")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the file (default 1024)")
    parser.add_argument("--rtt", type=float, default=50, metavar="MS", help="round trip time (default 50)")
    parser.add_argument("--loss", type=float, default=0.001, help="share of packets, each direction (default 0.001)")
    parser.add_argument("--burst", type=float, default=1, help="mean packets per loss event (default 1)")
    parser.add_argument("--rate", type=int, default=1_000_000_000, metavar="BPS", help="of each direction (default 1e9)")
    parser.add_argument("--share", type=float, default=DEDICATED_SHARE, metavar="S",
                        help="of the rate, that Longhaul never exceeds (default %(default)s: nobody else sends meanwhile)")
    add_goal(parser)
    return parser


def add_goal(parser):
    parser.add_argument("--goal", choices=GOALS, default="throughput",
                        help="of Longhaul's link (default throughput, the one for files of this size)")


def default_build():
    for name in ("release", "ci-gcc"):
        build = os.path.join(ROOT, "build", name)
        try:
            find_programs(build)
            return build
        except Failed:
            continue
    raise Failed("no programs are built: run deploy/quickstart or tests/run first, or give --build DIR")


def make_file(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())


def local_copy_seconds(source, target):
    """The baseline: what this disk alone needs to read the file, write it and make it durable."""
    began = time.monotonic()
    with open(source, "rb") as read, open(target, "wb") as write:
        shutil.copyfileobj(read, write, 4 * MIB)
        write.flush()
        os.fsync(write.fileno())
    seconds = time.monotonic() - began
    os.unlink(target)
    return seconds


def transfer(options, link, build, work, source):
    """Seconds from the accepted dataset to the file's visible, durable copy; sweep and every round trip included."""
    replicas = os.path.join(work, "replicas")
    os.makedirs(replicas)
    with World(Options(build=build, work=os.path.join(work, "world"), link=link, allowed_roots=(replicas,))) as world:
        world.start()
        began = time.monotonic()
        world.create_dataset("bench", source, os.path.join(replicas, "bench"))
        published = os.path.join(replicas, "bench", "file")
        wait_for(lambda: os.path.exists(published), 600, "the file to be published", every=0.01,
                 alive=world.processes.values())
        seconds = time.monotonic() - began
        if os.path.getsize(published) != options.size * MIB:
            raise Failed(f"{published} has {os.path.getsize(published)} bytes")
        # The figures come every second: those without an open bundle hold the whole transfer.
        measured = wait_for(lambda: drained(world), 30, "figures of the whole transfer", every=0.1)
    shutil.rmtree(work)
    return seconds, measured


def drained(world):
    measured = world.link("east").get("measured") or {}
    return measured if measured.get("tx_bundles_open") == 0 else None


def measure(options, runs, build):
    build = build or default_build()
    link = Link(rate_bps=options.rate, rtt_ms=options.rtt, loss=options.loss, burst=options.burst,
                share=options.share, goal=options.goal)
    ideal_seconds = options.size * MIB * 8 / link.payload_bps()
    rows = []
    top = tempfile.mkdtemp(prefix="longhaul-bench-", dir="/var/tmp")
    try:
        source = os.path.join(top, "source")
        os.makedirs(source)
        make_file(os.path.join(source, "file"), options.size * MIB)
        for run in range(runs):
            copy = local_copy_seconds(os.path.join(source, "file"), os.path.join(top, "copy"))
            seconds, measured = transfer(options, link, build, os.path.join(top, f"run{run}"), source)
            row = {"run": run, "seconds": round(seconds, 3), "goodput_gbps": round(options.size * MIB * 8 / seconds / 1e9, 4),
                   "share_of_payload_limit": round(ideal_seconds / seconds, 4), "local_copy_seconds": round(copy, 3),
                   "tx_packets": measured.get("tx_packets"), "tx_lost_packets": measured.get("tx_lost_packets"),
                   "tx_parity_packets": measured.get("tx_parity_packets"), "tx_repair_packets": measured.get("tx_repair_packets")}
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    shares = sorted(row["share_of_payload_limit"] for row in rows)
    share = statistics.median(shares)
    print(f"median {share:.3f} of the {link.payload_bps() / 1e9:.3f} Gbit/s that the link can carry as payload, "
          f"from {shares[0]:.3f} to {shares[-1]:.3f}; load average {os.getloadavg()[0]:.1f}")
    return rows, [{"name": "share of the link's payload limit, disk to durable disk", "value": share, "unit": "ratio",
                   "bar": 0.85, "pass": share >= 0.85}]
