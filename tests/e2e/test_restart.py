# Any of the four processes may be killed at any moment: no torn or wrong file is ever visible, and the rest is automatic.
# SPDX-License-Identifier: Apache-2.0
import os
import random
import unittest

from harness import MIB, Link, TwoSites, Versions, wait_for, write


class Restart(TwoSites):
    def run_with_kills(self, victims):
        # The link is slow enough that every kill falls into the transfer, and each waits for new progress first.
        self.start_world(Link(rate_bps=200_000_000, rtt_ms=20, loss=0.001))
        made = self.make_source(size_mib=120, files=300)
        versions = Versions(self.source)
        self.create_dataset()
        alive = self.world.processes.values()

        def look():
            wrong = versions.wrong_files(self.replica)
            self.assertEqual(wrong, [], "visible at the target")
            return versions.visible_bytes(self.replica)

        for number, victim in enumerate(victims):
            share = made.bytes * (number + 1) // (len(victims) + 3)
            wait_for(lambda share=share: look() >= share, 60, f"{share} bytes to be visible before {victim} is killed",
                     every=0.05, alive=alive)
            self.assertLess(look(), made.bytes, "the kill must fall into the transfer")
            self.world.kill(victim)
            look()
            self.change_one_large_file(versions, number)
            look()
            self.world.restart(victim)
        # From here nobody helps: it has to converge by itself.
        wait_for(lambda: look() and self.world.healthy("east") and self.world.healthy("west"), 30, "both APIs to be healthy")
        wait_for(lambda: (look(), self.world.rpo("data").get("rpo_lag_s"))[1] is not None, 60, "the dataset to be proven",
                 every=0.2, alive=alive)
        self.wait_equal(40)
        look()
        self.assertGreater(versions.checks, 100)

    def change_one_large_file(self, versions, number):
        """A version that replaces another while the process is away: both are whole, a mixture is not."""
        made = os.path.join(self.folder, "next-version")
        with open(made, "wb") as file:
            file.write(random.Random(number).randbytes(2 * MIB))
        versions.learn_from(made, "versioned")
        os.rename(made, os.path.join(self.source, "versioned"))     # whole at every moment, as careful sources do it

    def test_dataplanes(self):
        # Proves it for both dataplanes, the target's twice: bundles are open on both sides when they die.
        self.run_with_kills(["west-dataplane", "east-dataplane", "west-dataplane"])

    def test_controls(self):
        # Proves it for both control processes: what they knew is in their state, and they say everything again.
        self.run_with_kills(["east-control", "west-control", "east-control"])

    def test_both_processes_of_a_site_at_once(self):
        # Proves that a node that loses power comes back as one.
        self.start_world(Link(rate_bps=200_000_000, rtt_ms=20, loss=0.001))
        made = self.make_source(size_mib=64, files=200)
        versions = Versions(self.source)
        self.create_dataset()
        wait_for(lambda: versions.visible_bytes(self.replica) > made.bytes // 4, 60, "a quarter to be visible", every=0.05)
        for kind in ("dataplane", "control"):
            self.world.kill(f"west-{kind}")
        self.assertEqual(versions.wrong_files(self.replica), [])
        for kind in ("dataplane", "control"):
            self.world.restart(f"west-{kind}")
        self.wait_equal(60)
        self.assertEqual(versions.wrong_files(self.replica), [])

    def test_staging_holds_no_data_when_nothing_is_under_way(self):
        # Proves that what a killed target left half written is cleared away by its successor. What may stay: empty markers
        # of assembled objects (d-*), which make a repeated `assemble` a success and age out, and how far the order has come.
        self.start_world(Link(rate_bps=200_000_000, rtt_ms=20, loss=0.001))
        write(os.path.join(self.source, "large"), random.Random(1).randbytes(64 * MIB))
        self.create_dataset()
        staging = os.path.join(self.replica, ".longhaul", "staging")
        staged = lambda: [os.path.join(folder, name) for folder, _, names in os.walk(staging) for name in names]
        wait_for(staged, 30, "something to be staged", every=0.02)
        self.world.kill("west-dataplane")
        self.world.restart("west-dataplane")
        self.wait_equal(60)
        self.wait_settled()
        left = lambda: [path for path in staged() if os.path.basename(path) != "order"
                        and not (os.path.basename(path).startswith("d-") and os.path.getsize(path) == 0)]
        wait_for(lambda: not left(), 20, "staging to hold nothing but empty markers")


if __name__ == "__main__":
    unittest.main()
