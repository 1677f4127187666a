# The tools that the proofs lean on are themselves proven: a comparison that cannot fail would prove nothing.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from harness import MIB, ROOT, Failed, Versions, compare_trees, make_tree, wait_for, write

sys.path.insert(0, os.path.join(ROOT, "deploy", "lib"))
from make_tree import file_sizes  # noqa: E402
from processes import Process, parse_milliseconds, parse_rate, parse_share  # noqa: E402


class Tools(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="longhaul-tools-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.left, self.right = os.path.join(self.folder, "left"), os.path.join(self.folder, "right")

    def test_trees_of_one_seed_are_equal_and_of_two_are_not(self):
        # Proves that a seed names one tree, so that a failure can be replayed, and that compare_trees sees another.
        for seed, root in ((7, self.left), (7, self.right), (8, os.path.join(self.folder, "other"))):
            made = make_tree(root, seed, 4 * MIB, 200)
        self.assertEqual(made.files, 200)
        self.assertTrue(compare_trees(self.left, self.right).equal)
        self.assertFalse(compare_trees(self.left, os.path.join(self.folder, "other")).equal)

    def test_sizes_have_the_shape_that_was_asked_for(self):
        # Proves the promise of the generated tree: about the size, empty files, one as large as allowed, block edges.
        import random
        sizes = file_sizes(random.Random(1), 5000, 1024 * MIB)
        self.assertEqual(len(sizes), 5000)
        self.assertEqual(max(sizes), 256 * MIB)
        self.assertGreaterEqual(sizes.count(0), 50)
        self.assertIn(64 * 1408, sizes)
        self.assertLess(abs(sum(sizes) - 1024 * MIB), 2 * MIB)
        self.assertEqual(file_sizes(random.Random(1), 1, 10), [10])

    def test_every_kind_of_difference_is_seen(self):
        # Proves that each way in which a replica can be wrong makes the comparison fail, one at a time.
        def spoil_content(path):
            status = os.stat(path)
            with open(path, "r+b") as file:
                file.seek(70_000)
                file.write(b"\0" if file.read(1) != b"\0" else b"\1")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

        def lengthen(path):
            os.truncate(path, 100_001)
            os.utime(path, ns=(1, 1_600_000_000_000_000_000))

        def relink(path):
            os.unlink(path)
            os.symlink("elsewhere", path)

        spoilers = {
            "content": lambda: spoil_content(self.right + "/file"),
            "longer": lambda: lengthen(self.right + "/file"),
            "mode": lambda: os.chmod(self.right + "/file", 0o640),
            "mtime by one ns": lambda: os.utime(self.right + "/file", ns=(1, 1_600_000_000_000_000_001)),
            "missing": lambda: os.unlink(self.right + "/file"),
            "extra": lambda: write(self.right + "/extra", b""),
            "symlink text": lambda: relink(self.right + "/link"),
            "kind": lambda: (os.unlink(self.right + "/file"), os.mkdir(self.right + "/file")),
            "directory mode": lambda: os.chmod(self.right + "/dir", 0o700),
            "directory mtime": lambda: os.utime(self.right + "/dir", ns=(1, 5)),
            "missing empty directory": lambda: os.rmdir(self.right + "/dir"),
        }
        if os.geteuid() == 0:
            spoilers["owner"] = lambda: os.chown(self.right + "/file", 4242, 0)
        for name, spoil in spoilers.items():
            with self.subTest(name):
                for root in (self.left, self.right):
                    shutil.rmtree(root, ignore_errors=True)
                    write(root + "/file", b"x" * 100_000, 0o644, 1_600_000_000_000_000_000)
                    os.symlink("file", root + "/link")
                    os.mkdir(root + "/dir")
                    os.utime(root + "/dir", ns=(1, 1_500_000_000_000_000_007))
                self.assertTrue(compare_trees(self.left, self.right).equal)
                spoil()
                self.assertEqual(compare_trees(self.left, self.right).different, 1)

    def test_longhauls_own_directory_is_left_out_at_the_root_only(self):
        # Proves that staging is not mistaken for content, and that a user's directory of that name deeper down is.
        for root in (self.left, self.right):
            write(root + "/sub/file", b"same", mtime_ns=1_600_000_000_000_000_000)
            os.utime(root + "/sub", ns=(1, 1))
        write(self.right + "/.longhaul/staging/b-1", b"half")
        self.assertTrue(compare_trees(self.left, self.right).equal)
        write(self.right + "/sub/.longhaul/x", b"half")
        os.utime(self.right + "/sub", ns=(1, 1))
        self.assertFalse(compare_trees(self.left, self.right).equal)

    def test_versions_know_torn_files(self):
        # Proves the check of the restart test: a prefix, a mixture and a foreign file are found; old versions pass.
        write(self.left + "/a", b"one" * 1000)
        versions = Versions(self.left)
        write(self.left + "/a", b"two" * 1000)
        versions.learn()
        for content, wrong in ((b"one" * 1000, 0), (b"two" * 1000, 0), (b"one" * 500, 1), (b"one" * 500 + b"two" * 500, 1)):
            write(self.right + "/a", content)
            self.assertEqual(len(versions.wrong_files(self.right)), wrong, content[:10])
        write(self.right + "/a", b"two" * 1000)
        write(self.right + "/never", b"")
        self.assertEqual(len(versions.wrong_files(self.right)), 1)

    def test_children_are_ended_and_waiting_for_the_dead_ends(self):
        # Proves that a wait does not outlast the process that it waits for, and that stop() needs no cooperation.
        process = Process("short", ["/bin/sh", "-c", "echo last words; exit 3"], self.folder + "/log").start()
        with self.assertRaisesRegex(Failed, "(?s)exit code 3.*last words"):
            wait_for(lambda: False, 30, "nothing", alive=[process])
        process = Process("deaf", ["/bin/sh", "-c", "trap '' TERM; echo ready; exec tail -f /dev/null"],
                          self.folder + "/deaf").start()
        wait_for(lambda: "\n  | ready" in process.tail(), 10, "the shell to be deaf")
        self.assertFalse(process.stop(seconds=0.2))
        self.assertFalse(process.running())

    def test_values_are_refused_with_an_example(self):
        # Proves that a mistyped option says what would be right, and that right ones mean what they say.
        self.assertEqual((parse_rate("1G"), parse_rate("2.5M"), parse_rate("64000")), (10**9, 2_500_000, 64000))
        self.assertEqual((parse_milliseconds("50ms"), parse_milliseconds("0.1s")), (50, 100))
        self.assertEqual((parse_share("1%"), parse_share("0.25")), (0.01, 0.25))
        for parse, wrong in ((parse_rate, "1T"), (parse_milliseconds, "50"), (parse_share, "100%"), (parse_share, "-1")):
            with self.assertRaisesRegex(ValueError, "write for example"):
                parse(wrong)

    def test_scripts_explain_themselves_and_change_nothing(self):
        # Proves that help and dry runs work anywhere, as any user, without touching the machine.
        for command in (["deploy/quickstart", "--help"], ["deploy/setup-host", "--help"], ["tests/run", "--help"],
                        ["deploy/setup-host", "--dry-run", "--hugepages-mib", "64"], ["deploy/lib/install-packages", "--help"]):
            done = subprocess.run([os.path.join(ROOT, command[0]), *command[1:]], stdin=subprocess.DEVNULL, capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreater(len(done.stdout), 100, command)
        done = subprocess.run([os.path.join(ROOT, "deploy/quickstart"), "--loss", "200%"], stdin=subprocess.DEVNULL,
                              capture_output=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"write for example", done.stderr)
