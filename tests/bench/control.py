# The control process: a turn of the scheduler, and a million changes captured, bundled and settled.
# SPDX-License-Identifier: Apache-2.0
import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile

from core import ROOT, built
from processes import Failed, go_ahead_of_others

RUNS = 3
CONSISTENCIES = ("ordered", "object")
TURN_MS, CHANGES_PER_SECOND, MEMORY_MIB = 100, 50_000, 512
MIB = 1 << 20


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run control")
    parser.add_argument("--datasets", type=int, default=10_000, help="of the scheduler's turn (default 10000)")
    parser.add_argument("--links", type=int, default=8, help="of the scheduler's turn (default 8)")
    parser.add_argument("--changes", type=int, default=1_000_000, help="files that appear at the source (default 1000000)")
    parser.add_argument("--file-bytes", type=int, default=4096, help="in each of them (default 4096; with 0 ten million take 11 GB of memory)")
    parser.add_argument("--limit", type=int, default=1200, metavar="SECONDS", help="for each run (default 1200)")
    return parser


@contextlib.contextmanager
def source_in_memory():
    """So that the walk is not a disk's. A file system of its own: the usual one bounds the number of files."""
    source = tempfile.mkdtemp(prefix="longhaul-bench-", dir="/var/tmp")
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=0,size=90%", "tmpfs", source], check=True)
        try:
            yield source
        finally:
            subprocess.run(["umount", source], check=True)
    finally:
        os.rmdir(source)


def once(path, options, consistency):
    state = tempfile.mkdtemp(prefix="longhaul-bench-", dir="/var/tmp")  # where a state directory is
    with source_in_memory() as source:
        return once_in(path, options, consistency, source, state)


def once_in(path, options, consistency, source, state):
    try:
        command = [path, "--datasets", options.datasets, "--links", options.links, "--turns", "50", "--changes",
                   options.changes, "--file-bytes", options.file_bytes, "--consistency", consistency, "--source", source, "--state", state]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=options.limit,
                              start_new_session=True, preexec_fn=go_ahead_of_others)
        if done.returncode:
            raise Failed(f"{' '.join(map(str, command))}: {done.stderr[-1000:]}")
        return json.loads(done.stdout)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def row_of(run):
    turns, changes = sorted(run["schedule"]["turn_ms"]), run["changes"]
    return {"consistency": changes["consistency"], "datasets": run["schedule"]["datasets"], "links": run["schedule"]["links"],
            "turn_ms": round(statistics.median(turns), 2), "turn_ms_worst": round(turns[-1], 2),
            "changes": changes["changes"], "seconds": round(changes["seconds"], 2),
            "cpu_seconds": round(changes["cpu_seconds"], 2), "changes_per_second": round(changes["changes_per_second"]),
            "walk_seconds": round(changes["walk_seconds"], 2), "bundles": changes["bundles"], "sweeps": changes["sweeps"],
            "memory_peak_mib": round(changes["memory_peak_bytes"] / MIB), "state_mib": round(changes["state_bytes"] / MIB)}


def measure(options, runs, build):
    path = built(build, "tests/bench/control/bench-control")
    rows = []
    for run in range(runs * len(CONSISTENCIES)):
        row = row_of(once(path, options, CONSISTENCIES[run % len(CONSISTENCIES)]))
        rows.append(row)
        print(f"{row['consistency']}: turn of {row['datasets']} datasets x {row['links']} links: {row['turn_ms']} ms (worst {row['turn_ms_worst']}); "
              f"{row['changes']} changes in {row['seconds']} s ({row['cpu_seconds']} s of cores; the walk alone "
              f"{row['walk_seconds']} s): {row['changes_per_second']}/s, {row['memory_peak_mib']} MiB, {row['sweeps']} sweeps; load average "
              f"{os.getloadavg()[0]:.1f}", flush=True)
    return rows, bars_of(rows)


def bars_of(rows):
    def bar(name, key, unit, limit, at_least, of=CONSISTENCIES):
        values = sorted(row[key] for row in rows if row["consistency"] in of)
        value = statistics.median(values)
        return {"name": f"{name} ({values[0]}..{values[-1]})", "value": value, "unit": unit, "bar": limit,
                "pass": value >= limit if at_least else value <= limit}
    bars = [bar("turn of the scheduler", "turn_ms", "ms", TURN_MS, False)]
    for which in CONSISTENCIES:
        bars += [bar(f"{which}: changes captured, bundled and settled", "changes_per_second", "/s", CHANGES_PER_SECOND, True, (which,)),
                 bar(f"{which}: memory at its peak", "memory_peak_mib", "MiB", MEMORY_MIB, False, (which,))]
    return bars
