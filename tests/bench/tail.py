# Objects of 8 MiB, one after another over 100 ms: how long each takes until it is durable and known to be, at the
# median and at the worst, beside HTTP over BBR. Averages hide what a retransmission costs; this is where it shows.
# SPDX-License-Identifier: Apache-2.0
import argparse
import datetime
import itertools
import math
import os
import shutil
import statistics
import tempfile
import time

import goodput
import longhaul_side
from lab import BenchLink, Lab, dropped_on_link, end_all, flush, install_packages, require_root
from peers import nginx
from processes import Failed, wait_for
from side_by_side import words
from world import find_programs, listed, settled

MIB = 1 << 20
RUNS = 1
CLEAN_BAR = 1.15
PEER_BAR = 0.5
POLICED_SHARE = 0.8
CONDITIONS = {"clean": (0, False), "0.001": (0.001, False), "0.01": (0.01, False), "police": (0, True)}
BUNDLES_EVERY_S = 0.01


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run tail")
    parser.add_argument("--objects", type=int, default=200, help="in a row, for each condition and tool (default 200)")
    parser.add_argument("--size", type=int, default=8, metavar="MIB", help="of an object (default 8)")
    parser.add_argument("--rtt", type=float, default=100, metavar="MS", help="default 100")
    parser.add_argument("--rate", type=int, default=1_000_000_000, metavar="BPS", help="of each direction (default 1e9)")
    parser.add_argument("--share", type=float, default=goodput.DEDICATED_SHARE, metavar="S",
                        help="of the rate, that Longhaul never exceeds (default %(default)s: nobody else sends meanwhile)")
    parser.add_argument("--queue-ms", type=float, default=20, metavar="MS",
                        help="depth of the bottleneck's queue (default 20)")
    parser.add_argument("--police-ms", type=float, default=5, metavar="MS",
                        help="of the line's rate: what the policer lets pass at once (default 5)")
    parser.add_argument("--conditions", type=words(CONDITIONS), default=list(CONDITIONS), metavar="NAME,...",
                        help="default clean,0.001,0.01,police (a policer at 80 %% of the line); clean is always measured")
    parser.add_argument("--goals", type=words(goodput.GOALS), default=["latency"], metavar="NAME,...",
                        help="of Longhaul's link: throughput, balanced (its default), latency (the default here)")
    parser.add_argument("--congestion", type=words(("bbr", "cubic")), default=["bbr"], metavar="NAME,...",
                        help="of the peer's TCP (default bbr)")
    parser.add_argument("--limit", type=float, default=150, metavar="SECONDS",
                        help="for each condition and tool (default 150); figures are of what was complete by then")
    return parser


def link_of(options, condition, goal="balanced"):
    loss, policed = CONDITIONS[condition]
    return BenchLink(rate_bps=options.rate, rtt_ms=options.rtt, loss=loss, queue_ms=options.queue_ms, police_ms=options.police_ms,
                     share=options.share, goal=goal, police_bps=int(options.rate * POLICED_SHARE) if policed else 0)


