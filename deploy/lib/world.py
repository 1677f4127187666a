# Two sites, east and west, on this machine: their configuration, certificates and processes, and the emulated
# long-distance link between them. Quickstart and the end-to-end tests use this one implementation.
# SPDX-License-Identifier: Apache-2.0
import glob
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field

from processes import Failed, Process, free_ports, stop_all, wait_for

SITES = ("east", "west")
PROGRAMS = ("longhaul-dataplane", "longhaul-control", "longhaul", "longhaul-wan")
IP = {"east": "10.77.0.1", "west": "10.77.0.2"}
WAN_PORT = {"east": "a", "west": "b"}       # longhaul-wan --a is towards east, --b towards west
LINK = "east-west-1"
SYMBOL_BYTES = 1408                         # payload of a data packet at MTU 1500 over IPv4
FRAME_BYTES = 1408 + 32 + 16 + 8 + 20 + 14 + 4   # with header, tag, UDP, IPv4, Ethernet and FCS
DATAPLANE_MEMORY_MIB = 256
WAN_MEMORY_MIB = 256


@dataclass
class Link:
    """The emulated link, the same in both directions."""

    rate_bps: int = 1_000_000_000
    rtt_ms: float = 50
    loss: float = 0.001
    burst: float = 1
    seed: int = 1
    share: float = 0.97    # of rate_bps, that Longhaul never exceeds
    goal: str = "balanced"

    def payload_bps(self):
        """What the link can carry of users' bytes: all frames full, none lost, no parity."""
        return self.rate_bps * SYMBOL_BYTES / FRAME_BYTES

    def arguments(self):
        return ["--rate", str(self.rate_bps), "--delay", f"{self.rtt_ms * 500:.0f}us", "--loss", f"{self.loss:.9f}",
                "--burst", f"{self.burst:g}", "--seed", str(self.seed)]


@dataclass
class Options:
    build: str                                  # build folder that holds the programs
    work: str                                   # configuration, state, logs; made if absent
    link: Link = field(default_factory=Link)
    allowed_roots: tuple = ()                   # where west may keep replicas
    read_back_share: float = 1                  # of the files published
    first_port: int = None                      # REST east, REST west, peer east, peer west; None: any free ones
    hugepages: bool = False
    workers: dict = field(default_factory=dict)     # of a site's dataplane, where it is not 1
    outlive: bool = False                       # the processes may go on when this program ends
    log_level: str = "info"


class Answer:
    """One HTTP answer: status, headers, and the body as text and, if it is JSON, decoded."""

    def __init__(self, status, headers, content):
        self.status, self.headers, self.content = status, headers, content
        try:
            self.json = json.loads(content) if content else None
        except ValueError:
            self.json = None

    def __repr__(self):
        return f"HTTP {self.status}: {self.content[:500].decode('utf-8', 'backslashreplace')}"


def find_programs(build):
    """{name: path} of the built programs, from meson's own list of targets."""
    try:
        with open(os.path.join(build, "meson-info", "intro-targets.json")) as file:
            targets = json.load(file)
    except (OSError, ValueError) as error:
        raise Failed(f"{build} is not a build folder of meson ({error})") from error
    programs = {t["name"]: t["filename"][0] for t in targets if t["type"] == "executable" and t["name"] in PROGRAMS}
    for name in PROGRAMS:
        if not os.access(programs.get(name, ""), os.X_OK):
            raise Failed(f"{name} is not built in {build}: run `meson compile -C {build}`")
    return programs


def listed(body, key):
    """The list in a collection's JSON body."""
    return body.get(key, []) if isinstance(body, dict) else []


