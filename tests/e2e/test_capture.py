# Events make changes travel at once: with an hour between two sweeps, what changes arrives all the same, and no sweep was
# made. That is so under consistency `object`: an order of changes is proven by sweeps alone.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import unittest

from harness import TwoSites, can_mount, wait_for, write

RESCAN_S = 3600


class Capture(TwoSites):
    def dataset(self, name="data"):
        answer = self.world.rest("east", "GET", f"/v1/datasets/{name}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def start(self, **more):
        self.start_world()
        self.make_source(size_mib=8, files=100)
        self.create_dataset(rescan_s=RESCAN_S, rpo_target_s=3 * RESCAN_S, consistency="object", **more)
        self.wait_settled()
        view = self.dataset()
        self.assertEqual((view["capture"]["kind"], view["capture"]["reason"]), ("fanotify", None))
        self.assertEqual(view["sweeps"], 1)

    def assert_followed(self):
        # By hints alone: the replica is its source, and nothing was swept since, nor proven.
        before = self.dataset()
        self.wait_equal(30)
        after = self.dataset()
        self.assertEqual(after["sweeps"], before["sweeps"])
        self.assertEqual(after["rpo"]["watermarks"]["published"], before["rpo"]["watermarks"]["published"])

    def test_a_change_arrives_without_waiting_for_the_next_sweep(self):
        # Proves that each kind of change is published by what the kernel says of it, and that only a sweep proves it.
        self.start()
        write(os.path.join(self.source, "made"), b"x" * 100_000)
        write(os.path.join(self.source, "new", "deep", "file"), b"1")
        self.assert_followed()
        os.rename(os.path.join(self.source, "new"), os.path.join(self.source, "moved"))
        write(os.path.join(self.source, "made"), b"y" * 3_000_000)
        os.symlink("made", os.path.join(self.source, "link"))
        self.assert_followed()
        shutil.rmtree(os.path.join(self.source, "moved"))
        os.chmod(os.path.join(self.source, "made"), 0o600)
        self.assert_followed()
        self.assertEqual(self.dataset()["capture"]["losses"], 0)
        proven = self.world.rpo("data")["watermarks"]["published"]
        self.assertEqual(self.world.rest("east", "POST", "/v1/datasets/data/rescan").status, 202)
        wait_for(lambda: self.world.rpo("data")["watermarks"]["published"] > proven, 30, "a sweep to prove it")

    def test_a_change_made_while_control_was_down_is_found_when_it_is_back(self):
        # Proves that a restart falls back to a sweep: nobody listened meanwhile.
        self.start()
        self.world.kill("east-control")
        write(os.path.join(self.source, "made-unheard"), b"1")
        self.world.restart("east-control")
        self.wait_equal(40)
        write(os.path.join(self.source, "made-heard"), b"2")
        self.assert_followed()

    def test_a_source_that_is_unmounted_is_unknown_until_it_is_back(self):
        # Proves that an idle source is not kept busy, that its absence is seen at once and takes nothing away at the target,
        # and that it recovers by itself, with the next sweep an hour away.
        if not can_mount():
            self.skipTest("nothing can be mounted here")
        lake = os.path.join(self.folder, "lake")
        os.makedirs(lake)

        def mount():
            subprocess.run(["mount", "--bind", lake, self.source], check=True)

        mount()
        self.addCleanup(lambda: subprocess.run(["umount", "-l", self.source], capture_output=True))
        self.start()
        wait_for(lambda: subprocess.run(["umount", self.source], capture_output=True).returncode == 0, 30,
                 "the source to be idle, so that it can be unmounted", every=0.2)
        wait_for(lambda: self.world.rpo("data")["quality"] == "unknown", 30, "its absence to be seen")
        view = self.dataset()
        self.assertEqual(view["rpo"]["state"], "UNKNOWN")
        self.assertTrue(view["problem"])
        lag = view["rpo"]["rpo_lag_s"]
        wait_for(lambda: self.world.rpo("data")["rpo_lag_s"] > lag + 3, 30, "the lag to grow")
        self.assert_equal_trees(source=lake)
        mount()
        write(os.path.join(self.source, "made-when-back"), b"1")
        self.wait_equal(40)
        wait_for(lambda: self.world.rpo("data")["quality"] == "proven", 30, "the lag to be known again")
        self.assertIsNone(self.dataset()["problem"])

    def test_without_the_capability_it_sweeps_and_says_so(self):
        # Proves that the reason stands in the API, and that such a dataset works as before, once a period.
        self.start_world(wrap={"east-control": ["setpriv", "--bounding-set", "-sys_admin"]})
        self.make_source(size_mib=1, files=10)
        self.create_dataset(rescan_s=1)
        self.wait_settled()
        capture = self.dataset()["capture"]
        self.assertEqual(capture["kind"], "sweeps")
        self.assertIn("CAP_SYS_ADMIN", capture["reason"])
        write(os.path.join(self.source, "made"), b"1")
        self.wait_equal(30)


if __name__ == "__main__":
    unittest.main()
