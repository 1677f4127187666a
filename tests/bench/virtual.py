# A virtual 100 Gbit/s link, sender and receiver the session's own, on a virtual clock: steady utilisation and the time
# until bundles of four sizes are decoded, beside the closed forms for selective repeat and for erasure coding.
# SPDX-License-Identifier: Apache-2.0
import argparse
import concurrent.futures
import json
import math
import os
import subprocess

from processes import Failed

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINE_BPS = 1e11
SYMBOL, FRAME, LINE = 8768, 8862, 8882  # bytes: of payload, in layer 2, with preamble and gap
PAYLOAD_BPS = LINE_BPS * SYMBOL / LINE
K = 64
SIZES = {"64KiB": 64 << 10, "64MiB": 64 << 20, "1GiB": 1 << 30, "100GiB": 100 << 30}
RTTS_MS, LOSSES, BURSTS = (10, 50, 100, 150), (0, 1e-5, 1e-4, 1e-3, 1e-2), (1, 8, 64)
BULK = [(rtt, loss, burst) for rtt in (10, 100, 150) for loss, burst in ((0, 1), (1e-5, 1), (1e-3, 1), (1e-2, 1), (1e-2, 64))]
UTILISATION_BAR, LATENCY_BAR, LATENCY_LOSS_MAX = 0.97, 1.15, 1e-3


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run virtual")
    parser.add_argument("--quick", action="store_true", help="six points, no 100 GiB, forty completions: some seconds")
    parser.add_argument("--seeds", type=int, default=3, help="sessions per point (default 3)")
    parser.add_argument("--completions", type=int, default=120, help="of 64 MiB per point (default 120)")
    parser.add_argument("--jobs", type=int, default=1, help="points at the same time (default 1)")
    return parser


def find_program(build):
    for folder in [build] if build else [os.path.join(ROOT, "build", name) for name in ("release", "ci-gcc")]:
        program = os.path.join(folder, "tests", "bench", "bench-virtual")
        if os.access(program, os.X_OK):
            return program
    raise Failed("bench-virtual is not built: ninja -C BUILD tests/bench/bench-virtual, then give --build BUILD")


def simulate(program, **options):
    command = [program] + [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}") from None
    if result["broken"]:
        raise Failed(f"{' '.join(command)}: {result['broken'][0]}")
    return result


def rounds_expected(packets, loss):
    """E[rho_N]: rounds until each of N packets has come, when each is sent again until it does."""
    if loss == 0:
        return 1.0
    total, power = 0.0, 1.0
    for _ in range(200):
        term = 1 - math.exp(packets * math.log1p(-power)) if power < 1 else 1.0
        total += term
        power *= loss
        if term < 1e-12:
            break
    return total


def stripe_failure(parity, loss, burst):
    """P_s of one stripe of K + parity consecutive symbols; bursts by Gilbert and Elliott's chain."""
    if loss == 0:
        return 0.0
    leave = 1 / max(burst, 1 / (1 - loss))
    enter = loss * leave / (1 - loss)
    good, bad = [1 - loss] + [0.0] * (parity + 1), [0.0, loss] + [0.0] * parity
    for _ in range(K + parity - 1):
        good, bad = ([g * (1 - enter) + b * leave for g, b in zip(good, bad)],
                     [0.0] + [g * enter + b * (1 - leave) for g, b in zip(good[:-1], bad[:-1])])
    return max(0.0, 1 - sum(good[:parity + 1]) - sum(bad[:parity + 1]))


def closed_forms(size, rtt, loss, burst):
    """transport.md 1.2, in seconds: selective repeat, and the best RS(64, 0..16) with one round of repair."""
    seconds = size * 8 / PAYLOAD_BPS
    repeat = seconds / (1 - loss) + rtt / 2 + rtt * (rounds_expected(size / SYMBOL, loss) - 1)
    best = min((seconds * (K + m) / K + rtt / 2 + rtt * (1 - (1 - stripe_failure(m, loss, burst)) ** (size / (K * SYMBOL))), m)
               for m in range(17))
    return {"selective_repeat_s": round(repeat, 6), "erasure_coding_s": round(best[0], 6), "erasure_coding_m": best[1]}


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def bound_64mib(rtt):
    return LATENCY_BAR * (rtt / 2 + SIZES["64MiB"] * 8 / PAYLOAD_BPS)


