# Who gets what when Longhaul and the kernel's TCP want the same link: shares of one emulated queue, and how long that
# queue makes everybody wait, for each congestion mode of the link beside BBR and beside CUBIC.
# SPDX-License-Identifier: Apache-2.0
import argparse
import os
import shutil
import statistics
import tempfile
import time

import goodput
from lab import ADDRESS, BenchLink, Hosts, Lab, WanControl, end_all, install_packages, require_root
from peers import TCP
from processes import Failed, Process
from side_by_side import words
from world import Options, World

MIB = 1 << 20
RUNS = 1
MODES = ("reserved", "shared", "scavenger", "delay")
PORT = 5201
SAMPLE_EVERY_S = 0.02
PAIR = {"longhaul": 0, "tcp": 1}    # of longhaul-wan's ports


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run share")
    parser.add_argument("--modes", type=words(MODES), default=["shared", "scavenger"], metavar="MODE,...",
                        help="of Longhaul's link (default shared,scavenger)")
    parser.add_argument("--congestion", type=words(TCP), default=list(TCP), metavar="NAME,...",
                        help="of TCP (default bbr,cubic)")
    parser.add_argument("--flows", type=int, default=1, help="of TCP (default 1)")
    parser.add_argument("--rate", type=int, default=300_000_000, metavar="BPS",
                        help="of each direction (default 3e8: the machine is not to be what limits)")
    parser.add_argument("--rtt", type=float, default=50, metavar="MS", help="default 50")
    parser.add_argument("--loss", type=float, default=0, help="share of packets, each direction (default 0)")
    parser.add_argument("--queue-ms", type=float, default=50, metavar="MS",
                        help="depth of the bottleneck's queue (default 50)")
    parser.add_argument("--window", type=float, default=15, metavar="SECONDS", help="measured with both (default 15)")
    parser.add_argument("--alone", type=float, default=5, metavar="SECONDS", help="measured with either alone (default 5)")
    parser.add_argument("--ramp", type=float, default=4, metavar="SECONDS",
                        help="not measured, before each window (default 4)")
    return parser


class SharedWorld(World):
    """Both sites, and two kernel hosts whose interfaces are a second pair of ports on the same longhaul-wan."""

    def __init__(self, options, mode):
        super().__init__(options)
        self.mode = mode
        self.hosts = Hosts(options.link)
        self.wan_control = None

    def control_toml(self, site):
        text = super().control_toml(site)
        assert 'mode = "reserved"' in text
        return text.replace('mode = "reserved"', f'mode = "{self.mode}"')

    def define_processes(self):
        super().define_processes()
        self.processes["wan"].arguments += ["--a", self.hosts.device("east"), "--b", self.hosts.device("west")]

    def start(self, seconds=60):
        self.hosts.make()
        super().start(seconds)
        self.hosts.configure()
        self.wan_control = WanControl(f"{self.run}/wan/control.sock")
        return self

    def stop(self):
        if self.wan_control:
            self.wan_control.close()
            self.wan_control = None
        super().stop()
        self.hosts.remove()


