# What users would pick instead: one small file a peer, and here what they have in common: start the server, time one
# transfer until it is durable, stop everything that was started.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import time
from dataclasses import dataclass

from lab import Processors, end_all, flush, forget, wait_until
from processes import Failed

# Bytes of payload in a full frame of 1518 bytes (MTU 1500, Ethernet header and FCS): the achievable share of a line.
TCP_PAYLOAD_SHARE = 1448 / 1518     # 20 IPv4, 20 TCP, 12 timestamps
TCP = ("bbr", "cubic")


@dataclass
class Job:
    """One file to bring from the disk of east to the durable disk of west."""

    source: str
    target: str
    size: int
    limit_s: float


@dataclass
class Outcome:
    seconds: float
    bytes: int          # that arrived; less than the job's: the limit ended it
    note: str = ""
    idle: float = None  # share of the processors' time that nobody used meanwhile


class Peer:
    """One tool. Subclasses say what to run; `packages` are Debian's."""

    name = ""
    packages = ()
    congestion = TCP                        # ("own",): not the kernel's
    payload_share = TCP_PAYLOAD_SHARE
    disk = True                             # False: memory to memory, a reference and no competitor
    needs_writable_target = False           # its server refuses to be root

    def servers(self, lab, job):
        """[(process, port, "tcp" or "udp")], on either side; always across the link from the client."""
        raise NotImplementedError

    def client(self, lab, job):
        raise NotImplementedError

    def arrived_bytes(self, lab, job):
        """What is in the target's folder, which is this transfer's alone: some tools work under another name first."""
        total = 0
        for folder, _, names in os.walk(os.path.dirname(job.target)):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(os.path.join(folder, name))
                    total += min(status.st_size, status.st_blocks * 512)    # holes have not arrived
        return min(total, job.size)

    def complete(self, client, job):
        """True once the file is whole under its name."""
        return client.child.poll() == 0 and os.path.exists(job.target) and os.path.getsize(job.target) == job.size

    def transfer(self, lab, job):
        started = []
        forget(job.source)
        try:
            for process, port, kind in self.servers(lab, job):
                started.append(process.start())
                lab.wait_listening(process, port, kind)
            client = self.client(lab, job)
            processors = Processors()
            outcome = self.timed(lab, job, client, started)
            outcome.idle = processors.idle_share()
            return outcome
        finally:
            end_all(started)

    def timed(self, lab, job, client, started):
        """From the client's start to the flushed copy."""
        began = time.monotonic()
        started.append(client.start())
        if not wait_until(lambda: self.complete(client, job), client, began + job.limit_s):
            return Outcome(time.monotonic() - began, self.arrived_bytes(lab, job), f"ended by the limit of {job.limit_s:g} s")
        flush(job.target)
        return Outcome(time.monotonic() - began, job.size)


def all_peers():
    """{name: peer}, in the order of the table."""
    from peers import curl, gridftp, iperf3, rclone, rsync, srt, uftp, xrdcp
    found = [iperf3.Iperf3(), gridftp.GridFtp(), rclone.Rclone(), xrdcp.Xrdcp(), curl.Curl(), rsync.Rsync(), srt.Srt(),
             uftp.Uftp()]
    return {peer.name: peer for peer in found}


def chosen(names):
    known = all_peers()
    for name in names:
        if name not in known:
            raise Failed(f"there is no peer {name}; known are {', '.join(known)}")
    return [known[name] for name in names]
