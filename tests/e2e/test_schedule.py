# Three datasets of different classes on two links of different rates, with the real processes: everyone sends at the rate
# that was solved for, and a cut link or a rate changed over the API is solved for within two turns of the scheduler.
# SPDX-License-Identifier: Apache-2.0
import os
import statistics
import unittest

from harness import MIB, Link, TwoSites, listed, wait_for

RATE = {"east-west-1": 100_000_000, "east-west-2": 50_000_000}
WITHIN = 0.10
SAMPLES = 60        # of what was achieved, a quarter of a second apart
SPAN_S = 10 + SAMPLES / 4       # each sample looks back ten seconds
OPEN_S = 2.1        # of its rate a flow may have open: when a busy machine has time again, that much may come on top
NOTICEABLE_BPS = 8_000_000      # below this a sample holds too few bundles of 1 MiB to be judged


class Schedule(TwoSites):
    def start(self):
        first = Link(rate_bps=RATE["east-west-1"], rtt_ms=20, loss=0)
        self.start_world(first, second=Link(rate_bps=RATE["east-west-2"], rtt_ms=20, loss=0))
        for name, policy in (("gold", {"traffic": "latency", "cap_bps": "40M"}),
                             ("silver", {"traffic": "bulk", "floor_bps": "15M"}), ("scrap", {"traffic": "scavenger"})):
            source = os.path.join(self.source, name)
            os.makedirs(source)
            for number in range(60):        # holes would not be sent
                with open(os.path.join(source, f"object-{number}"), "wb") as file:
                    file.write(bytes(16 * MIB))
            self.world.create_dataset(name, source, os.path.join(self.replicas, name), rescan_s=60, **policy)

    def change_rate(self, link, rate_bps):
        for site in ("east", "west"):
            self.assertEqual(self.world.rest(site, "PATCH", f"/v1/links/{link}", {"rate": str(rate_bps)}).status, 200)

    def flows(self):
        return listed(self.world.get("east", "/v1/flows"), "flows")

    def turn(self):
        return max(flow["turn"] for flow in self.flows())

    def wait_flows(self, good, seconds, what):
        """Until the flows are as wanted; returns them."""
        found = []

        def check():
            found[:] = self.flows()
            return good(found)

        wait_for(check, seconds, what, every=0.05, alive=self.world.processes.values())
        return found

    def busy(self, flows):
        return len(flows) == 3 and all(flow["link"] and flow["reason"] != "idle" for flow in flows)

    def wait_steady(self):
        """Until everyone works and ten seconds, the span of `achieved_bps`, have passed under one assignment."""
        self.wait_flows(self.busy, 40, "all three to be at work")
        began, rates = self.turn(), {}

        def settled(flows):
            nonlocal began
            now = {flow["dataset"]: (flow["link"], round(flow["rate_bps"], -6)) for flow in flows}
            if any(now[name][0] != rates.get(name, (None, 0))[0] or
                   abs(now[name][1] - rates[name][1]) > 0.05 * rates[name][1] for name in now):
                rates.update(now)
                began = max(flow["turn"] for flow in flows)
            return max(flow["turn"] for flow in flows) >= began + 7

        self.wait_flows(settled, 60, "seven turns with one assignment")

    def judge(self, links):
        """Assigned: within each link's payload, nothing left over. Achieved: as assigned."""
        samples = {}

        def enough():
            for flow in self.flows():
                samples.setdefault(flow["dataset"], []).append((flow["achieved_bps"], flow["rate_bps"]))
            return len(samples["gold"]) >= SAMPLES

        wait_for(enough, 60, "samples of what is achieved", every=0.25, alive=self.world.processes.values())
        flows = self.flows()
        self.assertTrue(self.busy(flows), flows)
        self.assertEqual({flow["link"] for flow in flows}, set(links))
        for name, rate in links.items():
            payload = rate * 0.99 * self.link_document(name)["payload_share"]
            there = [flow for flow in flows if flow["link"] == name]
            assigned = sum(flow["rate_bps"] for flow in there)
            self.assertLessEqual(assigned, payload * 1.02)
            if not all(flow["reason"] == "cap" for flow in there):
                self.assertGreaterEqual(assigned, payload * 0.97)
        # Speeds are this machine's business; shares are ours. Nobody sends more than was assigned, and who shares a link
        # gets its part of what that link carries, whatever that is.
        assigned = {name: statistics.mean(rate for _, rate in pairs) for name, pairs in samples.items()}
        achieved = {name: statistics.mean(got for got, _ in pairs) for name, pairs in samples.items()}
        print(f"    assigned {[(f['dataset'], f['link'], f['rate_bps'], f['reason']) for f in flows]}, achieved "
              f"{ {name: round(bps) for name, bps in achieved.items()} }")
        for name, bps in achieved.items():
            if assigned[name] > NOTICEABLE_BPS:
                self.assertLess(bps, assigned[name] * (1 + WITHIN + OPEN_S / SPAN_S), name)
        for link in links:
            there = [flow["dataset"] for flow in flows if flow["link"] == link and assigned[flow["dataset"]] > NOTICEABLE_BPS]
            for name in there:
                wanted = assigned[name] / sum(assigned[other] for other in there)
                share = achieved[name] / sum(achieved[other] for other in there)
                self.assertLess(abs(share / wanted - 1), WITHIN, f"{name}: {share:.3f} of {link} instead of {wanted:.3f}")
        return flows

    def link_document(self, name):
        return self.world.get("east", f"/v1/links/{name}")

    def test_shares_are_as_solved_and_solved_again(self):
        self.start()
        self.wait_steady()
        flows = {flow["dataset"]: flow for flow in self.judge(RATE)}
        self.assertLessEqual(flows["gold"]["rate_bps"], 40_000_000)
        self.assertGreaterEqual(flows["silver"]["rate_bps"], 15_000_000 * 0.99)

        # A rate changed over the API: in force within two turns, and kept.
        turn = self.turn()
        self.change_rate("east-west-1", 70_000_000)

        def fits(flows):
            payload = 70_000_000 * 0.99 * self.link_document("east-west-1")["payload_share"]
            return sum(f["rate_bps"] for f in flows if f["link"] == "east-west-1") <= payload * 1.02

        changed = self.wait_flows(fits, 30, "the flows to fit the lower rate")
        self.assertLessEqual(max(flow["turn"] for flow in changed), turn + 2)
        self.wait_steady()
        self.judge({"east-west-1": 70_000_000, "east-west-2": RATE["east-west-2"]})

        # A cut link: nobody is left on it two turns after it is known to be down.
        self.world.second_set(down="true")
        wait_for(lambda: self.link_document("east-west-2")["state"] != "up", 30, "the cut to be noticed", every=0.05)
        turn = self.turn()
        moved = self.wait_flows(lambda flows: all(flow["link"] == "east-west-1" for flow in flows), 30,
                                "everybody to be on the link that is left")
        self.assertLessEqual(max(flow["turn"] for flow in moved), turn + 2)
        self.wait_steady()
        flows = {flow["dataset"]: flow for flow in self.judge({"east-west-1": 70_000_000})}
        self.assertGreaterEqual(flows["silver"]["rate_bps"], 15_000_000 * 0.99)
        self.assertGreater(flows["scrap"]["rate_bps"], 0)


if __name__ == "__main__":
    unittest.main()
