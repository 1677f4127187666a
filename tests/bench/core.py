# One sending and one receiving core over rings, memory to memory: what the pipeline reaches beside the limit that its
# primitives imply on the same core in the same run.
# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import os
import statistics
import subprocess

from processes import Failed, go_ahead_of_others

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STRIPE = 64     # data symbols


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run core")
    parser.add_argument("--symbols", default="jumbo,standard", help="sizes to measure (default jumbo,standard)")
    parser.add_argument("--parities", default="0,1,2,4", help="parity rows to measure (default 0,1,2,4)")
    parser.add_argument("--seconds", type=float, default=2, help="of every run (default 2)")
    return parser


def built(build, target):
    """The path of a program that is not built by default."""
    for folder in [build] if build else [os.path.join(ROOT, "build", name) for name in ("release", "ci-gcc")]:
        if not os.path.exists(os.path.join(folder, "build.ninja")):
            continue
        done = subprocess.run(["ninja", "-C", folder, target], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{target} does not build: {done.stdout[-2000:]}")
        return os.path.join(folder, target)
    raise Failed("no build folder: run deploy/quickstart or tests/run first, or give --build DIR")


def program(build):
    return built(build, "tests/bench/core/bench-core")


def once(path, symbol, parity, seconds):
    command = [path, "--symbol", symbol, "--parity", str(parity), "--seconds", str(seconds), "--primitives", "0.4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, start_new_session=True,
                          preexec_fn=go_ahead_of_others)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr[-1000:]}")
    return json.loads(done.stdout)


def limits(run):
    """Bytes of data a second that a core could send and receive at most, were there nothing but AEAD and encoding."""
    rates, sent = run["primitives_bytes_per_second"], (STRIPE + run["parity"]) / STRIPE
    encode = 1 / rates["ec_encode"] if run["parity"] else 0
    return {"sender": 1 / (sent / rates["aead_seal"] + encode), "receiver": rates["aead_open"] / sent}


def row_of(run):
    row = {"symbol_bytes": run["symbol_bytes"], "parity": run["parity"], "gbps": round(run["gbps"], 2),
           "lost_packets": run["lost_packets"], "ec_kernel": run["ec_kernel"],
           "primitives_gbytes_per_second": {name: round(rate / 1e9, 2) for name, rate in
                                            run["primitives_bytes_per_second"].items() if rate}}
    for side, limit in limits(run).items():
        figures = run[side]
        rate = run["cycles_per_second"] / figures["cycles_per_byte"]
        row[side] = {"gbps_per_core": round(rate * 8e-9, 2), "cycles_per_byte": round(figures["cycles_per_byte"], 3),
                     "limit_gbps": round(limit * 8e-9, 2), "share_of_limit": round(rate / limit, 3),
                     "core_share": round(figures["core_share"], 2), "waited_share": round(figures["waited_share"], 3),
                     "stages_percent": {name: round(100 * cost / figures["cycles_per_byte"], 1) for name, cost in
                                        figures["stages_cycles_per_byte"].items()}}
    return row


def measure(options, runs, build):
    path = program(build)
    rows = []
    for symbol in options.symbols.split(","):
        for parity in map(int, options.parities.split(",")):
            for _ in range(runs):
                row = row_of(once(path, symbol, parity, options.seconds))
                rows.append(row)
                print(f"{row['symbol_bytes']} bytes, m={parity}: {row['gbps']} Gbit/s; " + "; ".join(
                    f"{side} {row[side]['gbps_per_core']} Gbit/s a core, {row[side]['share_of_limit']} of its limit "
                    f"(had {row[side]['core_share']} of its core)" for side in ("sender", "receiver")), flush=True)
    return rows, bars_of(rows)


def bars_of(rows):
    bars = []
    for key in sorted({(row["symbol_bytes"], row["parity"]) for row in rows}, reverse=True):
        group = [row for row in rows if (row["symbol_bytes"], row["parity"]) == key]
        for side in ("sender", "receiver"):
            shares = sorted(row[side]["share_of_limit"] for row in group)
            value = statistics.median(shares)
            bars.append({"name": f"{side}, {key[0]} bytes, m={key[1]}: share of the limit ({shares[0]}..{shares[-1]})",
                         "value": value, "unit": "ratio", "bar": 0.75, "pass": value >= 0.75})
            if key == (8768, 2):
                rates = sorted(row[side]["gbps_per_core"] for row in group)
                value = statistics.median(rates)
                bars.append({"name": f"{side}, jumbo, m=2: one core ({rates[0]}..{rates[-1]})", "value": value,
                             "unit": "Gbit/s", "bar": 25, "pass": value >= 25})
    return bars