def percentile(values, share):
    """By nearest rank: a time that was measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


# ---- Longhaul ---------------------------------------------------------------------------------------------------------


def wall_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Series:
    """Objects that appear one by one in a dataset's source. How long the sweep takes to see each is no part of the
    figure: it begins with the offer of the object's first bundle to the dataplane, as control's API tells it."""

    def __init__(self, world, folder, replica, options):
        self.world, self.options = world, options
        self.source = os.path.join(folder, "source")
        self.waiting = os.path.join(folder, "waiting")
        self.replica = replica
        os.makedirs(self.source)
        os.makedirs(self.waiting)

    def begin(self):
        self.world.create_dataset("tail", self.source, self.replica, rescan_s=3600, rpo_target_s=7200,
                                  consistency="object")   # `ordered` would wait for sweeps, not for the link
        wait_for(lambda: settled(self.world.rpo("tail")), 60, "the empty dataset to be proven", every=0.05)

    def one(self, name):
        """Seconds from the offer until the object is visible at the target, where only what is durable is visible."""
        goodput.make_file(os.path.join(self.waiting, name), self.options.size * MIB)
        os.rename(os.path.join(self.waiting, name), os.path.join(self.source, name))
        answer = self.world.rest("east", "POST", "/v1/datasets/tail/rescan")
        if answer.status != 202:
            raise Failed(f"asking for a sweep: {answer}")
        target, offered, look_at = os.path.join(self.replica, name), None, 0
        deadline = time.monotonic() + 60
        while not os.path.exists(target):
            if time.monotonic() >= deadline:
                raise Failed(f"{name} did not appear within 60 s")
            if offered is None and time.monotonic() >= look_at:
                offered = self.first_offer()
                look_at = time.monotonic() + BUNDLES_EVERY_S
            time.sleep(0.001)
        seen = time.time()
        if offered is None:
            raise Failed(f"{name} was there before its bundle was listed: no time can be told")
        # Its directory's times follow in a bundle of their own; the next object is not to meet it.
        wait_for(lambda: settled(self.world.rpo("tail")) or not self.bundles(), 30, "the link to be idle", every=0.005)
        return seen - offered

    def bundles(self):
        return listed(self.world.get("east", "/v1/bundles"), "bundles")

    def first_offer(self):
        listed_now = [bundle for bundle in self.bundles() if bundle["bytes"] > 0 and bundle["offered_at"]]
        return min((wall_time(bundle["offered_at"]) for bundle in listed_now), default=None)


def longhaul_times(options, build, top, condition, goal):
    work = os.path.join(top, f"longhaul-{condition}-{goal}")
    replicas = os.path.join(work, "replicas")
    times, note = [], ""
    with longhaul_side.world_of(build, os.path.join(work, "world"), link_of(options, condition, goal), replicas) as world:
        world.start()
        series = Series(world, work, os.path.join(replicas, "tail"), options)
        series.begin()
        end = time.monotonic() + options.limit
        try:
            while len(times) < options.objects and time.monotonic() < end:
                # The source learns it half a round trip after the target; a GET's time holds a whole one as well.
                times.append(series.one(f"object-{len(times):04}") + options.rtt / 2000)
        except Failed as error:
            note = str(error)
        drops = dropped_on_link(world.wan_counters())
    shutil.rmtree(work)
    return times, note, drops


# ---- HTTP -------------------------------------------------------------------------------------------------------------


def http_times(options, build, top, condition, congestion):
    """One curl, one kept-alive connection, each answer written to a file; its flush is added to its time."""
    work = os.path.join(top, f"http-{condition}-{congestion}")
    served, target = os.path.join(work, "served"), os.path.join(work, "target")
    os.makedirs(served)
    os.makedirs(target)
    goodput.make_file(os.path.join(served, "object"), options.size * MIB)
    configuration = os.path.join(work, "urls")
    with open(configuration, "w") as file:
        for index in range(options.objects):
            file.write(f'url = "{nginx.URL}object"\noutput = "{target}/{index:04}"\n')
    with Lab(find_programs(build), link_of(options, condition), work) as lab:
        lab.hosts.pin(congestion)
        server, port, kind = nginx.server(lab, served)
        client = lab.process("west", "stdbuf", "-oL", "curl", "-sSf", "-K", configuration, "-w",
                             "took %{time_total} %{filename_effective}\\n")
        try:
            server.start()
            lab.wait_listening(server, port, kind)
            client.start()
            times = follow(client, options)
            note = "" if len(times) == options.objects else f"{client.ending()} after {len(times)} objects"
            drops = dropped_on_link(lab.control.show())
        finally:
            end_all([server, client])
    shutil.rmtree(work)
    return times, note, drops


def follow(client, options):
    """Reads curl's times as they come and flushes each file at once, as a copy that is to be durable must."""
    times, deadline = [], time.monotonic() + options.limit
    with open(client.log, "rb") as log:
        while len(times) < options.objects and time.monotonic() < deadline:
            line = log.readline()
            if not line.endswith(b"\n"):
                log.seek(-len(line), os.SEEK_CUR)
                if not client.running() and not line:
                    break
                time.sleep(0.002)
                continue
            fields = line.decode().split()
            if fields[:1] == ["took"]:
                began = time.monotonic()
                flush(fields[2])
                times.append(float(fields[1]) + time.monotonic() - began)
    return times


