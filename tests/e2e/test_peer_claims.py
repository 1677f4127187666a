# What the target's control says it holds is checked against what was sent to it: a word that cannot be true makes the lag
# unknown, with the reason, and is told as an event; nothing is taken back or deleted for it.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import sqlite3
import unittest

from harness import TwoSites, wait_for, write

HOUR_NS = 3_600_000_000_000


class PeerClaims(TwoSites):
    def seed(self):
        self.start_world()
        write(os.path.join(self.source, "kept"), b"first")
        self.create_dataset()
        self.wait_settled()

    def make_again(self):
        wait_for(lambda: self.world.healthy("west") and self.world.link_up("east"), 30, "the target's control")
        self.world.cli("east", "datasets", "remove", "data")
        self.create_dataset()
        self.wait_settled()

    def state(self):
        return self.world.path("west", "state")

    def assert_doubted(self, words):
        wait_for(lambda: self.world.rpo("data").get("quality") == "unknown", 60, "the lag to be unknown")
        view = self.world.rpo("data")
        self.assertIn(words, view["quality_reason"])
        self.assertEqual((view["state"], view["rpo_lag_s"], view["durable_lag_s"]), ("UNKNOWN", None, None))
        wait_for(lambda: self.world.rpo("data")["unknown_for_s"] > view["unknown_for_s"] + 2, 30, "the time without a word to grow")
        events = self.world.get("east", "/v1/events")["events"]
        self.assertTrue(any(words in event["text"] for event in events), events)
        self.assert_equal_trees()

    def test_an_epoch_that_has_ended_is_not_believed(self):
        # Proves that a target whose state was put back, and which therefore speaks of the replica before this one, is named
        # as that; that changes are not claimed on its word; and that the dataset, made again, recovers.
        self.seed()
        self.world.kill("west-control")
        kept = os.path.join(self.folder, "kept-state")
        shutil.copytree(self.state(), kept)
        self.world.restart("west-control")
        self.make_again()
        self.world.kill("west-control")
        shutil.rmtree(self.state())
        shutil.copytree(kept, self.state())
        self.world.restart("west-control")
        self.assert_doubted("an epoch that has ended")
        self.make_again()
        self.assertEqual(self.world.rpo("data")["quality"], "proven")

    def test_a_watermark_that_was_never_sent_is_not_believed(self):
        # Proves that a target that claims to hold more than it was ever told makes the lag unknown, not smaller.
        self.seed()
        self.world.kill("west-control")
        with sqlite3.connect(os.path.join(self.state(), "longhaul.sqlite")) as state:
            self.assertEqual(state.execute("UPDATE targets SET w_pub = w_pub + ?", (HOUR_NS,)).rowcount, 1)
        state.close()
        self.world.restart("west-control")
        self.assert_doubted("claims a watermark that was never sent to it")


if __name__ == "__main__":
    unittest.main()