def measure_point(program, options, rtt_ms, loss, burst):
    link = {"rtt_ms": rtt_ms, "loss": loss, "burst": burst}
    seeds = 1 if options.quick else options.seeds
    completions = 40 if options.quick else options.completions
    steady = [simulate(program, what="steady", goal="throughput", seed=seed, **link) for seed in range(1, seeds + 1)]
    paced = simulate(program, what="steady", goal="throughput", share="default", **link)
    latency = [simulate(program, what="completion", goal="latency", seed=seed, repeats=math.ceil(completions / seeds), **link)
               for seed in range(1, seeds + 1)]
    row = dict(link, utilisation=[round(run["utilisation"], 4) for run in steady],
               utilisation_at_default_share=round(paced["utilisation"], 4),
               repairs_per_packet=round((steady[0]["repair"] + steady[0]["resent"]) / steady[0]["packets"], 6),
               send_blocks_max=max(run["send_blocks_max"] for run in steady),
               receive_stripes_max=max(run["receive_stripes_max"] for run in steady + latency),
               decided={name: latency[-1][name] for name in ("loss_upper", "burst", "rows_steady", "rows_tail", "depth")},
               completion={})
    for name in ("64KiB", "64MiB", "1GiB"):
        times = [time for run in latency for time in run["decoded_s"][name]]
        row["completion"][name] = dict(closed_forms(SIZES[name], rtt_ms / 1e3, loss, burst), samples=len(times),
                                       p50_s=round(percentile(times, 0.5), 6), p99_s=round(percentile(times, 0.99), 6))
    if not options.quick and (rtt_ms, loss, burst) in BULK:
        run = simulate(program, what="bulk", goal="throughput", **link)
        row["completion"]["100GiB"] = dict(closed_forms(SIZES["100GiB"], rtt_ms / 1e3, loss, burst), samples=1,
                                           p50_s=round(run["decoded_s"]["100GiB"][0], 6))
    return row


def grid(quick):
    if quick:
        return [(50, 0, 1), (10, 1e-3, 1), (150, 1e-3, 8), (50, 1e-3, 64), (100, 1e-2, 1), (150, 1e-2, 64)]
    return [(rtt, loss, burst) for rtt in RTTS_MS for loss in LOSSES for burst in (BURSTS if loss else (1,))]


def bars_of(rows):
    shares = [min(row["utilisation"]) / (1 - row["loss"]) for row in rows]
    worst = shares.index(min(shares))
    bars = [{"name": f"steady utilisation over (1 - loss), goal throughput, worst of {len(rows)} points "
                     f"(RTT {rows[worst]['rtt_ms']} ms, loss {rows[worst]['loss']:g}, bursts of {rows[worst]['burst']})",
             "value": shares[worst], "unit": "of the line's payload", "bar": f">= {UTILISATION_BAR}",
             "pass": shares[worst] >= UTILISATION_BAR}]
    held = [row for row in rows if row["loss"] <= LATENCY_LOSS_MAX]
    ratio = {id(row): LATENCY_BAR * row["completion"]["64MiB"]["p99_s"] / bound_64mib(row["rtt_ms"] / 1e3) for row in held}
    late = max(held, key=lambda row: ratio[id(row)])
    bars.append({"name": f"p99 of 64 MiB over RTT/2 + serialisation, goal latency, loss <= {LATENCY_LOSS_MAX:g}, worst of {len(held)} "
                         f"points (RTT {late['rtt_ms']} ms, loss {late['loss']:g}, bursts of {late['burst']})",
                 "value": ratio[id(late)], "unit": "x", "bar": f"<= {LATENCY_BAR}", "pass": ratio[id(late)] <= LATENCY_BAR})
    return bars


def measure(options, runs, build):
    del runs  # virtual time: the same every run; what varies is the seed
    program = find_program(build)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        points = [pool.submit(measure_point, program, options, *point) for point in grid(options.quick)]
        rows = []
        for point in points:
            row = point.result()
            rows.append(row)
            big = row["completion"]["64MiB"]
            print(f"  RTT {row['rtt_ms']:>3} ms, loss {row['loss']:<7g} bursts of {row['burst']:<2}  utilisation {min(row['utilisation']):.4f}"
                  f"  64 MiB p50 {big['p50_s'] * 1e3:.2f} p99 {big['p99_s'] * 1e3:.2f} ms (bound {bound_64mib(row['rtt_ms'] / 1e3) * 1e3:.2f},"
                  f" selective repeat {big['selective_repeat_s'] * 1e3:.2f})", flush=True)
    return rows, bars_of(rows)
