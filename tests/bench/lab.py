# Two kernel hosts, east and west, joined by longhaul-wan: where other people's programs cross the same emulated link
# as Longhaul, tuned as a network engineer would tune hosts for that link. All that is changed is put back.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass

from processes import Failed, Process, stop_all, wait_for
from world import Link, SITES

ADDRESS = {"east": "10.99.0.1", "west": "10.99.0.2"}
INTERFACE = {"east": "wan-east", "west": "wan-west"}     # one longhaul-wan holds both: names must differ
CORE_LIMITS = ("net.core.rmem_max", "net.core.wmem_max")
UDP_BUFFER_BYTES = 64 << 20
LISTENING = {"tcp": "0A", "udp": "07"}      # state of a socket that waits, as /proc/PID/net/* writes it
LOCK = "/run/lock/longhaul-bench"
HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass
class BenchLink(Link):
    """A link with what some benches need besides: a policer, a queue of known depth."""

    police_bps: int = 0
    police_ms: float = 5     # of the line's rate: what the policer lets pass at once
    queue_ms: float = 20     # what the bottleneck holds at its rate

    def arguments(self):
        queue_bytes = int(self.rate_bps / 8 * self.queue_ms / 1000)
        burst_bytes = max(1, int(self.rate_bps / 8 * self.police_ms / 1000))
        return [*super().arguments(), "--police", str(self.police_bps), "--police-burst", str(burst_bytes), "--queue",
                str(queue_bytes)]

    def bdp_bytes(self):
        return int(self.rate_bps / 8 * self.rtt_ms / 1000)


def dropped_on_link(shown):
    """From longhaul-wan's figures, what did not cross from east to west, and why."""
    return {f"link_{name}": shown["a"][name] for name in ("lost", "policed", "queue_dropped", "held_dropped")}


