# Several workers a node: a link's lanes are divided among them, whatever the far end has, over ports with a single queue.
# SPDX-License-Identifier: Apache-2.0
import unittest

from harness import Link, TwoSites, Versions, wait_for


class Workers(TwoSites):
    def figures(self, site, count):
        """The figures of each worker of `site`, from its dataplane."""
        flat = self.world.telemetry(site, "/longhaul/workers")
        return [{name.split("_", 1)[1]: value for name, value in flat.items() if name.startswith(f"worker{number}_")}
                for number in range(count)]

    def run_with_kill(self, workers):
        # The link is slow enough that the kill falls into the transfer.
        self.start_world(Link(rate_bps=200_000_000, rtt_ms=20, loss=0.001), workers=workers)
        made = self.make_source(size_mib=64, files=300)
        versions = Versions(self.source)
        self.create_dataset()
        alive = self.world.processes.values()
        wait_for(lambda: versions.visible_bytes(self.replica) > made.bytes // 4, 60, "a quarter to be visible", every=0.05,
                 alive=alive)
        self.assertLess(versions.visible_bytes(self.replica), made.bytes, "the kill must fall into the transfer")
        self.world.kill("west-dataplane")
        self.assertEqual(versions.wrong_files(self.replica), [], "visible at the target")
        self.world.restart("west-dataplane")
        self.wait_equal(90)
        self.wait_settled()
        self.assert_equal_trees()
        self.assertEqual(versions.wrong_files(self.replica), [])

    def assert_divided(self, site, count, figure):
        """Nobody idles: each worker has a tenth of an even share at least. And no frame found a ring full."""
        wait_for(lambda: sum(one[figure] for one in self.figures(site, count)) > 1000, 10, f"{site}'s figures", every=0.3)
        done = self.figures(site, count)
        total = sum(one[figure] for one in done)
        for number, one in enumerate(done):
            self.assertGreater(one[figure], total / count / 10, f"{figure} of worker {number} at {site}: {done}")
            self.assertEqual(one["handoff_full"], 0, done)
        return done

    def test_two_workers_at_both_ends(self):
        # Proves that both workers of a node read, seal, open and write, that frames of the worker without a queue go
        # through the rings of the other, and that a target killed in the middle is caught up, byte for byte.
        self.run_with_kill({"east": 2, "west": 2})
        east = self.assert_divided("east", 2, "bytes_read")
        west = self.assert_divided("west", 2, "bytes_written")
        self.assertGreater(east[0]["relayed"], 1000, "memif has one queue: what worker 1 sends leaves by worker 0")
        self.assertGreater(west[0]["handed_over"], 1000, "and what comes for it is handed over")
        self.assertGreater(west[1]["taken_over"], 1000)
        self.assertEqual(self.world.link("east")["measured"]["groups"], 2)

    def test_one_worker_against_two(self):
        # Proves that ends with different numbers agree: the one worker of east serves both groups.
        self.run_with_kill({"west": 2})
        self.assert_divided("west", 2, "bytes_written")
        for site in ("east", "west"):
            self.assertEqual(self.world.link(site)["measured"]["groups"], 2)


if __name__ == "__main__":
    unittest.main()
