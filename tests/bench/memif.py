# Two processes joined by the real port driver that containers and quickstart use: memory to memory through the whole
# pipeline of one core each, beside what testpmd moves over the same ports without touching the payload.
# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import lab
from core import program
from processes import Failed, go_ahead_of_others, wait_for

PACKAGE = "dpdk-dev"        # holds dpdk-testpmd; installed by this bench alone
SOURCE_MIB = 512            # as large as a bundle of bench-core
FRAME_BYTES = 14 + 20 + 8 + 32 + 1408 + 16


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run memif")
    parser.add_argument("--parities", default="0,2", help="parity rows to measure (default 0,2)")
    parser.add_argument("--seconds", type=float, default=3, help="of every run (default 3)")
    parser.add_argument("--media", default="memory,disk", help="what is read and written (default memory,disk)")
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to measure; 1 GiB of it is used (default /var/tmp)")
    return parser


def testpmd():
    lab.install_packages([PACKAGE])
    return shutil.which("dpdk-testpmd")


def device(role, work):
    return f"net_memif0,role={role},socket={work}/memif.sock,socket-abstract=no"


def start(command, log, work):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                            preexec_fn=go_ahead_of_others, env=dict(os.environ, RUNTIME_DIRECTORY=work))


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def forwarded_gbps(seconds, work):
    """testpmd to testpmd: ready-made frames out, frames in and freed; payload bits a second of frames as long as ours."""
    logs, processes = [], []
    try:
        for role, forward in (("server", ["--forward-mode=rxonly"]),
                              ("client", ["--forward-mode=txonly", f"--txpkts={FRAME_BYTES}"])):
            logs.append(open(os.path.join(work, f"testpmd-{role}"), "w+"))
            command = [testpmd(), "--no-huge", "-m", "512", "--no-pci", "--file-prefix", f"bench-memif-{os.getpid()}-{role}",
                       "--lcores", "0@(0-1),1@(0-1)", f"--vdev={device(role, work)}", "--", "--stats-period", "1",
                       "--total-num-mbufs=20000", *forward]
            processes.append(start(command, logs[-1], work))
            wait_for(lambda: os.path.exists(f"{work}/memif.sock"), 20, "testpmd's socket", every=0.1)
        time.sleep(seconds + 3)
        logs[0].seek(0)
        rates = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", logs[0].read())]
    finally:
        for process in processes:
            stop(process)
        for log in logs:
            log.close()
        if os.path.exists(f"{work}/memif.sock"):
            os.unlink(f"{work}/memif.sock")
    busy = [rate for rate in rates if rate > 0]
    if not busy:
        raise Failed("testpmd received nothing")
    return statistics.median(busy) * 1408 * 8e-9


def aead_gbps(path):
    """What one core seals and opens, were there nothing else: ready frames in memory, as in the bench `core`."""
    done = subprocess.run([path, "--symbol", "standard", "--parity", "0", "--seconds", "0.5", "--primitives", "0.5"],
                          capture_output=True, text=True, timeout=120, start_new_session=True,
                          preexec_fn=go_ahead_of_others)
    if done.returncode:
        raise Failed(f"{path}: {done.stderr[-1000:]}")
    rates = json.loads(done.stdout)["primitives_bytes_per_second"]
    return min(rates["aead_seal"], rates["aead_open"]) * 8e-9


class Disk:
    """A source file and a folder for the target, and what the disk alone does with the same bytes past the page cache."""

    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(prefix="longhaul-memif-", dir=folder)
        self.source, self.target = (os.path.join(self.folder, name) for name in ("in", "out"))
        os.mkdir(self.source)
        os.mkdir(self.target)
        self.file = os.path.join(self.source, "source")
        with open(self.file, "wb") as file:
            for _ in range(SOURCE_MIB):
                file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())

    def arguments(self):
        return ["--source", self.source, "--target", self.target]

    def alone_gbps(self):
        copy = os.path.join(self.target, "alone")
        rates = {}
        for name, how in (("read", [f"if={self.file}", "of=/dev/null", "iflag=direct"]),
                          ("write", [f"if={self.file}", f"of={copy}", "oflag=direct", "conv=fdatasync"])):
            began = time.monotonic()
            subprocess.run(["dd", "bs=4M", "status=none", *how], check=True)
            rates[name] = round(SOURCE_MIB * 8 / 1024 * 1.073741824 / (time.monotonic() - began), 2)
        os.unlink(copy)
        return rates

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def longhaul(path, parity, seconds, work, disk):
    common = ["--symbol", "standard", "--parity", str(parity), *(disk.arguments() if disk else [])]
    with open(os.path.join(work, "receiver"), "w+") as out, open(os.path.join(work, "sender"), "w+") as sender_out:
        receiver = subprocess.Popen([path, *common, "--seconds", str(seconds), "--receiver", device("server", work)],
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL,
                                    start_new_session=True, preexec_fn=go_ahead_of_others)
        processes = [receiver]
        try:
            wait_for(lambda: os.path.exists(f"{work}/memif.sock"), 20, "the receiver's socket", every=0.1)
            processes.append(start([path, *common, "--seconds", str(seconds + 4), "--sender", device("client", work)],
                                   sender_out, work))
            if receiver.wait(seconds + 60):
                raise Failed("the receiver received nothing")
        finally:
            for process in processes:
                stop(process)
        out.seek(0)
        return json.loads(out.read().splitlines()[-1])


def row_of(path, medium, parity, options, work, disk, reference, aead):
    found = longhaul(path, parity, options.seconds, work, disk)
    row = {"medium": medium, "parity": parity, "gbps": round(found["gbps"], 2), "testpmd_gbps": round(reference, 2),
           "share_of_testpmd": round(found["gbps"] / reference, 3), "aead_gbps": round(aead, 2),
           # A core that moves a frame as testpmd does and seals or opens it, and does nothing else.
           "share_with_aead_at_most": round(aead / (aead + reference), 3),
           "receiver_cycles_per_byte": round(found["receiver"]["cycles_per_byte"], 3),
           "receiver_core_share": round(found["receiver"]["core_share"], 2)}
    if disk:
        row["disk_alone_gbps"] = disk.alone_gbps()
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


def measure(options, runs, build):
    path, rows = program(build), []
    work = tempfile.mkdtemp(prefix="longhaul-memif-")
    disk = None
    try:
        if "disk" in options.media.split(","):
            disk = Disk(options.folder)
        for _ in range(runs):
            reference, aead = forwarded_gbps(options.seconds, work), aead_gbps(path)
            for medium in options.media.split(","):
                for parity in map(int, options.parities.split(",")):
                    rows.append(row_of(path, medium, parity, options, work, disk if medium == "disk" else None, reference, aead))
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if disk:
            disk.remove()
    return rows, bars_of(rows)


def bars_of(rows):
    bars = []
    for medium, parity in sorted({(row["medium"], row["parity"]) for row in rows}, reverse=True):
        group = [row for row in rows if (row["medium"], row["parity"]) == (medium, parity)]
        shares = sorted(row["share_of_testpmd"] for row in group)
        most = round(statistics.median(row["share_with_aead_at_most"] for row in group), 3)
        value = statistics.median(shares)
        bars.append({"name": f"{medium} to {medium}, m={parity}: share of testpmd's rate ({shares[0]}..{shares[-1]}; with AEAD on "
                     f"the same core at most {most})", "value": value, "unit": "ratio", "bar": 0.6, "pass": value >= 0.6})
    return bars
