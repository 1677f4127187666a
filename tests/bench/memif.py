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
from processes import Failed, wait_for

PACKAGE = "dpdk-dev"        # holds dpdk-testpmd; installed by this bench alone
FRAME_BYTES = 14 + 20 + 8 + 32 + 1408 + 16


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run memif")
    parser.add_argument("--parities", default="0,2", help="parity rows to measure (default 0,2)")
    parser.add_argument("--seconds", type=float, default=3, help="of every run (default 3)")
    return parser


def testpmd():
    lab.install_packages([PACKAGE])
    return shutil.which("dpdk-testpmd")


def device(role, work):
    return f"net_memif0,role={role},socket={work}/memif.sock,socket-abstract=no"


def start(command, log, work):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                            env=dict(os.environ, RUNTIME_DIRECTORY=work))


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


def longhaul(path, parity, seconds, work):
    common = ["--symbol", "standard", "--parity", str(parity)]
    with open(os.path.join(work, "receiver"), "w+") as out, open(os.path.join(work, "sender"), "w+") as sender_out:
        receiver = subprocess.Popen([path, *common, "--seconds", str(seconds), "--receiver", device("server", work)],
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
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


def measure(options, runs, build):
    path, rows, shares = program(build), [], {}
    work = tempfile.mkdtemp(prefix="longhaul-memif-")
    try:
        for _ in range(runs):
            reference = forwarded_gbps(options.seconds, work)
            for parity in map(int, options.parities.split(",")):
                found = longhaul(path, parity, options.seconds, work)
                row = {"parity": parity, "gbps": round(found["gbps"], 2), "testpmd_gbps": round(reference, 2),
                       "share_of_testpmd": round(found["gbps"] / reference, 3),
                       "receiver_cycles_per_byte": round(found["receiver"]["cycles_per_byte"], 3),
                       "receiver_core_share": round(found["receiver"]["core_share"], 2)}
                rows.append(row)
                shares.setdefault(parity, []).append(row["share_of_testpmd"])
                print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return rows, [{"name": f"memory to memory, m={parity}: share of testpmd's rate ({min(each)}..{max(each)})",
                   "value": statistics.median(each), "unit": "ratio", "bar": 0.6, "pass": statistics.median(each) >= 0.6}
                  for parity, each in shares.items()]
