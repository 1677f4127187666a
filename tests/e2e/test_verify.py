# `longhaul verify` on the real processes: what others did at the target is found on its disk, named, and sent again.
# SPDX-License-Identifier: Apache-2.0
import json
import os
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
        self.assertEqual(report["objects"] + report["changed"], 202, report)
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
        self.assertEqual((status, report["differing"], report["missing"]), (1, 2, 1), report)
        self.assertEqual(self.named(), {"large", "d/7", "d/8"})
        self.wait_equal(60)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), large)
        wait_for(lambda: self.world.rpo("data")["objects_behind"] == 0, 30, "everything to be published again")
        status, report = self.verify()
        self.assertEqual((status, report["differing"], report["missing"]), (0, 0, 0), report)

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
        self.assertEqual(report["objects"] + report["changed"], 3000, report)
        self.assertEqual(report["differing"] + report["missing"] + report["unreadable"], 0, report)
        self.assertEqual(self.named(), set())


if __name__ == "__main__":
    unittest.main()
