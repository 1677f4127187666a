# The RPO lag is computed from proofs: idle it stays small, a cut link lets it grow with the clock, and it recovers.
# SPDX-License-Identifier: Apache-2.0
import os
import time
import unittest

from harness import TwoSites, wait_for, write

RESCAN_S = 2


class Rpo(TwoSites):
    def lag(self):
        return self.world.rpo("data").get("rpo_lag_s")

    def start(self):
        self.start_world()
        self.make_source(size_mib=8, files=100)
        self.create_dataset(rescan_s=RESCAN_S)

    def test_seeding_is_a_state_and_not_a_number(self):
        # Proves that no lag is claimed before a first sweep has been published entirely.
        self.start_world()
        self.make_source(size_mib=64, files=50)
        self.world.wan_set(down="true")
        self.create_dataset(rescan_s=RESCAN_S)
        wait_for(lambda: (self.world.rpo("data").get("objects_total") or 0) >= 50, 30, "the first sweep to be known")
        view = self.world.rpo("data")
        self.assertEqual((view["state"], view["rpo_lag_s"]), ("SEEDING", None))
        self.world.wan_set(down="false")
        self.wait_settled(seconds=60)
        self.assertEqual(self.world.rpo("data")["quality"], "proven")

    def test_idle_lag_stays_below_twice_the_rescan_period(self):
        # Proves that an idle dataset is not a stale one: each clean sweep moves the watermark to its start.
        self.start()
        self.wait_settled()
        lags, until = [], time.monotonic() + 6 * RESCAN_S

        def sample():
            lags.append(self.lag())
            return time.monotonic() >= until

        wait_for(sample, 20 * RESCAN_S, "six rescan periods to pass")
        self.assertNotIn(None, lags)
        self.assertLess(max(lags), 2 * RESCAN_S)
        self.assertTrue(any(b < a for a, b in zip(lags, lags[1:])), "the lag is a saw-tooth: each sweep brings it down")

    def test_lag_grows_with_the_clock_while_the_link_is_down_and_then_shrinks(self):
        # Proves that a disconnection is shown as what it is, second for second, and ends by itself.
        self.start()
        self.wait_settled()
        self.world.wan_set(down="true")
        write(os.path.join(self.source, "made-in-the-dark"), b"x" * 100_000)
        wait_for(lambda: (self.lag() or 0) > 2 * RESCAN_S, 40, "the lag to leave its idle range")
        lag, began = self.lag(), time.monotonic()
        wait_for(lambda: (self.lag() or 0) > lag + 8, 30, "the lag to grow by 8 s")
        grown, elapsed = self.lag() - lag, time.monotonic() - began
        self.assertAlmostEqual(grown / elapsed, 1, delta=0.1)
        self.assertGreater(self.world.rpo("data")["objects_behind"], 0)
        self.world.wan_set(down="false")
        wait_for(lambda: (self.lag() or 1e9) < 2 * RESCAN_S, 60, "the lag to be back in its idle range", every=0.2)
        self.wait_equal(20)

    def test_lag_grows_while_the_target_is_gone(self):
        # Proves that a dead target is no reason for a stale figure that looks well.
        self.start()
        self.wait_settled()
        self.world.kill("west-dataplane")
        self.world.kill("west-control")
        wait_for(lambda: (self.lag() or 0) > 3 * RESCAN_S, 40, "the lag to grow")
        self.world.restart("west-dataplane")
        self.world.restart("west-control")
        wait_for(lambda: (self.lag() or 1e9) < 2 * RESCAN_S, 60, "the lag to be back in its idle range", every=0.2)


if __name__ == "__main__":
    unittest.main()
