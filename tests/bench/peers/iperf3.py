# iperf3, one stream, memory to memory: what the kernel's TCP alone reaches on the link. A reference, no competitor.
# SPDX-License-Identifier: Apache-2.0
import json
import time

from lab import ADDRESS, wait_until
from peers import Outcome, Peer
from processes import Failed

PORT = 5201


class Iperf3(Peer):
    name = "iperf3"
    packages = ("iperf3",)
    disk = False

    def servers(self, lab, job):
        return [(lab.process("west", "iperf3", "-s", "-1", "-p", PORT), PORT, "tcp")]

    def client(self, lab, job):
        return lab.process("east", "iperf3", "-c", ADDRESS["west"], "-p", PORT, "-n", job.size, "-J")

    def timed(self, lab, job, client, started):
        before = lab.delivered_bytes()
        began = time.monotonic()
        started.append(client.start())
        if wait_until(lambda: client.child.poll() == 0, client, began + job.limit_s):
            return self.reported(client, job)
        arrived = int((lab.delivered_bytes() - before) * self.payload_share)
        return Outcome(time.monotonic() - began, min(arrived, job.size),
                       f"ended by the limit of {job.limit_s:g} s; bytes counted on the link, repeats included")

    @staticmethod
    def reported(client, job):
        """The receiver's rate, for the whole size: the sender stops counting with bytes still on their way."""
        with open(client.log, "rb") as file:
            text = file.read()
        received = json.loads(text[text.index(b"{"):])["end"]["sum_received"]
        if received["bits_per_second"] <= 0:
            raise Failed(f"iperf3 reports no rate, see {client.log}")
        return Outcome(job.size * 8 / received["bits_per_second"], job.size)