def run(*command, check=True):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60)
    if check and done.returncode != 0:
        raise Failed(f"`{' '.join(map(str, command))}` ended with {done.returncode}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def install_packages(wanted):
    """Those of packages.txt that are wanted and missing; nothing is touched when nothing is missing."""
    with open(os.path.join(HERE, "packages.txt")) as file:
        listed = {line.strip() for line in file if line.strip() and not line.startswith("#")}
    assert set(wanted) <= listed, "every package stands in packages.txt"
    known = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *wanted], capture_output=True,
                           text=True).stdout.splitlines()
    missing = sorted(set(wanted) - {line.split()[1] for line in known if line.startswith("installed ")})
    if not missing:
        return
    print(f"installing {', '.join(missing)}", flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise Failed(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")


def require_root():
    if os.geteuid() != 0:
        raise Failed("this bench makes network namespaces and tunes sockets: run it as root")


class SocketLimits:
    """The limits of socket buffers are the machine's, not a namespace's: raised while the lab stands, then put back.
    One lab at a time: a second one would take the raised limits for the machine's own, and disturb the first's figures."""

    def __init__(self):
        self.before = {}
        self.lock = None

    def take(self):
        self.lock = open(LOCK, "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.lock.close()
            self.lock = None
            raise Failed(f"another bench runs on this machine (it holds {LOCK}): wait for its end") from error

    def raise_to(self, limit):
        for name in CORE_LIMITS:
            self.before[name] = int(run("sysctl", "-n", name))
            if self.before[name] < limit:
                run("sysctl", "-q", "-w", f"{name}={limit}")

    def restore(self):
        for name, value in self.before.items():
            run("sysctl", "-q", "-w", f"{name}={value}", check=False)
        self.before.clear()
        if self.lock:
            self.lock.close()
            self.lock = None


class WanControl:
    """A standing connection to longhaul-wan's control socket: cheap enough to sample a queue with."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        answer = self.reader.readline().decode().strip()
        if not answer or answer.startswith("error"):
            raise Failed(f"longhaul-wan, asked to `{line}`: {answer or 'no answer'}")
        return answer

    def show(self):
        return json.loads(self.ask("show"))

    def close(self):
        self.reader.close()
        self.socket.close()


class Hosts:
    """The two namespaces and what is tuned in them. Their interfaces come from whoever runs longhaul-wan."""

    def __init__(self, link):
        self.link = link
        self.spaces = {site: f"lhb-{os.getpid()}-{site}" for site in SITES}
        self.limits = SocketLimits()

    def device(self, site):
        """How longhaul-wan names this host's interface."""
        return f"tap:{INTERFACE[site]}@{self.spaces[site]}"

    def inside(self, site, *command):
        return ["nsenter", f"--net=/run/netns/{self.spaces[site]}", *map(str, command)]

    def make(self):
        self.limits.take()
        for site in SITES:
            run("ip", "netns", "add", self.spaces[site])
            run(*self.inside(site, "ip", "link", "set", "lo", "up"))

    def configure(self):
        """Once longhaul-wan runs: addresses, offloads off, buffers for four times the link's delay and rate."""
        window = max(16 << 20, 4 * self.link.bdp_bytes())
        self.limits.raise_to(max(window, UDP_BUFFER_BYTES))
        hardware = {}
        for site in SITES:
            device = INTERFACE[site]
            tune = [f"net.ipv4.tcp_rmem=4096 131072 {window}", f"net.ipv4.tcp_wmem=4096 131072 {window}",
                    "net.ipv4.tcp_no_metrics_save=1", "net.ipv4.tcp_slow_start_after_idle=0",
                    f"net.ipv6.conf.{device}.disable_ipv6=1"]
            run(*self.inside(site, "sysctl", "-q", "-w", *tune))
            # A queue ahead of the emulated one must never be what drops: the link does that.
            run(*self.inside(site, "ip", "link", "set", device, "mtu", 1500, "txqueuelen", 10000, "up"))
            run(*self.inside(site, "ip", "addr", "add", f"{ADDRESS[site]}/24", "dev", device))
            run(*self.inside(site, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off", "tx", "off"),
                check=False)     # fixed features are refused; what counts is checked next
            self.check_offloads(site)
            hardware[site] = json.loads(run(*self.inside(site, "ip", "-j", "link", "show", device)))[0]["address"]
        for site, other in zip(SITES, reversed(SITES)):
            # A lost ARP request costs a second that is no transport's fault; Longhaul's session stands as well.
            run(*self.inside(site, "ip", "neigh", "replace", ADDRESS[other], "lladdr", hardware[other], "dev",
                             INTERFACE[site], "nud", "permanent"))

    def check_offloads(self, site):
        shown = run(*self.inside(site, "ethtool", "-k", INTERFACE[site]))
        for feature in ("tcp-segmentation-offload", "generic-segmentation-offload", "generic-receive-offload"):
            if not re.search(rf"^{feature}: off", shown, re.MULTILINE):
                raise Failed(f"{feature} stays on at {INTERFACE[site]}: losses would hit 64 KiB super-packets")

    def pin(self, congestion):
        """Every TCP connection across the link uses this congestion control, whatever the kernel's default is."""
        for site in SITES:
            run(*self.inside(site, "ip", "route", "replace", "10.99.0.0/24", "dev", INTERFACE[site], "src", ADDRESS[site],
                             "congctl", "lock", congestion))

    def remove(self):
        for space in self.spaces.values():
            if os.path.exists(f"/run/netns/{space}"):
                run("ip", "netns", "delete", space, check=False)
        self.limits.restore()


class Lab:
    """The hosts, their link and the programs started on them; use as a context manager."""

    def __init__(self, programs, link, work):
        self.programs, self.link, self.work = programs, link, work
        self.hosts = Hosts(link)
        self.run_directory = tempfile.mkdtemp(prefix="longhaul-lab-", dir="/tmp")
        self.wan = None
        self.control = None
        self.serial = 0

    def __enter__(self):
        try:
            self.hosts.make()
            path = f"{self.run_directory}/control.sock"
            self.wan = Process("wan", [
                self.programs["longhaul-wan"], "--a", self.hosts.device("east"), "--b", self.hosts.device("west"),
                *self.link.arguments(), "--socket", path, "--run-directory", self.run_directory, "--no-hugepages",
                "--file-prefix", f"longhaul-lab-{os.getpid()}"], os.path.join(self.work, "wan.log")).start()
            wait_for(lambda: os.path.exists(path), 30, "longhaul-wan's socket", alive=[self.wan])
            self.control = WanControl(path)
            self.hosts.configure()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.control:
            self.control.close()
        if self.wan:
            stop_all([self.wan])
        self.hosts.remove()
        shutil.rmtree(self.run_directory, ignore_errors=True)

    def process(self, site, *command, environment=None):
        """A program on one of the hosts, not yet started."""
        self.serial += 1
        name = os.path.basename(str(command[0]))
        # A CA bundle that the environment names is nobody's business here, and some programs die of it.
        clean = ["env", "-u", "AWS_CA_BUNDLE", f"HOME={self.work}"]
        return Process(f"{name} at {site}", [*clean, *self.hosts.inside(site, *command)],
                       os.path.join(self.work, f"{self.serial:03}-{name}.log"), environment)

    def delivered_bytes(self):
        """What has come out of the link at west so far, frames with their headers."""
        return self.control.show()["b"]["ports"][0]["tx_bytes"]

    @staticmethod
    def wait_listening(process, port, kind="tcp", seconds=20):
        def listening():
            wanted = f":{port:04X}"
            for family in (kind, kind + "6"):
                try:
                    with open(f"/proc/{process.pid}/net/{family}") as file:
                        fields = [line.split() for line in file.readlines()[1:]]
                except OSError:
                    continue
                if any(f[1].endswith(wanted) and f[3] == LISTENING[kind] for f in fields):
                    return True
            return False
        wait_for(listening, seconds, f"{process.name} to listen on port {port}", every=0.02, alive=[process])


class Processors:
    """How much of this machine's processors was left over since this object was made: none left, and the figure says
    what the machine can do, not what the link or the tool can."""

    def __init__(self):
        self.before = self.ticks()

    @staticmethod
    def ticks():
        with open("/proc/stat") as file:
            fields = [int(word) for word in file.readline().split()[1:9]]
        return fields[3] + fields[4], sum(fields)

    def idle_share(self):
        now = self.ticks()
        return round((now[0] - self.before[0]) / max(1, now[1] - self.before[1]), 2)


def flush(path):
    """A file and its name made durable; what Longhaul does by itself is counted for its peers as well."""
    for name in (path, os.path.dirname(path)):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def forget(path):
    """Clean pages of a file leave the page cache: every transfer reads its source from the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def end_all(started):
    """Programs that were started, clients first, and whatever they forked: each leads a process group of its own."""
    stop_all(list(reversed(started)), seconds=3)
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(end, process, deadline):
    """True when `end` holds; False when the deadline passes first. Raises Failed when the process ended badly."""
    while not end():
        if process is not None and process.child.poll() not in (None, 0):
            raise Failed(f"{process.name} ended with {process.ending()}\n{process.tail()}")
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.002)
    return True
