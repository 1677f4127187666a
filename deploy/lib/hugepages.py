# Borrows 2 MiB hugepages from the machine and gives back exactly what it took.
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess

COUNT = "/proc/sys/vm/nr_hugepages"
FREE = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
PAGE_MIB = 2


def _read(path):
    with open(path) as file:
        return int(file.read())


def _available_mib():
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return 0


def _mounted():
    with open("/proc/mounts") as file:
        return any(line.split()[2] == "hugetlbfs" for line in file)


class Hugepages:
    """`taken` says whether there are enough now; `text` says it to people. release() restores the machine."""

    def __init__(self, need_mib, mount_point):
        self.before = None           # the number to restore; None: we changed nothing
        self.mount_point = None      # what we mounted, to be unmounted
        self.taken = False
        self.text = self._take(need_mib // PAGE_MIB, mount_point)
        if not self.taken:
            self.release()

    def _take(self, pages, mount_point):
        if os.geteuid() != 0 or not os.access(COUNT, os.W_OK) or not os.path.exists(FREE):
            return "ordinary pages (reserving hugepages takes root and a writable vm.nr_hugepages)"
        try:
            missing = pages - _read(FREE)
            if missing > 0:
                if _available_mib() < missing * PAGE_MIB * 2:
                    return f"ordinary pages ({missing * PAGE_MIB} MiB of hugepages would take too much of this machine's memory)"
                self.before = _read(COUNT)
                with open(COUNT, "w") as file:
                    file.write(str(self.before + missing))
                if _read(FREE) < pages:
                    return "ordinary pages (memory is too fragmented for enough hugepages)"
            if not _mounted():
                os.makedirs(mount_point, exist_ok=True)
                subprocess.run(["mount", "-t", "hugetlbfs", "longhaul", mount_point], check=True, capture_output=True)
                self.mount_point = mount_point
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return f"ordinary pages (hugepages cannot be had here: {error})"
        self.taken = True
        return f"{pages} hugepages of {PAGE_MIB} MiB"

    def release(self):
        """Unmounts what we mounted and restores the number of hugepages. Call it after their users have ended."""
        if self.mount_point:
            subprocess.run(["umount", self.mount_point], check=False, capture_output=True)
            if os.path.isdir(self.mount_point):
                os.rmdir(self.mount_point)
            self.mount_point = None
        if self.before is not None:
            with open(COUNT, "w") as file:
                file.write(str(self.before))
            self.before = None

    def release_commands(self):
        """The same for a shell script, when somebody else has to do it later."""
        commands = []
        if self.mount_point:
            commands.append(f"umount {self.mount_point} && rmdir {self.mount_point}")
        if self.before is not None:
            commands.append(f"echo {self.before} >{COUNT}")
        return commands
