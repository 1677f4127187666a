# Two sites with a second link beside the first, through a longhaul-wan of its own, which is cut and restored by itself.
# SPDX-License-Identifier: Apache-2.0
import os

from processes import wait_for
from world import SITES, World

NAME = "east-west-2"
IP = {"east": "10.78.0.1", "west": "10.78.0.2"}


class TwoLinks(World):
    def __init__(self, options, second):
        super().__init__(options)
        self.second = second
        os.makedirs(os.path.join(self.run, "second"), mode=0o700)

    def dataplane_toml(self, site):
        return super().dataplane_toml(site) + f"""
[[port]]
name = "second"
device = "net_memif1,role=client,id=1,socket={self.run}/second/{site}.sock,socket-abstract=no,rsize=12"
mtu = 1500
addresses = ["{IP[site]}/24"]
"""

    def control_toml(self, site):
        other = SITES[1 - SITES.index(site)]
        return super().control_toml(site) + f"""
[[link]]
id = 2
name = "{NAME}"
site = "{other}"
port = "second"
local_ip = "{IP[site]}"
remote_ip = "{IP[other]}"
rate = "{self.second.rate_bps}"
rtt_max_ms = {self.rtt_max_ms()}
mode = "reserved"
"""

    def define_processes(self):
        devices = [f"net_memif{index},role=server,id=1,socket={self.run}/second/{site}.sock,socket-abstract=no,rsize=12"
                   for index, site in enumerate(SITES)]
        super().define_processes()
        self.define("second-wan", [self.programs["longhaul-wan"], "--a", devices[0], "--b", devices[1],
                                   *self.second.arguments(), "--socket", f"{self.run}/second/control.sock",
                                   "--run-directory", f"{self.run}/second", "--no-hugepages"])

    def start(self, seconds=60):
        super().start(seconds)
        for site in SITES:
            wait_for(lambda site=site: self.rest(site, "GET", f"/v1/links/{NAME}").json.get("state") == "up", seconds,
                     f"the second link to be up at {site}", alive=self.processes.values())
        return self

    def second_set(self, **settings):
        """Changes the second link while it runs, both directions: second_set(down="true")."""
        for name, value in settings.items():
            self.run_tool("longhaul-wan", "ctl", "--socket", f"{self.run}/second/control.sock", "set", "both", name, value)
