# Two links between the sites, each through a longhaul-wan of its own: one is cut under a transfer. Everything arrives by
# the other, nothing torn; and back, when the other one is cut after the first has returned.
# SPDX-License-Identifier: Apache-2.0
import os
import random
import time
import unittest

from harness import Link, TwoSites, Versions, listed, wait_for, write


class Failover(TwoSites):
    def flow_link(self):
        answer = self.world.rest("east", "GET", "/v1/flows")
        flows = listed(answer.json, "flows") if answer.status == 200 else []
        return flows[0].get("link") if flows else None

    def start_two_links(self, rate_bps, workers=None):
        link = Link(rate_bps=rate_bps, rtt_ms=20, loss=0.001)
        self.start_world(link, workers=workers, second=link)

    def test_a_link_is_cut_under_a_transfer(self):
        self.cut_under_a_transfer()

    def test_a_link_is_cut_under_a_transfer_of_two_workers(self):
        # Proves it where a bundle may leave by another worker than before, and come to another.
        self.cut_under_a_transfer({"east": 2, "west": 2})

    def cut_under_a_transfer(self, workers=None):
        self.start_two_links(200_000_000, workers)
        made = self.make_source(size_mib=120, files=600)
        versions = Versions(self.source)
        self.create_dataset()
        alive = self.world.processes.values()
        wait_for(lambda: versions.visible_bytes(self.replica) > made.bytes // 6, 60, "a sixth to be visible", every=0.02,
                 alive=alive)
        self.assertEqual(self.flow_link(), "east-west-1")
        self.assertLess(versions.visible_bytes(self.replica), made.bytes, "the cut must fall into the transfer")

        self.world.wan_set(down="true")
        seen, longest, last = versions.visible_bytes(self.replica), 0, time.monotonic()
        deadline = last + 1.5       # what is on its way is published a little later, then what comes by the other link
        while time.monotonic() < deadline:
            now = versions.visible_bytes(self.replica)
            if now > seen:
                longest, last, seen = max(longest, time.monotonic() - last), time.monotonic(), now
            time.sleep(0.005)
        print(f"after the cut: {longest * 1e3:.0f} ms was the longest time without a newly published file")
        wait_for(lambda: self.flow_link() == "east-west-2", 20, "the flow to show the other link", alive=alive)
        self.assertEqual(versions.wrong_files(self.replica), [])

        self.wait_settled(seconds=90)
        self.assert_equal_trees()
        self.assertEqual(versions.wrong_files(self.replica), [])
        moved = self.world.get("east", "/v1/status")["core"]["since_start"]["bundles_moved"]
        self.assertGreater(moved, 0, "bundles were under way when the link died")

        self.world.wan_set(down="false")
        wait_for(lambda: self.world.link("east").get("answering"), 40, "the link to answer again", alive=alive)
        self.world.second_set(down="true")
        wait_for(lambda: self.flow_link() == "east-west-1", 40, "the flow to return", alive=alive)
        for number in range(20):
            write(os.path.join(self.source, f"later-{number}"), random.Random(number).randbytes(200_000))
        self.wait_equal(60)

    def test_a_flow_is_moved_on_wish(self):
        # Proves it while bundles are under way: those end where they are, what comes later takes the other link.
        self.start_two_links(100_000_000)
        self.make_source(size_mib=32, files=300)
        self.create_dataset()
        wait_for(lambda: self.flow_link() == "east-west-1", 20, "the flow to begin on the first link")
        self.world.cli("east", "datasets", "set", "data", "--link", "east-west-2")
        self.assertEqual(self.flow_link(), "east-west-2")
        self.wait_settled(seconds=90)
        self.assert_equal_trees()
        sent = self.world.get("east", "/v1/links/east-west-2")["measured"]["tx_payload_bytes"]
        self.assertGreater(sent, 0)
        refused = self.world.rest("east", "PATCH", "/v1/datasets/data", {"link": "nowhere"})
        self.assert_problem(refused, 400)


if __name__ == "__main__":
    unittest.main()
