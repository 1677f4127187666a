# SRT in file mode (its congestion control descends from UDT's).
# SPDX-License-Identifier: Apache-2.0
import os

from lab import ADDRESS
from peers import Peer

PORT = 9001
BUFFER_BYTES = 134217728


class Srt(Peer):
    name = "srt"
    packages = ("srt-tools",)
    congestion = ("own",)
    payload_share = 1456 / 1518     # 20 IPv4, 8 UDP, 16 SRT

    def servers(self, lab, job):
        return [(lab.process("west", "srt-file-transmit", "-q", f"srt://:{PORT}?rcvbuf={BUFFER_BYTES}&fc=200000",
                             f"file://{os.path.dirname(job.target)}/"), PORT, "udp")]

    def client(self, lab, job):
        return lab.process("east", "srt-file-transmit", "-q", f"file://{job.source}",
                           f"srt://{ADDRESS['west']}:{PORT}?sndbuf={BUFFER_BYTES}&fc=200000")