class World:
    """Both sites and the link. Owner of every process and of the folders `work` and `run`; use as a context manager."""

    def __init__(self, options):
        self.options = options
        self.programs = find_programs(options.build)
        self.work = os.path.abspath(options.work)
        # Unix socket paths may be 107 bytes long: sockets live in a short place of their own.
        self.run = tempfile.mkdtemp(prefix="longhaul-", dir="/tmp")
        ports = free_ports(4, options.first_port)
        self.rest_port = dict(zip(SITES, ports[:2]))
        self.peer_port = dict(zip(SITES, ports[2:]))
        self.processes = {}
        self.wrap = {}      # process name -> a command to run it under, e.g. setpriv; used by define()
        for folder in ("log", "pki", *SITES, *(f"{site}/state" for site in SITES)):
            os.makedirs(os.path.join(self.work, folder), mode=0o700, exist_ok=True)
        for folder in ("wan", *SITES):
            os.makedirs(os.path.join(self.run, folder), mode=0o700, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- configuration ----------------------------------------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.work, *parts)

    def token_file(self, site):
        return self.path(site, "state", "token")

    def dataplane_toml(self, site):
        link = self.options.link
        device = (f"net_memif0,role=client,id=0,socket={self.run}/wan/{site}.sock,socket-abstract=no,rsize=12")
        return f"""\
# Generated by deploy/lib/world.py: the dataplane of site {site}.
[dataplane]
name = "{site}"
socket = "{self.run}/{site}/dataplane.sock"
run_directory = "{self.run}/{site}"
workers = {self.options.workers.get(site, 1)}
hugepages = "{'auto' if self.options.hugepages else 'never'}"
memory_mib = {DATAPLANE_MEMORY_MIB}
plan_rate = "{link.rate_bps}"
plan_rtt_ms = {self.rtt_max_ms()}
log_level = "{self.options.log_level}"

[[port]]
name = "wan0"
device = "{device}"
mtu = 1500
addresses = ["{IP[site]}/24"]
"""

    def control_toml(self, site):
        other = SITES[1 - SITES.index(site)]
        roots = json.dumps([os.path.abspath(root) for root in self.options.allowed_roots] if site == "west" else [])
        return f"""\
# Generated by deploy/lib/world.py: the control process of site {site}.
[control]
site = "{site}"
state_directory = "{self.path(site, 'state')}"
dataplane_socket = "{self.run}/{site}/dataplane.sock"
rest_listen = "127.0.0.1:{self.rest_port[site]}"
peer_listen = "127.0.0.1:{self.peer_port[site]}"
allowed_roots = {roots}
read_back_share = {float(self.options.read_back_share)}
log_level = "{self.options.log_level}"

[pki]
ca = "{self.path('pki', 'ca.pem')}"
certificate = "{self.path('pki', site + '.pem')}"
key = "{self.path('pki', site + '.key')}"

[[site]]
name = "{other}"
peer_url = "https://127.0.0.1:{self.peer_port[other]}"

[[link]]
id = 1
name = "{LINK}"
site = "{other}"
port = "wan0"
local_ip = "{IP[site]}"
remote_ip = "{IP[other]}"
udp_port_base = 49152
lanes = 4
rate = "{self.options.link.rate_bps}"
share = {self.options.link.share}
rtt_max_ms = {self.rtt_max_ms()}
mode = "reserved"
goal = "{self.options.link.goal}"
"""

    def rtt_max_ms(self):
        return max(200, round(2 * self.options.link.rtt_ms))

    def make_certificates(self):
        directory = self.path("pki")
        if os.path.exists(os.path.join(directory, "ca.pem")):
            return
        self.run_tool("longhaul", "pki", "init", "--directory", directory, "--name", "longhaul on this machine")
        for site in SITES:
            self.run_tool("longhaul", "pki", "issue", "--directory", directory, "--site", site)

    def configure(self):
        for site in SITES:
            for name, text in (("dataplane", self.dataplane_toml(site)), ("control", self.control_toml(site))):
                with open(self.path(site, f"{name}.toml"), "w") as file:
                    file.write(text)
        self.make_certificates()

    # ---- processes --------------------------------------------------------------------------------------------

    def define_processes(self):
        devices = [f"net_memif{index},role=server,id=0,socket={self.run}/wan/{site}.sock,socket-abstract=no,rsize=12"
                   for index, site in enumerate(SITES)]
        wan = [self.programs["longhaul-wan"], "--a", devices[0], "--b", devices[1], *self.options.link.arguments(),
               "--socket", f"{self.run}/wan/control.sock", "--run-directory", f"{self.run}/wan"]
        if not self.options.hugepages:
            wan.append("--no-hugepages")
        self.define("wan", wan)
        for kind in ("dataplane", "control"):
            for site in SITES:
                self.define(f"{site}-{kind}", [self.programs[f"longhaul-{kind}"], "--config",
                                               self.path(site, f"{kind}.toml")])

    def define(self, name, arguments):
        arguments = [*self.wrap.get(name, ()), *arguments]
        self.processes[name] = Process(name, arguments, self.path("log", f"{name}.log"), outlive=self.options.outlive)

    def start(self, seconds=60):
        """Everything up: both APIs healthy and the link carrying authenticated packets in both directions."""
        self.configure()
        self.define_processes()
        alive = self.processes.values()
        self.processes["wan"].start()
        wait_for(lambda: all(os.path.exists(f"{self.run}/wan/{name}.sock") for name in (*SITES, "control")), seconds,
                 "the sockets of longhaul-wan", alive=[self.processes["wan"]])
        for name, process in self.processes.items():
            if name != "wan":
                process.start()
        for site in SITES:
            wait_for(lambda site=site: self.healthy(site), seconds, f"{site}'s REST to answer /healthz with 200", alive=alive)
        for site in SITES:
            wait_for(lambda site=site: self.link_up(site), seconds, f"the link to be up at {site}", alive=alive)
        return self

    def kill(self, name):
        """A crash: SIGKILL."""
        self.processes[name].kill()

    def restart(self, name):
        process = self.processes[name]
        if process.running():
            process.stop()
        process.start()

    def stop(self):
        """Ends every child; keeps `work`, removes `run`. Safe to call twice."""
        # Controls first: they would only report that their dataplanes have gone.
        order = sorted(self.processes.values(), key=lambda p: ("control" not in p.name, p.name == "wan"))
        stop_all(order)
        shutil.rmtree(self.run, ignore_errors=True)

    def tails(self, lines=15):
        """The ends of all logs, for a failure's report."""
        return "\n".join(p.tail(lines) for p in self.processes.values())

    def run_tool(self, program, *arguments, check=True, environment=None, timeout=60):
        done = subprocess.run([self.programs[program], *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout, env=dict(os.environ, **(environment or {})))
        if check and done.returncode != 0:
            raise Failed(f"`{program} {' '.join(map(str, arguments))}` ended with {done.returncode}:\n"
                         + (done.stdout + done.stderr).decode("utf-8", "backslashreplace"))
        return done

    # ---- asking and telling ---------------------------------------------------------------------------------------

    def token(self, site):
        try:
            with open(self.token_file(site)) as file:
                return file.read().strip()
        except OSError:
            return ""

    def rest(self, site, method, path, body=None, token=None, raw=None, timeout=10):
        """One request; `body` is sent as JSON, `raw` as bytes. Raises OSError when nobody listens."""
        headers = {"Authorization": f"Bearer {self.token(site) if token is None else token}"}
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port[site], timeout=timeout)
        try:
            connection.request(method, path, body=raw, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def get(self, site, path):
        """The JSON body of a GET that must succeed."""
        answer = self.rest(site, "GET", path)
        if answer.status != 200 or answer.json is None:
            raise Failed(f"GET {path} at {site}: {answer}")
        return answer.json

    def cli(self, site, *arguments, check=True):
        return self.run_tool("longhaul", *arguments, check=check, environment={
            "LONGHAUL_URL": f"http://127.0.0.1:{self.rest_port[site]}", "LONGHAUL_TOKEN_FILE": self.token_file(site)})

    def healthy(self, site):
        try:
            return self.rest(site, "GET", "/healthz").status == 200
        except OSError:
            return False

    def link(self, site):
        """This site's view of the link, or {} while there is none to be had."""
        try:
            answer = self.rest(site, "GET", "/v1/links")
        except OSError:
            return {}
        links = listed(answer.json, "links") if answer.status == 200 else []
        return next((link for link in links if link.get("name") == LINK), {})

    def link_up(self, site):
        return self.link(site).get("state") == "up"

    def telemetry(self, site, command):
        """What the dataplane of `site` says to a command on DPDK's telemetry socket."""
        found = glob.glob(f"{self.run}/{site}/dpdk/*/dpdk_telemetry.v2")
        if len(found) != 1:
            raise Failed(f"telemetry sockets of {site}: {found}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(10)
            client.connect(found[0])
            client.recv(16384)              # its greeting
            client.send(command.encode())
            return json.loads(client.recv(1 << 20))[command]

    def wan_set(self, **settings):
        """Changes the emulated link while it runs, both directions: wan_set(loss="1%", down="true")."""
        for name, value in settings.items():
            self.wan_command("set", "both", name, value)

    def wan_command(self, *words):
        return self.run_tool("longhaul-wan", "ctl", "--socket", f"{self.run}/wan/control.sock", *words)

    def wan_counters(self):
        """Settings and counters of both directions, as longhaul-wan shows them."""
        return json.loads(self.wan_command("show").stdout)

    # ---- datasets ---------------------------------------------------------------------------------------------------

    def create_dataset(self, name, source, replica, rescan_s=10, **more):
        """POST /v1/datasets at east with its target at west."""
        answer = self.rest("east", "POST", "/v1/datasets", {
            "name": name, "source": f"posix:{source}", "target": {"site": "west", "store": f"posix:{replica}"},
            "rescan_s": rescan_s, **more}, timeout=30)
        if answer.status not in (200, 201):
            raise Failed(f"creating dataset {name}: {answer}")
        return answer.json

    def rpo(self, name, site="east"):
        """The RPO view of a dataset, or {} while the site does not answer or does not know it yet."""
        try:
            answer = self.rest(site, "GET", "/v1/rpo")
        except OSError:
            return {}
        views = listed(answer.json, "rpo") if answer.status == 200 else []
        return next((view for view in views if view.get("dataset") == name), {})


def settled(view):
    """True when an RPO view says: everything known is published and a watermark proves it."""
    return bool(view) and view.get("rpo_lag_s") is not None and view.get("objects_behind") == 0 \
        and view.get("bytes_behind") == 0 and view.get("objects_failing", 0) == 0
