# One worker's storage alone: a large file written until it is durable and read again, beside fio with the same requests
# on the same disk; and small files in bundles, beside cp.
# SPDX-License-Identifier: Apache-2.0
import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from core import built
from lab import install_packages
from processes import Failed, go_ahead_of_others

MIB = 1 << 20
BAR = 0.9
LIMIT_S = 600
HUGE_PAGES = "/proc/sys/vm/nr_hugepages"
FIO_MEMORY = {"fio": "malloc", "fio_huge_pages": "mmaphuge"}  # ours is on huge pages, as in the product


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run storage")
    parser.add_argument("--directory", default="/var/tmp", help="on the disk to measure (default /var/tmp)")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the large file, at most 1024 (default 1024)")
    parser.add_argument("--request", type=int, default=1024, metavar="KIB", help="of every read and write (default 1024)")
    parser.add_argument("--depth", type=int, default=16, help="requests under way (default 16)")
    parser.add_argument("--files", type=int, default=20_000, help="small files of 4 KiB (default 20000)")
    return parser


def output(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, start_new_session=True,
                          preexec_fn=go_ahead_of_others)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr[-1000:] or done.stdout[-1000:]}")
    return done.stdout


def engine(program, options, folder, what):
    figures = json.loads(output([program, "--what", what, "--directory", folder, "--bytes", str(options.size * MIB), "--request",
                                 str(options.request * 1024), "--depth", str(options.depth), "--files", str(options.files)]))
    return figures["wall_s"], figures["cpu_s"]


@contextlib.contextmanager
def huge_pages(options):
    """As a node has them: for one such process after the other, and given back."""
    with open(HUGE_PAGES) as file:
        before = int(file.read())
    try:
        with open(HUGE_PAGES, "w") as file:
            file.write(str(before + options.depth * options.request // 2048 + 8))
        yield
    finally:
        with open(HUGE_PAGES, "w") as file:
            file.write(str(before))


def fio(options, folder, what, memory):
    """Wall and processor seconds of one job; a write ends with fsync, as the engine's does."""
    file = os.path.join(folder, "large" if what == "read" else "fio")
    command = ["fio", "--name=job", f"--filename={file}", f"--rw={what}", "--ioengine=io_uring", "--direct=1", "--fixedbufs",
               f"--bs={options.request}k", f"--iodepth={options.depth}", f"--size={options.size}m", "--end_fsync=1",
               f"--iomem={memory}", "--output-format=json"]
    job = json.loads(output(command))["jobs"][0]
    wall = job["job_runtime"] / 1000
    return wall, wall * (job["usr_cpu"] + job["sys_cpu"]) / 100


def clock_hz():
    with open("/proc/cpuinfo") as file:
        rates = [float(line.split(":")[1]) for line in file if line.startswith("cpu MHz")]
    return statistics.median(rates) * 1e6 if rates else None


def figures(options, wall, cpu):
    size, hz = options.size * MIB, clock_hz()
    return {"gbytes_per_second": round(size / wall / 1e9, 3),
            "cycles_per_byte": round(cpu * hz / size, 3) if hz else None}


def forget(folder, name):
    path = os.path.join(folder, name)
    if os.path.exists(path):
        os.unlink(path)


def large(program, options, folder, what, turn):
    """Engine and fio one after the other, each on a file that the disk has to find room for anew; who begins changes."""
    row = {"what": what, "mib": options.size, "request_kib": options.request, "depth": options.depth}
    contenders = ["engine", *FIO_MEMORY]
    for name in contenders[turn % 3:] + contenders[:turn % 3]:
        if what == "write":
            forget(folder, "large" if name == "engine" else "fio")
        os.sync()
        row[name] = figures(options, *(engine(program, options, folder, what) if name == "engine"
                                       else fio(options, folder, what, FIO_MEMORY[name])))
    best = max(row[name]["gbytes_per_second"] for name in FIO_MEMORY)
    row["share_of_fio"] = round(row["engine"]["gbytes_per_second"] / best, 3)
    return row


def small(program, options, folder):
    """Files a second until all are durable: the engine's bundles, and cp of the same files with a sync behind it."""
    # Nothing is deleted before the end: ext4 looks past each inode that was freed within the minute, one by one.
    place = tempfile.mkdtemp(prefix="small-", dir=folder)
    os.sync()
    wall, cpu = engine(program, options, place, "small")
    row = {"what": "small", "files": options.files, "engine": {"files_per_second": round(options.files / wall),
                                                               "cpu_us_per_file": round(cpu / options.files * 1e6, 1)}}
    copy = place + "-copy"
    os.sync()
    begin = time.monotonic()
    output(["cp", "-r", place, copy])
    output(["sync", "-f", copy])
    row["cp"] = {"files_per_second": round(options.files / (time.monotonic() - begin))}
    return row


def said(row):
    unit = "files_per_second" if row["what"] == "small" else "gbytes_per_second"
    others = {name: row[name][unit] for name in ("engine", *FIO_MEMORY, "cp") if name in row}
    return f"{row['what']}: " + ", ".join(f"{name} {value}" for name, value in others.items()) + f" {unit}"


def measure(options, runs, build):
    if not 0 < options.size <= 1024:
        raise Failed("--size must be 1 to 1024: one bundle takes 1 GiB")
    install_packages(["fio"])
    program = built(build, "tests/bench/storage/bench-storage")
    rows = []
    folder = tempfile.mkdtemp(prefix="longhaul-bench-storage-", dir=options.directory)
    try:
        with huge_pages(options):
            for turn in range(runs):
                rows += [large(program, options, folder, "write", turn), large(program, options, folder, "read", turn),
                         small(program, options, folder)]
                for row in rows[-3:]:
                    print(said(row), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    bars = []
    for what in ("write", "read"):
        share = statistics.median(row["share_of_fio"] for row in rows if row["what"] == what)
        bars.append({"name": f"{what}: engine / the faster fio", "value": share, "unit": "of fio", "bar": BAR, "pass": share >= BAR})
    return rows, bars
