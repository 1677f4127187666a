# Losses, bursts, reordering, duplicates and corruption cost time, never a byte.
# SPDX-License-Identifier: Apache-2.0
import time
import unittest

from harness import Link, TwoSites, wait_for


class Lossy(TwoSites):
    def test_one_percent_in_bursts_over_100_ms(self):
        # Proves that erasure coding and repair deliver everything over a long link that loses 1 % in bursts of 8.
        self.start_world(Link(rtt_ms=100, loss=0.01, burst=8))
        self.make_source(size_mib=64, files=400)
        self.create_dataset()
        self.wait_settled(seconds=80)
        self.wait_equal(20)
        self.assertGreater(self.lost(), 0, "the link was to lose packets")

    def test_corruption_duplication_and_reordering(self):
        # Proves that a packet that was changed, doubled or overtaken on the way changes nothing at the target: bad
        # tags and replays are dropped and counted, and the stripes are repaired.
        self.start_world(Link(rtt_ms=20, loss=0))
        self.world.wan_set(corrupt="2%", duplicate="2%", reorder="5%")
        self.make_source(size_mib=32, files=100)
        self.create_dataset()
        self.wait_settled(seconds=80)
        self.wait_equal(20)
        totals = self.wan_totals()
        for name in ("corrupted", "duplicated", "reordered"):
            self.assertGreater(totals.get(name, 0), 0, name)

    def test_link_that_vanishes_and_comes_back(self):
        # Proves that an outage in the middle of a transfer ends by itself: no command, no wrong byte.
        self.start_world(Link(rate_bps=200_000_000, rtt_ms=20, loss=0))
        self.make_source(size_mib=64, files=100)
        self.create_dataset()
        wait_for(lambda: (self.world.rpo("data").get("bytes_published") or 0) > 0, 40, "the first published bytes")
        self.world.wan_set(down="true")
        wait_for(lambda: not self.world.link_up("east"), 30, "east to notice that the link is down", every=0.2)
        self.world.wan_set(down="false")
        self.wait_settled(seconds=80)
        self.wait_equal(20)

    def test_path_that_stops_carrying_full_packets(self):
        # Proves that an MTU black hole in the middle of a transfer (long packets vanish, short ones and thus the link's
        # liveness go on) is found, told, and survived with smaller packets: no command, no fragment, no wrong byte.
        self.start_world(Link(rate_bps=200_000_000, rtt_ms=20, loss=0))
        self.make_source(size_mib=64, files=100)
        self.create_dataset()
        wait_for(lambda: (self.world.rpo("data").get("bytes_published") or 0) > 0, 40, "the first published bytes")
        before = self.measured()["symbol_bytes"]
        self.world.wan_set(mtu="1380")
        began = time.monotonic()
        wait_for(lambda: self.measured().get("symbol_bytes", before) not in (0, before), 40, "smaller packets", every=0.05)
        print(f"    smaller packets {time.monotonic() - began:.1f} s after the path stopped carrying full ones", flush=True)
        self.wait_settled(seconds=80)
        self.wait_equal(20)
        measured = self.measured()
        self.assertEqual(before, 1408)
        self.assertEqual(measured["symbol_bytes"], 1280)    # 64 x 20: the largest of the table below 1380 - 76
        self.assertEqual(measured["path_symbol_bytes"], 1280)
        self.assertGreater(self.wan_totals().get("mtu_dropped", 0), 0, "the path was to drop full packets")

    def measured(self):
        return self.world.link("east").get("measured") or {}

    def lost(self):
        return self.wan_totals().get("lost", 0)

    def wan_totals(self):
        """The emulated link's counters, both directions added."""
        totals = {}

        def add(node):
            for name, value in node.items():
                if isinstance(value, dict):
                    add(value)
                elif isinstance(value, int) and not isinstance(value, bool):
                    totals[name] = totals.get(name, 0) + value

        add(self.world.wan_counters())
        return totals


if __name__ == "__main__":
    unittest.main()
