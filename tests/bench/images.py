# File systems of a bench's own, in image files: freshly made, so that nothing that happened before (inodes that ext4
# passes over because they were deleted lately, a journal that is full) counts for or against anybody.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import shutil
import tempfile

from lab import run
from processes import Failed

GIB = 1 << 30
WHERE = "/var/tmp"


def mounted(top, name, size, inodes):
    image, directory = os.path.join(top, f"{name}.img"), os.path.join(top, name)
    with open(image, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    os.mkdir(directory)
    # Its tables are written now, not by the kernel while somebody is measured.
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-N", inodes, image)
    device = run("losetup", "--find", "--show", "--direct-io=on", image).strip()
    try:
        run("mount", device, directory)
    finally:
        run("losetup", "--detach", device)      # when it is unmounted
    return directory


@contextlib.contextmanager
def file_systems(wanted):
    """A directory for each name of `wanted`, the root of an ext4 of its own with that many (bytes, inodes)."""
    top = tempfile.mkdtemp(prefix="longhaul-bench-", dir=WHERE)
    made = []
    try:
        free = shutil.disk_usage(WHERE).free
        needed = sum(size for size, _ in wanted.values()) + GIB
        if free < needed:
            raise Failed(f"{WHERE} has {free / GIB:.0f} GiB free, and {needed / GIB:.0f} are needed: ask for fewer files or runs")
        for name, (size, inodes) in wanted.items():
            made.append(mounted(top, name, size, inodes))
        yield made
    finally:
        for directory in made:
            run("umount", directory)
        shutil.rmtree(top)
