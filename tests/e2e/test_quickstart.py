# The first command a user types works, proves what it says, and leaves the machine as it found it.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import ROOT, build_folder, wait_for, write

QUICKSTART = os.path.join(ROOT, "deploy", "quickstart")
SMALL = ["--size", "24", "--files", "150"]


def hugepages():
    with open("/proc/sys/vm/nr_hugepages") as file:
        return int(file.read())


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="longhaul-e2e-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.work, True)
        self.pages = hugepages()
        self.addCleanup(lambda: self.assertEqual(hugepages(), self.pages, "the number of hugepages is restored"))

    def start(self, *arguments):
        child = subprocess.Popen([QUICKSTART, "--build", build_folder(), "--work", self.work, *arguments],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env=dict(os.environ, LONGHAUL_TEST_MARK=self.work))
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        return child

    def children(self):
        """Names of Longhaul's processes that this test's quickstart has started: they inherit its mark."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    marked = f"LONGHAUL_TEST_MARK={self.work}".encode() in file.read().split(b"\0")
                name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                continue
            if marked and name.startswith("longhaul"):
                found.append(name)
        return found

    def test_generated_tree(self):
        # Proves the default way: with hugepages when permitted, everything verified, nothing left running.
        child = self.start(*SMALL)
        output = child.communicate(timeout=120)[0].decode()
        self.assertEqual(child.returncode, 0, output)
        for text in ("Proved", r"goodput", r"150 files", r"RPO lag\s+\d", r"http://127\.0\.0\.1:\d+"):
            self.assertRegex(output, text)
        self.assertEqual(self.children(), [])

    def test_own_source_and_keep_and_stop(self):
        # Proves that a tree of the user's is only read, that --keep keeps replicating, and that the stop script ends it.
        source = os.path.join(self.work, "mine")
        write(os.path.join(source, "a file"), b"content")
        child = self.start("--source", source, "--keep", "--no-hugepages")
        output = child.communicate(timeout=120)[0].decode()
        self.assertEqual(child.returncode, 0, output)
        self.assertEqual(len(self.children()), 5, output)
        write(os.path.join(source, "later"), b"arrives without being told to")
        try:
            wait_for(lambda: os.path.exists(os.path.join(self.work, "replicas", "quickstart", "later")), 40, "the later file")
            self.assertEqual(sorted(os.listdir(source)), ["a file", "later"])
        finally:
            stop = re.search(r"Stop everything with: (\S+)", output)[1]
            subprocess.run([stop], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual(self.children(), [])

    def test_interrupted_run_leaves_nothing_behind(self):
        # Proves that SIGTERM in the middle ends all children by their pids.
        child = self.start("--size", "200", "--files", "100", "--rate", "100M", "--no-hugepages")
        wait_for(lambda: len(self.children()) == 5, 60, "all five processes to run")
        child.send_signal(signal.SIGTERM)
        output = child.communicate(timeout=60)[0].decode()
        self.assertEqual(child.returncode, 130, output)
        self.assertEqual(self.children(), [])


if __name__ == "__main__":
    unittest.main()