class Watch:
    """What crosses the link and what waits for it, over a window of time."""

    def __init__(self, world):
        self.control = world.wan_control
        self.rate_bps = world.options.link.rate_bps

    def window(self, seconds, alive):
        first = self.control.show()
        began = time.monotonic()
        waits_ms = []
        while time.monotonic() - began < seconds:
            time.sleep(SAMPLE_EVERY_S)
            waits_ms.append(self.control.show()["a"]["queue_bytes"] * 8000 / self.rate_bps)
            for process in alive:
                if not process.running():
                    raise Failed(f"{process.name} ended ({process.ending()}) within a window\n{process.tail()}")
        last = self.control.show()
        took = time.monotonic() - began
        mbps = {name: (last["b"]["ports"][pair]["tx_bytes"] - first["b"]["ports"][pair]["tx_bytes"]) * 8 / took / 1e6
                for name, pair in PAIR.items()}
        waits_ms.sort()
        return {"longhaul_mbps": round(mbps["longhaul"], 1), "tcp_mbps": round(mbps["tcp"], 1),
                "queue_ms_mean": round(statistics.mean(waits_ms), 1), "queue_ms_p50": round(waits_ms[len(waits_ms) // 2], 1),
                "queue_ms_p95": round(waits_ms[int(len(waits_ms) * 0.95)], 1), "queue_ms_max": round(waits_ms[-1], 1),
                "queue_dropped": last["a"]["queue_dropped"] - first["a"]["queue_dropped"]}


class Encounter:
    """One mode beside one congestion control: TCP alone, Longhaul alone, both, Longhaul alone again."""

    def __init__(self, world, options, folder):
        self.world, self.options, self.folder = world, options, folder
        self.watch = Watch(world)
        self.started = []

    def tcp(self, seconds):
        """Server and client of iperf3, running for that long."""
        hosts = self.world.hosts
        server = Process("iperf3 at west", hosts.inside("west", "iperf3", "-s", "-1", "-p", PORT),
                         os.path.join(self.folder, "server.log"))
        command = ["iperf3", "-c", ADDRESS["west"], "-p", PORT, "-t", round(seconds), "-P", self.options.flows]
        client = Process("iperf3 at east", hosts.inside("east", *command), os.path.join(self.folder, "client.log"))
        self.started += [server, client]
        server.start()
        Lab.wait_listening(server, PORT)
        client.start()
        return client

    def open_bytes(self):
        view = self.world.rpo("share")
        return view.get("bytes_behind") or 0

    def phases(self, source):
        """Yields (who, figures)."""
        options = self.options
        try:
            client = self.tcp(options.ramp + options.alone + 30)
            time.sleep(options.ramp)
            yield "tcp alone", self.watch.window(options.alone, [client])
            end_all(self.started)
            self.started.clear()
            self.world.create_dataset("share", source, os.path.join(self.folder, "replicas", "share"), rescan_s=3600,
                                      rpo_target_s=7200, consistency="object")
            time.sleep(options.ramp)
            yield "longhaul alone", self.watch.window(options.alone, [])
            client = self.tcp(options.ramp + options.window + 30)
            time.sleep(options.ramp)
            figures = self.watch.window(options.window, [client])
            if self.open_bytes() == 0:
                raise Failed("Longhaul's file was through before the window was over: give a shorter --window")
            yield "both", figures
            end_all(self.started)
            self.started.clear()
            time.sleep(options.ramp)
            yield "longhaul again", self.watch.window(options.alone, [])
        finally:
            end_all(self.started)


def source_bytes(options):
    """Enough for every phase at the full rate."""
    seconds = 4 * options.ramp + 2 * options.alone + options.window + 5
    return int(options.rate / 8 * seconds) // MIB * MIB


def encounter(options, build, top, source, mode, congestion, number):
    folder = os.path.join(top, "encounter")
    os.makedirs(os.path.join(folder, "replicas"))
    link = BenchLink(rate_bps=options.rate, rtt_ms=options.rtt, loss=options.loss, seed=number + 1,
                     queue_ms=options.queue_ms)
    fixed = {"mode": mode, "congestion_control": congestion, "flows": options.flows, "run": number,
             "rtt_ms": options.rtt, "loss": options.loss, "rate_mbps": options.rate / 1e6,
             "queue_limit_ms": options.queue_ms}
    rows = []

    def add(who, figures):
        rows.append({**fixed, "who": who, **figures, "load_average": round(os.getloadavg()[0], 1)})
        print(f"{mode:9} beside {congestion:5} {who:15} " + "  ".join(f"{k} {v}" for k, v in figures.items()), flush=True)
    try:
        with SharedWorld(Options(build=build, work=os.path.join(folder, "world"), link=link,
                                 allowed_roots=(os.path.join(folder, "replicas"),)), mode) as world:
            world.start()
            world.hosts.pin(congestion)
            for who, figures in Encounter(world, options, folder).phases(os.path.dirname(source)):
                if who == "both":
                    total = figures["longhaul_mbps"] + figures["tcp_mbps"]
                    figures["longhaul_share"] = round(figures["longhaul_mbps"] / total, 3) if total else None
                    figures["utilisation"] = round(total * 1e6 / options.rate, 3)
                add(who, figures)
    except Failed as error:
        add("failed", {"note": str(error)[:1500]})
    shutil.rmtree(folder)
    return rows


def measure(options, runs, build):
    require_root()
    build = build or goodput.default_build()
    install_packages(["iperf3", "ethtool", "iproute2", "util-linux"])
    each = 4 * options.ramp + 3 * options.alone + options.window + 15
    print(f"about {len(options.modes) * len(options.congestion) * runs * each / 60:.0f} minutes", flush=True)
    rows = []
    top = tempfile.mkdtemp(prefix="longhaul-bench-", dir="/var/tmp")
    try:
        source = os.path.join(top, "source", "file")
        os.makedirs(os.path.dirname(source))
        goodput.make_file(source, source_bytes(options))
        for number in range(runs):
            for mode in options.modes:
                for congestion in options.congestion:
                    rows += encounter(options, build, top, source, mode, congestion, number)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return rows, []
