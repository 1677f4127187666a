# Many small files, disk to durable disk: Longhaul beside rsync and rclone over the same emulated link. Here round trips
# and flushes for each file cost more than the line's rate.
# SPDX-License-Identifier: Apache-2.0
import argparse
import filecmp
import os
import statistics
import tempfile
import time

import goodput
import images
import longhaul_side
from lab import BenchLink, Lab, end_all, install_packages, require_root, run, wait_until
from peers import TCP, nginx, rsync
from processes import Failed, Process
from side_by_side import words
from world import find_programs

KIB = 1024
RUNS = 1
BAR = 5
FILES_EACH_FOLDER = 1000


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run small")
    parser.add_argument("--files", type=int, default=20_000, help="default 20000")
    parser.add_argument("--size", type=int, default=10, metavar="KIB", help="of a file (default 10)")
    parser.add_argument("--rtt", type=float, default=50, metavar="MS", help="default 50")
    parser.add_argument("--loss", type=float, default=0.001, help="share of packets, each direction (default 0.001)")
    parser.add_argument("--rate", type=int, default=1_000_000_000, metavar="BPS", help="of each direction (default 1e9)")
    parser.add_argument("--tools", type=words(("longhaul", *TOOLS)), default=["longhaul", *TOOLS], metavar="TOOL,...",
                        help="default longhaul," + ",".join(TOOLS))
    parser.add_argument("--consistency", choices=("ordered", "object"), default="ordered",
                        help="of Longhaul's dataset (default ordered)")
    parser.add_argument("--congestion", type=words(TCP), default=list(TCP), metavar="NAME,...", help="default bbr,cubic")
    parser.add_argument("--limit", type=float, default=120, metavar="SECONDS", help="for each transfer (default 120)")
    return parser


def make_files(root, files, size):
    for index in range(files):
        folder = os.path.join(root, f"{index // FILES_EACH_FOLDER:03}")
        if index % FILES_EACH_FOLDER == 0:
            os.makedirs(folder)
        with open(os.path.join(folder, f"{index:06}"), "wb") as file:
            file.write(os.urandom(size))
    run("sync", "-f", root)


def files_in(root, size=None):
    """How many files of that size are there, by name; those still being written are not."""
    return sum(1 for folder, _, names in os.walk(root) for name in names
               if size is None or os.path.getsize(os.path.join(folder, name)) == size)


def check(source, target):
    for folder, _, names in os.walk(source):
        other = os.path.join(target, os.path.relpath(folder, source))
        _, wrong, absent = filecmp.cmpfiles(folder, other, names, shallow=False)
        if wrong or absent:
            raise Failed(f"{target}: {(wrong + absent)[0]} and {len(wrong + absent) - 1} more are not what was sent")


# ---- the tools: each gives (seconds, files that arrived, note) ----------------------------------------------------------


def longhaul(options, build, top, link, source):
    work = tempfile.mkdtemp(prefix="longhaul-", dir=top)
    replica = os.path.join(work, "replicas", "small")
    with longhaul_side.world_of(build, os.path.join(work, "world"), link, os.path.dirname(replica)) as world:
        world.start()
        began = time.monotonic()
        world.create_dataset("small", source, replica, consistency=options.consistency)

        def published():
            # Asked seldom: a look costs the nodes some of the same processors. The next one is after the last file.
            time.sleep(0.05)
            view = world.rpo("small")
            return view.get("objects_behind") == 0 and (view.get("objects_published") or 0) >= options.files
        done = wait_until(published, None, began + options.limit)
        seconds = time.monotonic() - began
        arrived = files_in(replica) if os.path.exists(replica) else 0
    if done:
        check(source, replica)
    return seconds, arrived, "" if done else f"ended by the limit of {options.limit:g} s"


def pulled(options, build, top, link, congestion, source, start):
    """A peer's server at east and its client at west; one flush of the target's file system at the end is counted."""
    work, target = tempfile.mkdtemp(prefix="work-", dir=top), tempfile.mkdtemp(prefix="target-", dir=top)
    with Lab(find_programs(build), link, work) as lab:
        lab.hosts.pin(congestion)
        (server, port, kind), client = start(lab, target)
        try:
            server.start()
            lab.wait_listening(server, port, kind)
            began = time.monotonic()
            client.start()
            done = wait_until(lambda: client.child.poll() == 0, client, began + options.limit)
            if done:
                run("sync", "-f", target)
            seconds = time.monotonic() - began
        finally:
            end_all([server, client])
    if done:
        check(source, target)
    return seconds, files_in(target, options.size * KIB), "" if done else f"ended by the limit of {options.limit:g} s"


