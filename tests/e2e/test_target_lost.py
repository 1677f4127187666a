# The target's directory goes away under the dataplane: named at the source, nothing claimed, and back by itself.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import unittest

from harness import TwoSites, wait_for, write


class TargetLost(TwoSites):
    def problem(self):
        return self.world.get("east", "/v1/datasets/data")["problem"] or ""

    def seed(self):
        self.start_world()
        write(os.path.join(self.source, "kept"), b"first")
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(30)

    def test_a_directory_that_comes_back_is_gone_on_with(self):
        # Proves that what comes while the target's directory has another name is not put anywhere and not claimed, that the
        # API says why, and that it goes on by itself, sending only what was missing, once the directory is back.
        self.seed()
        away = self.replica + "-away"
        os.rename(self.replica, away)
        write(os.path.join(self.source, "late"), b"second")
        self.wait_failure("late", "store_gone")
        wait_for(lambda: "put it back" in self.problem(), 20, "the reason to be shown")
        self.assertFalse(os.path.exists(os.path.join(away, "late")))
        self.assertFalse(os.path.exists(self.replica), "it must not be made anew")
        proven = self.world.rpo("data")["watermarks"]["published"]
        os.rename(away, self.replica)
        self.wait_equal(60)
        wait_for(lambda: self.world.rpo("data")["watermarks"]["published"] > proven, 30, "a newer proof")
        wait_for(lambda: self.problem() == "", 20, "the problem to end")

    def test_an_empty_directory_in_its_place_is_not_taken_for_the_replica(self):
        # Proves that a replica which was removed and made anew, or an empty mount point, is noticed, also behind a restart of
        # the dataplane; that no newer watermark is claimed; and that the dataset, made again, seeds it anew.
        self.seed()
        shutil.rmtree(self.replica)
        os.mkdir(self.replica)
        write(os.path.join(self.source, "late"), b"second")
        self.wait_failure("late", "store_gone")
        wait_for(lambda: "not the directory that the replica was put into" in self.problem(), 20, "the reason to be shown")
        proven = self.world.rpo("data")["watermarks"]["published"]
        self.world.kill("west-dataplane")
        self.world.restart("west-dataplane")
        wait_for(lambda: "not the directory that the replica was put into" in self.problem(), 30, "the reason, once more")
        self.assertEqual(self.world.rpo("data")["watermarks"]["published"], proven)
        self.assertEqual(os.listdir(self.replica), [])
        self.world.cli("east", "datasets", "remove", "data")
        self.create_dataset()
        self.wait_equal(60)


if __name__ == "__main__":
    unittest.main()
