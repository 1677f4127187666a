# `longhaul verify` on the real processes: what others did at the target is found on its disk, named, and sent again.
# SPDX-License-Identifier: Apache-2.0
import functools
import json
import os
import shutil
import unittest

from harness import MIB, TwoSites, wait_for, write


class Verify(TwoSites):
    def verify(self):
        done = self.world.cli("east", "--json", "verify", "data", "--wait", check=False)
        return done.returncode, json.loads(done.stdout)

    def named(self):
        return {event["object"] for event in self.world.get("east", "/v1/events")["events"]
                if event["kind"] == "VERIFY_FAIL"}

    def test_both_ends_are_compared_from_their_disks_and_repaired(self):
        # Proves that a flipped bit under unchanged dates, a file that was removed and one that was cut are found, and only
        # these; that comparing moves no payload; that they are sent again; and that a second comparison finds nothing.
        self.start_world()
        large = os.urandom(70 * MIB + 4321)
        write(os.path.join(self.source, "large"), large)
        for i in range(200):
            write(os.path.join(self.source, f"d/{i}"), os.urandom(10_000))
        write(os.path.join(self.source, "empty"), b"")
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(60)
        self.assertEqual(self.world.get("east", "/v1/datasets/data/verify")["state"], "never")
        sent = self.payload_counted(len(large) + 200 * 10_000)
        status, report = self.verify()
        self.assertEqual((status, report["state"]), (0, "done"), report)
        self.assertEqual(report["objects"] + report["changed"], 203, report)  # and d
        self.assertGreaterEqual(report["bytes"], len(large), report)
        self.assertEqual(report["differing"] + report["missing"] + report["unreadable"], 0, report)
        self.assertLess(self.payload_counted(sent) - sent, 1 * MIB, "comparing moves no payload")

        path = os.path.join(self.replica, "large")
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.seek(69 * MIB)
            byte = file.read(1)
            file.seek(69 * MIB)
            file.write(bytes((byte[0] ^ 16,)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.unlink(os.path.join(self.replica, "d/7"))
        os.truncate(os.path.join(self.replica, "d/8"), 9_999)
        status, report = self.verify()
        self.assertEqual((status, report["differing"], report["metadata"], report["missing"]), (1, 3, 0, 1), report)
        self.assertEqual(self.named(), {"large", "d/7", "d/8", "d"})  # a name is missing in d
        self.wait_equal(60)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), large)
        wait_for(lambda: self.world.rpo("data")["objects_behind"] == 0, 30, "everything to be published again")
        status, report = self.verify()
        self.assertEqual((status, report["differing"], report["missing"]), (0, 0, 0), report)

    def test_what_is_not_bytes_is_compared_and_repaired(self):
        # Proves that changed mode, mtime, owner and attribute, another symlink text, and removed symlinks and directories are
        # found, each told with what differs, and repaired; and that no file's bytes travel for it.
        self.start_world()
        files = ("mode", "mtime", "owner", "attribute", "added", "same")
        for name in files:
            write(os.path.join(self.source, "d", name), os.urandom(1 * MIB))
        os.setxattr(os.path.join(self.source, "d/attribute"), "user.a", b"first")
        for name in ("text", "link"):
            os.symlink("elsewhere", os.path.join(self.source, "d", name))
        for name in ("gone/deeper", "closed"):
            os.makedirs(os.path.join(self.source, name))
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(60)
        status, report = self.verify()
        self.assertEqual((status, report["objects"] + report["changed"]), (0, 12), report)
        sent = self.payload_counted(len(files) * MIB)

        there = functools.partial(os.path.join, self.replica)
        dates = os.stat(there("d"))
        os.chmod(there("d/mode"), 0o600)
        os.utime(there("d/mtime"), ns=(1, os.stat(there("d/mtime")).st_mtime_ns - 1))
        os.chown(there("d/owner"), 1234, 4321)
        os.setxattr(there("d/attribute"), "user.a", b"second")
        os.setxattr(there("d/added"), "user.more", b"")
        os.unlink(there("d/text"))
        os.symlink("nowhere", there("d/text"))
        os.unlink(there("d/link"))
        os.utime(there("d"), ns=(1, dates.st_mtime_ns))
        os.rmdir(there("gone/deeper"))
        os.rmdir(there("gone"))
        os.chmod(there("closed"), 0o500)
        status, report = self.verify()
        self.assertEqual((status, report["differing"], report["metadata"], report["missing"]), (1, 9, 6, 3), report)
        told = {event["object"]: event["text"] for event in self.world.get("east", "/v1/events")["events"]
                if event["kind"] == "VERIFY_FAIL"}
        expected = {"d/mode": "other_mode", "d/mtime": "other_mtime", "d/owner": "other_owner", "d/text": "integrity",
                    "d/attribute": "other_attributes", "d/added": "other_attributes", "closed": "other_mode",
                    "d/link": "not at the target", "gone": "not at the target", "gone/deeper": "not at the target",
                    "d": "target_names", ".": "target_names"}
        self.assertEqual(told.keys(), expected.keys())
        for name, text in expected.items():
            self.assertIn(text, told[name])
        self.wait_equal(60)
        wait_for(lambda: self.world.rpo("data")["objects_behind"] == 0, 30, "everything to be published again")
        self.assertLess(self.payload_counted(sent) - sent, MIB // 4, "no bytes travel for metadata")
        status, report = self.verify()
        self.assertEqual((status, report["differing"], report["missing"]), (0, 0, 0), report)

    def test_what_others_put_there_is_found(self):
        # Proves that a file and a directory which others put into the replica, at its top and deeper, are found by their
        # directories' names until they are gone; and that files which come and go at the source meanwhile are not.
        self.start_world()
        for i in range(100):
            write(os.path.join(self.source, f"d/{i % 5}/{i}"), os.urandom(1000))
        self.create_dataset(delete_hold_objects=0)
        self.wait_settled()
        self.wait_equal(60)
        for turn in range(5):
            for i in range(turn, 100, 10):
                os.unlink(os.path.join(self.source, f"d/{i % 5}/{i}"))
                write(os.path.join(self.source, f"top-{turn}-{i}"), b"new")
            status, report = self.verify()
            self.assertEqual((status, report["differing"], report["missing"]), (0, 0, 0), report)
        self.wait_equal(60)
        self.wait_settled()
        write(os.path.join(self.replica, "d/3/intruder"), b"")
        os.mkdir(os.path.join(self.replica, "empty"))
        status, report = self.verify()
        self.assertEqual((status, report["differing"], report["missing"]), (1, 2, 0), report)
        self.assertEqual(self.named(), {"d/3", "."})
        os.unlink(os.path.join(self.replica, "d/3/intruder"))
        os.rmdir(os.path.join(self.replica, "empty"))
        status, report = self.verify()
        self.assertEqual((report["differing"], report["metadata"]), (1, 1), report)     # the mtime of d/3
        self.wait_equal(60)
        status, report = self.verify()
        self.assertEqual((status, report["differing"], report["missing"]), (0, 0, 0), report)

    def test_damage_is_found_by_reading_back(self):
        # Proves that a bit which flips under unchanged size and mtime after a file was published is found without a comparison
        # being asked for, named, and repaired. An object that cannot arrive keeps the dataset from being idle until then.
        def read_back():
            return self.world.get("east", "/v1/datasets/data/verify")["read_back"]

        self.start_world()
        write(os.path.join(self.source, "first"), b"first")
        self.create_dataset(consistency="object")
        self.wait_settled()
        self.wait_equal(60)
        wait_for(lambda: read_back()["files"] > 0, 30, "the first file to be read back")
        blocked = os.path.join(self.replica, "blocked")
        write(os.path.join(blocked, "in the way"), b"")
        write(os.path.join(self.source, "blocked"), b"a file")
        wait_for(lambda: "blocked" in self.failures(), 30, "the blocked file to fail")
        content = os.urandom(MIB)
        write(os.path.join(self.source, "victim"), content)
        wait_for(lambda: read_back()["waiting"] > 0, 30, "the file to wait for being read back")
        path = os.path.join(self.replica, "victim")
        dates = os.stat(path)
        with open(path, "r+b") as file:
            file.seek(MIB // 2)
            file.write(bytes((content[MIB // 2] ^ 1,)))
        os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))
        shutil.rmtree(blocked)
        wait_for(lambda: read_back()["differing"] > 0, 60, "the damage to be found")
        self.assertEqual(self.named(), {"victim"})
        self.wait_equal(60)
        self.assertEqual(self.world.get("east", "/v1/datasets/data/verify")["state"], "never", "nobody has asked")

    def test_a_comparison_survives_its_processes(self):
        # Proves that it goes on behind kill -9 of each of the four processes, and ends with everything compared.
        self.start_world()
        for i in range(3000):
            write(os.path.join(self.source, f"d{i % 10}/{i}"), os.urandom(200_000 if i % 100 == 0 else 500))
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(60)
        self.assertEqual(self.world.rest("east", "POST", "/v1/datasets/data/verify").status, 202)
        for name in ("west-dataplane", "east-control", "east-dataplane", "west-control"):
            self.world.kill(name)
            self.world.restart(name)
        self.world.healthy("east")
        wait_for(lambda: self.world.get("east", "/v1/datasets/data/verify")["state"] == "done", 60, "the comparison to end")
        report = self.world.get("east", "/v1/datasets/data/verify")
        self.assertEqual(report["objects"] + report["changed"], 3010, report)
        self.assertEqual(report["differing"] + report["missing"] + report["unreadable"], 0, report)
        self.assertEqual(self.named(), set())


if __name__ == "__main__":
    unittest.main()