def copied(top, source):
    """No link at all: what this disk takes for the same files and one flush. Nobody who ends on it can be faster."""
    target = os.path.join(tempfile.mkdtemp(prefix="copy-", dir=top), "copy")
    copy = Process("cp", ["sh", "-c", 'cp -r "$0" "$1" && sync -f "$1"', source, target], os.path.join(top, "cp.log"))
    began = time.monotonic()
    copy.start()
    if copy.child.wait():
        raise Failed(f"cp: {copy.tail()}")
    return time.monotonic() - began, files_in(target), ""


def start_rsync(source):
    return lambda lab, target: (rsync.daemon(lab, source), lab.process("west", "rsync", "-rtW", rsync.URL, target + "/"))


def start_rclone(source):
    """Plain HTTP from nginx, 64 files at once and no request for a file's size: the fastest of four ways tried."""
    def start(lab, target):
        client = lab.process("west", "rclone", "copy", "--config", "/dev/null", "--http-url", nginx.URL, "--http-no-head",
                             "--transfers", 64, "--checkers", 64, "--retries", 1, ":http:", target)
        return nginx.server(lab, source), client
    return start


TOOLS = {"rsync": (start_rsync, ("rsync",)), "rclone": (start_rclone, ("rclone", "nginx-light"))}


def attempt(options, build, top, link, source, tool, congestion, number):
    try:
        if tool == "copy":
            seconds, arrived, note = copied(top, source)
        elif tool == "longhaul":
            seconds, arrived, note = longhaul(options, build, top, link, source)
        else:
            seconds, arrived, note = pulled(options, build, top, link, congestion, source,
                                            TOOLS[tool][0](source))
    except Failed as error:
        seconds, arrived, note = 0, 0, str(error)
    row = {"tool": tool, "congestion_control": congestion, "run": number, "rtt_ms": link.rtt_ms, "loss": link.loss,
           "files": arrived, "finished": not note, "seconds": round(seconds, 3),
           "files_per_s": round(arrived / seconds, 1) if seconds else 0, "load_average": round(os.getloadavg()[0], 1)}
    # The line alone, were it full from the first moment to the last.
    row["line_seconds"] = round(options.files * options.size * KIB * 8 / link.payload_bps(), 3)
    if note:
        row["note"] = note
    print("  ".join(f"{key} {str(value).splitlines()[0]}" for key, value in row.items()), flush=True)
    return row


def bars(rows):
    rates = {}
    for row in rows:
        rates.setdefault((row["tool"], row["congestion_control"]), []).append(row["files_per_s"])
    rates.pop(("copy", "none"), None)
    own = statistics.median(rates.pop(("longhaul", "reserved"), [0]))
    rivals = {name: statistics.median(values) for name, values in rates.items() if statistics.median(values) > 0}
    if not own or not rivals:
        return []
    best = max(rivals, key=rivals.get)
    return [{"name": f"files a second, as a multiple of the best peer's ({best[0]} over {best[1]})",
             "value": round(own / rivals[best], 3), "unit": "ratio", "bar": BAR, "pass": own >= BAR * rivals[best]}]


def measure(options, runs, build):
    require_root()
    build = build or goodput.default_build()
    packages = {"e2fsprogs", "ethtool", "iproute2", "mount", "util-linux"}
    install_packages(sorted(packages.union(*(TOOLS[tool][1] for tool in options.tools if tool in TOOLS))))
    pairs = [("copy", "none")] + [(tool, congestion) for tool in options.tools
             for congestion in (options.congestion if tool in TOOLS else ["reserved"])]
    print(f"at most {len(pairs) * runs * (options.limit + 15) / 60:.0f} minutes", flush=True)
    rows = []
    # Two sites share no file system. What a run wrote stays until the end.
    inode_bytes, block_bytes = 512, 4096
    each = -(-options.size * KIB // block_bytes) * block_bytes + inode_bytes + 256
    room = lambda copies: (copies * options.files * each * 5 // 4 + 2 * images.GIB, copies * (options.files + 20_000))
    with images.file_systems({"east": room(1), "west": room(len(pairs) * runs)}) as (east, west):
        source = os.path.join(east, "source")
        make_files(source, options.files, options.size * KIB)
        for number in range(runs):
            for tool, congestion in pairs:
                link = BenchLink(rate_bps=options.rate, rtt_ms=options.rtt, loss=options.loss, seed=number + 1)
                rows.append(attempt(options, build, west, link, source, tool, congestion, number))
    return rows, bars(rows)
