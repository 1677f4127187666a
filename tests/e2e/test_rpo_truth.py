# What the reported lag promises is there, and what an ordered replica shows is a prefix: a writer stamps files while links
# are cut and nodes killed. `LONGHAUL_E2E_MINUTES=N tests/e2e/run test_rpo_truth` goes on for N minutes.
# SPDX-License-Identifier: Apache-2.0
import os
import random
import threading
import time
import unittest

from harness import TwoSites, wait_for
from ordered_writer import OrderedReader, OrderedWriter

RESCAN_S = 1
FILES = 20


class Writer(threading.Thread):
    """Replaces one of a few files after the other by the time, in order; knows what it has written, and when."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.lock, self.done = root, threading.Lock(), threading.Event()
        self.written = []   # (wall time after it was in place, file number, stamp)

    def run(self):
        number = 0
        while not self.done.is_set():
            number += 1
            name, stamp = number % FILES, f"{number} {time.time():.6f}"
            temporary = os.path.join(self.root, f".new-{name}")
            with open(temporary, "w") as file:
                file.write(stamp)
            os.rename(temporary, os.path.join(self.root, f"stamp-{name}"))
            with self.lock:
                self.written.append((time.time(), name, number))
            self.done.wait(0.05)

    def newest_by(self, until):
        """The newest number of each file that was in place at `until`."""
        newest = {}
        with self.lock:
            for when, name, number in self.written:
                if when <= until:
                    newest[name] = number
        return newest


class Disturbed(TwoSites):
    def disturb(self, dice):
        kind = dice.choice(["cut", "cut", "west-dataplane", "east-dataplane", "west-control", "east-control"])
        if kind == "cut":
            self.world.wan_set(down="true")
            yield dice.uniform(1, 6)
            self.world.wan_set(down="false")
        else:
            self.world.kill(kind)
            yield dice.uniform(0.2, 3)
            self.world.restart(kind)
        yield dice.uniform(3, 8)

    def look_on_while_disturbed(self, look):
        """`look` says whether it has seen something."""
        dice = random.Random(5)
        until = time.monotonic() + 60 * float(os.environ.get("LONGHAUL_E2E_MINUTES", "0.6"))
        counts, disturbed = [], 0
        while time.monotonic() < until:
            disturbed += 1
            for pause in self.disturb(dice):
                end = time.monotonic() + pause

                def looked():
                    counts.append(look())
                    return time.monotonic() >= end

                wait_for(looked, pause + 60, "the disturbance to last", every=0.1)
        return counts, disturbed


class RpoTruth(Disturbed):
    def held(self):
        numbers = {}
        for name in range(FILES):
            try:
                with open(os.path.join(self.replica, f"stamp-{name}")) as file:
                    numbers[name] = int(file.read().split()[0])
            except (FileNotFoundError, IndexError):
                numbers[name] = 0
        return numbers

    def look(self):
        """One comparison. The lag is read before the target, which only moves on; so what it promises must be there."""
        asked = time.time()
        try:
            view = self.world.rpo("data")
        except Exception:  # control is down: it promises nothing
            return None
        if not view or view.get("rpo_lag_s") is None:
            return None
        promised = self.writer.newest_by(asked - view["rpo_lag_s"])
        held = self.held()
        missing = {name: (number, held[name]) for name, number in promised.items() if held[name] < number}
        self.assertFalse(missing, f"lag {view['rpo_lag_s']:.2f} s, state {view['state']}: missing (promised, held) {missing}")
        return view

    def test_no_stamp_that_the_lag_calls_safe_is_missing(self):
        # Proves the lag against the one thing that counts: what stands at the target.
        self.start_world()
        self.writer = Writer(self.source)
        self.writer.start()
        self.addCleanup(self.writer.done.set)
        self.create_dataset(rescan_s=RESCAN_S, rpo_target_s=20)
        wait_for(lambda: self.world.rpo("data").get("rpo_lag_s") is not None, 60, "the first proof", every=0.3)
        counts, disturbed = self.look_on_while_disturbed(lambda: self.look() is not None)
        looks, known = len(counts), sum(counts)
        print(f"        {looks} looks, {known} with a lag, {disturbed} disturbances, 0 violations", flush=True)
        self.assertGreater(known, looks // 4, "the lag was hardly ever known")
        wait_for(lambda: (self.look() or {}).get("state") == "PROTECTED", 60, "the dataset to be protected again", every=0.3)
        self.writer.done.set()
        self.wait_equal(60)


class OrderTruth(Disturbed):
    def look(self):
        wrong = self.reader.look()
        self.assertFalse(wrong, "\n".join(wrong[:10]))
        seen, self.seen = self.seen, self.reader.newest
        return self.seen > seen

    def test_what_an_ordered_replica_shows_is_a_prefix(self):
        # Proves that no change shows before those that came before it, that no name goes early and that nothing goes back.
        self.start_world()
        self.writer = OrderedWriter(self.source, seed=7)
        self.reader, self.seen = OrderedReader(self.replica, self.writer), 0
        self.writer.start()
        self.addCleanup(self.writer.done.set)
        self.create_dataset(consistency="ordered", rescan_s=RESCAN_S, rpo_target_s=20, delete_hold_objects=0)
        wait_for(self.look, 60, "the first change to show", every=0.1)
        counts, disturbed = self.look_on_while_disturbed(self.look)
        self.writer.done.set()
        self.writer.join()
        print(f"        {len(counts)} looks, {sum(counts)} saw something new, {disturbed} disturbances, "
              f"{self.writer.number} changes, 0 violations", flush=True)
        self.assertGreater(sum(counts), 10, "hardly anything ever showed")
        self.wait_equal(60)
        self.assertFalse(self.reader.look())
        for node in ("east", "west"):
            refused = [event for event in self.world.rest(node, "GET", "/v1/events").json["events"]
                       if event["kind"] == "ORDER_VIOLATION"]
            self.assertFalse(refused, "the door had to refuse a publication")


if __name__ == "__main__":
    unittest.main()