# ---- the table --------------------------------------------------------------------------------------------------------


def row_of(options, tool, kind, condition, series):
    """`series`: what each run gave. More runs lengthen the series: a tail wants samples, not a median of tails."""
    times = [time for one in series for time in one[0]]
    note = "; ".join(one[1] for one in series if one[1])
    drops = {name: sum(one[2][name] for one in series) for name in series[0][2]}
    loss, policed = CONDITIONS[condition]
    row = {"tool": tool, "kind": kind, "condition": condition, "rtt_ms": options.rtt, "loss": loss,
           "policed_share": POLICED_SHARE if policed else None, "objects": len(times), "size_mib": options.size,
           **drops, "load_average": round(os.getloadavg()[0], 1)}
    if times:
        row.update(p50_ms=round(percentile(times, 0.5) * 1000, 1), p99_ms=round(percentile(times, 0.99) * 1000, 1),
                   max_ms=round(max(times) * 1000, 1), mean_ms=round(statistics.mean(times) * 1000, 1))
    if note:
        row["note"] = note
    print("  ".join(f"{key} {str(value).splitlines()[0]}" for key, value in row.items() if value is not None), flush=True)
    return row


def bars(options, rows):
    def find(tool, condition, kind):
        return next((row for row in rows if (row["tool"], row["condition"], row["kind"]) == (tool, condition, kind)
                     and "p99_ms" in row), None)

    found = []
    for condition, goal in itertools.product(options.conditions, options.goals):
        clean, own = find("longhaul", "clean", goal), find("longhaul", condition, goal)
        if condition == "clean" or own is None or clean is None:
            continue
        where = f"{condition}, goal {goal}"
        # Behind a policer a transfer without loss takes what the policed rate takes to carry the object.
        slower = 1 / POLICED_SHARE - 1 if CONDITIONS[condition][1] else 0
        free_ms = clean["p50_ms"] + slower * options.size * MIB * 8 / link_of(options, condition).payload_bps() * 1000
        ratio = own["p99_ms"] / free_ms
        found.append({"name": f"p99 as a multiple of the loss-free time of {free_ms:.0f} ms, {where}; at most",
                      "value": round(ratio, 3), "unit": "ratio", "bar": CLEAN_BAR, "pass": ratio <= CLEAN_BAR})
        for congestion in options.congestion:
            peer = find("curl", condition, congestion)
            if peer:
                ratio = own["p99_ms"] / peer["p99_ms"]
                found.append({"name": f"p99 as a multiple of HTTP over {congestion}, {where}; at most",
                              "value": round(ratio, 3), "unit": "ratio", "bar": PEER_BAR, "pass": ratio <= PEER_BAR})
    return found


def measure(options, runs, build):
    require_root()
    build = build or goodput.default_build()
    install_packages(["curl", "nginx-light", "ethtool", "iproute2", "util-linux"])
    options.conditions = list(dict.fromkeys(["clean", *options.conditions]))
    series = len(options.conditions) * (len(options.goals) + len(options.congestion)) * runs
    print(f"at most {series * (options.limit + 10) / 60:.0f} minutes", flush=True)
    rows = []
    top = tempfile.mkdtemp(prefix="longhaul-bench-", dir="/var/tmp")
    try:
        for condition in options.conditions:
            for goal in options.goals:
                series = [longhaul_times(options, build, top, condition, goal) for _ in range(runs)]
                rows.append(row_of(options, "longhaul", goal, condition, series))
            for congestion in options.congestion:
                series = [http_times(options, build, top, condition, congestion) for _ in range(runs)]
                rows.append(row_of(options, "curl", congestion, condition, series))
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return rows, bars(options, rows)
