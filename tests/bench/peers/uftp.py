# UFTP, unicast, at a fixed rate that somebody chose to fit the line, with NAKs and no congestion control.
# SPDX-License-Identifier: Apache-2.0
import os

from lab import ADDRESS, INTERFACE, UDP_BUFFER_BYTES
from peers import Peer

PORT = 1044
BLOCK_BYTES = 1424
RECEIVER = "0x00000001"
SHARE_OF_LINE = 0.92        # of UFTP's own bytes, with room for Ethernet, IP and UDP headers


class Uftp(Peer):
    name = "uftp"
    packages = ("uftp",)
    congestion = ("own",)
    payload_share = BLOCK_BYTES / 1518

    def servers(self, lab, job):
        folder = os.path.dirname(job.target)
        receiver = lab.process("west", "uftpd", "-d", "-D", folder, "-U", RECEIVER, "-I", INTERFACE["west"], "-B",
                               UDP_BUFFER_BYTES, "-p", PORT)
        return [(receiver, PORT, "udp")]

    def client(self, lab, job):
        rate_kbps = int(lab.link.rate_bps * SHARE_OF_LINE / 1000)
        # A named receiver: without one the sender waits the whole time that any might need to register.
        return lab.process("east", "uftp", "-H", RECEIVER, "-M", ADDRESS["west"], "-P", ADDRESS["west"], "-I",
                           INTERFACE["east"], "-p", PORT, "-R", rate_kbps, "-b", BLOCK_BYTES, "-B", UDP_BUFFER_BYTES,
                           job.source)
