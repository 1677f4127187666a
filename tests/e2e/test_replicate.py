# A tree arrives whole, follows every kind of change, and the API and the CLI say so.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import random
import shutil
import unittest

from harness import MIB, Link, TwoSites, wait_for, write


class Replicate(TwoSites):
    def test_tree_and_then_every_kind_of_change(self):
        # Proves that odd names, modes, owners and times arrive exactly, and that modifying, adding, deleting, renaming,
        # and changing kinds and metadata all converge by themselves, a rescan later.
        self.start_world()
        self.make_source(size_mib=24, files=300)
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(20)
        self.change_everything()
        self.wait_equal(40)
        self.assertEqual(self.failures(), {})

    def change_everything(self):
        files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(os.fsencode(self.source))
                       for name in names if not os.path.islink(os.path.join(folder, name)))
        rng = random.Random(3)
        rng.shuffle(files)
        take = iter(files).__next__
        for _ in range(5):                                        # new content, same name
            path = take()
            os.chmod(path, 0o644)
            write(path, rng.randbytes(rng.randrange(300_000)))
        path = take()                                             # same size and same mtime: only ctime tells
        status = os.stat(path)
        os.chmod(path, 0o644)
        write(path, rng.randbytes(status.st_size), mtime_ns=status.st_mtime_ns)
        for _ in range(5):
            os.unlink(take())
        for _ in range(3):
            os.chmod(take(), 0o611)
        for _ in range(3):
            os.utime(take(), ns=(1, rng.randrange(10**18)))
        path = take()
        os.rename(path, path[:-3] + b"ren")                       # a rename is a removal and a creation
        path = take()
        os.unlink(path)
        os.symlink(b"instead of a file", path)
        path = take()
        os.unlink(path)
        os.makedirs(path + b"/now/a/directory")
        folders = sorted(name for name in os.listdir(self.source) if name.startswith("dir-0"))
        shutil.rmtree(os.path.join(self.source, folders[0]))      # a whole subtree
        write(os.path.join(self.source, folders[0]), b"a file where a directory was")
        os.unlink(os.path.join(self.source, "link-000"))
        os.symlink("another text", os.path.join(self.source, "link-000"))
        os.mkdir(os.path.join(self.source, "new-empty-directory"))
        write(os.path.join(self.source, "new", "deep", "file"), rng.randbytes(100_000))

    def test_large_file_in_many_bundles_and_its_next_version(self):
        # Proves that one file larger than a bundle is gathered, becomes visible whole, and is replaced whole.
        self.start_world(Link(rtt_ms=20, loss=0.001))
        path = os.path.join(self.source, "large.bin")
        write(path, random.Random(1).randbytes(200 * MIB + 4097))
        self.create_dataset()
        self.wait_equal(60)
        with open(path, "r+b") as file:
            file.seek(77 * MIB + 5)
            file.write(b"changed in the middle")
        self.wait_equal(60)

    def test_mode_copy_keeps_what_the_source_deletes(self):
        # Proves that a dataset in mode `copy` never deletes at the target, while new files still arrive.
        self.start_world()
        write(os.path.join(self.source, "kept"), b"kept")
        self.create_dataset(mode="copy")
        self.wait_equal(30)
        os.unlink(os.path.join(self.source, "kept"))
        write(os.path.join(self.source, "new"), b"new")
        wait_for(lambda: os.path.exists(os.path.join(self.replica, "new")), 30, "the new file at the target")
        self.wait_settled()
        with open(os.path.join(self.replica, "kept"), "rb") as file:
            self.assertEqual(file.read(), b"kept")

    def test_removing_a_dataset_leaves_the_replica(self):
        # Proves that DELETE stops replicating and takes nothing away from the target's readers.
        self.start_world()
        write(os.path.join(self.source, "file"), b"1")
        self.create_dataset()
        self.wait_equal(30)
        self.assertIn(self.world.rest("east", "DELETE", "/v1/datasets/data").status, (200, 202, 204))
        self.assert_problem(self.world.rest("east", "GET", "/v1/datasets/data"), 404)
        self.assert_equal_trees()

    def test_api_and_command_line_describe_the_same_world(self):
        # Proves that every documented collection answers, that /metrics and /openapi.json are served, and that the CLI
        # prints tables for people and JSON for scripts.
        self.start_world()
        self.make_source(size_mib=2, files=20)
        self.create_dataset()
        self.wait_settled()
        for site in ("east", "west"):
            for name in ("sites", "links", "datasets", "flows", "bundles", "rpo"):
                with self.subTest(site=site, collection=name):
                    self.assertIsNotNone(self.world.get(site, f"/v1/{name}"))
            metrics = self.world.rest(site, "GET", "/metrics")
            self.assertEqual(metrics.status, 200)
            self.assertIn(b"longhaul_", metrics.content)
            self.assertTrue(self.world.get(site, "/openapi.json")["openapi"].startswith("3.1"))
        for command in ("status", "datasets", "links", "flows", "rpo"):
            with self.subTest(command=command):
                self.assertGreater(len(self.world.cli("east", command).stdout), 10)
                json.loads(self.world.cli("east", command, "--json").stdout)
        self.assertIn(b"data", self.world.cli("east", "datasets").stdout)


if __name__ == "__main__":
    unittest.main()
