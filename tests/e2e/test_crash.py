# Processes die at random under random link faults: nothing wrong, torn, lost or stuck; and the judge of that is not blind.
# SPDX-License-Identifier: Apache-2.0
import os
import unittest

from crash_runs import LINK, CrashRuns, Run
from harness import TwoSites

RUNS = int(os.environ.get("LONGHAUL_CRASH_RUNS", "25"))
SEED = int(os.environ.get("LONGHAUL_SEED", "1"))


class Crash(TwoSites):
    def begin(self, consistency="ordered", read_back_share=1):
        self.start_world(LINK, read_back_share=read_back_share)
        self.create_dataset(consistency=consistency, delete_hold_objects=0)
        scratch = os.path.join(self.folder, "scratch")
        os.makedirs(scratch)
        return CrashRuns(self.world, "data", self.source, self.replica, scratch, SEED)

    def kill_at_random(self, consistency, count):
        runs = self.begin(consistency)
        for number in range(count):
            run = runs.one(number)
            self.assertEqual(run.bad, 0, "\n".join([f"run {number}, LONGHAUL_SEED={SEED}: killed {run.victims}, link {run.fault}",
                                                    *run.findings[:20]]))
        self.assertGreater(runs.versions.checks, count)

    def test_random_kills_under_random_link_faults(self):
        # Proves the product's first promise on the real processes: see crash_runs.py for what one run is.
        self.kill_at_random("ordered", RUNS - RUNS // 2)

    def test_random_kills_when_each_object_goes_by_itself(self):
        # Proves the same of consistency `object`.
        self.kill_at_random("object", RUNS // 2)

    def test_a_damaged_replica_would_be_noticed(self):
        # Proves that the runs above can fail: bytes that no version had are torn, a file that has gone is lost. Read back,
        # both would be mended before anybody looks.
        runs = self.begin(read_back_share=0)
        runs.tree.change(30)
        calm = Run(0, (), {})
        runs.converge(calm)
        self.assertEqual((calm.bad, calm.findings), (0, []))
        files = [name for name in runs.tree.files() if os.stat(os.path.join(self.source, name)).st_size > 0]
        with open(os.path.join(self.replica, files[0]), "r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 1]))
        os.unlink(os.path.join(self.replica, files[1]))
        damaged = Run(1, (), {})
        runs.look(damaged)
        runs.converge(damaged)
        self.assertGreaterEqual(damaged.torn, 1)
        self.assertEqual(damaged.lost, 1)
        self.assertGreaterEqual(damaged.wrong, 1)


if __name__ == "__main__":
    unittest.main()
