# Random kill -9 of any of the four processes under random link faults, again and again: nothing wrong, torn, lost or stuck.
# SPDX-License-Identifier: Apache-2.0
"""One run: the source changes, the link misbehaves, one to four processes die at random moments of the transfer, the source
changes on, they come back, the link heals. All the while every file that is visible at the target must be a whole version of
the source. In the end the trees must be equal, and no later than the watermark says so."""
import random
import time
from dataclasses import dataclass, field
from datetime import datetime

from changing_tree import ChangingTree
from harness import Failed, Link, Versions, compare_trees, settled, wait_for
from world import FRAME_BYTES, SYMBOL_BYTES

VICTIMS = ("east-dataplane", "east-control", "west-dataplane", "west-control")
CALM = {"loss": "0.1%", "burst": "1", "reorder": "0", "duplicate": "0", "corrupt": "0", "down": "false"}
FAULTS = ({}, {"loss": "3%"}, {"loss": "2%", "burst": "16"}, {"reorder": "5%"}, {"duplicate": "10%"}, {"corrupt": "1%"},
          {"down": "true"})
CONVERGE_S = 90
LINK = Link(rate_bps=100_000_000, rtt_ms=30)    # slow enough that most deaths fall into a transfer


@dataclass
class Run:
    """What one run did and what came of it; all four counts are to be 0."""

    number: int
    victims: tuple
    fault: dict
    wrong: int = 0      # differs from the source when the watermark says that it does not
    torn: int = 0       # visible, and no version that the source ever had
    lost: int = 0       # missing when the watermark says that it is there
    stuck: int = 0      # not proven in time
    seconds: float = 0
    again_bytes: int = 0    # crossed the link beyond the final versions: parity, repairs, older versions, and what went twice
    findings: list = field(default_factory=list)

    @property
    def bad(self):
        return self.wrong + self.torn + self.lost + self.stuck

    def as_row(self):
        return {"run": self.number, "victims": list(self.victims), "fault": self.fault, "wrong": self.wrong, "torn": self.torn,
                "lost": self.lost, "stuck": self.stuck, "seconds": round(self.seconds, 1), "again_bytes": self.again_bytes}


class CrashRuns:
    """Runs in one world, whose dataset `name` replicates `source` to `replica`. The tree grows from run to run."""

    def __init__(self, world, name, source, replica, scratch, seed):
        self.world, self.name, self.replica, self.seed = world, name, replica, seed
        self.source = source
        self.versions = Versions(source)
        self.tree = ChangingTree(self.versions, scratch, seed)

    def look(self, run):
        """Whatever is visible at the target now must be whole."""
        for text in self.versions.wrong_files(self.replica):
            run.torn += 1
            run.findings.append(text)

    def look_for(self, run, seconds):
        until = time.monotonic() + seconds
        wait_for(lambda: (self.look(run), time.monotonic() >= until)[1], seconds + 30, "time to pass", every=0.02)

    def payload_on_link(self):
        """Bytes of symbols that have left the link towards the target."""
        return self.world.wan_counters()["b"]["ports"][0]["tx_bytes"] * SYMBOL_BYTES // FRAME_BYTES

    def fault(self, settings):
        for setting, value in {**CALM, **settings}.items():
            self.world.wan_command("set", "both", setting, value)

    def one(self, number):
        rng = random.Random(self.seed * 1_000_003 + number)
        run = Run(number, tuple(rng.sample(VICTIMS, rng.choice((1, 1, 1, 2, 2, 3, 4)))), rng.choice(FAULTS))
        began, carried, before = time.monotonic(), self.payload_on_link(), self.tree.stamps()
        self.tree.change(rng.randrange(20, 80))
        self.fault(run.fault)
        self.look_for(run, rng.uniform(0, 2.5))
        for victim in run.victims:
            self.world.kill(victim)
            self.look_for(run, rng.choice((0, 0, rng.uniform(0, 0.5))))
        self.tree.change(rng.randrange(1, 15))
        for victim in rng.sample(run.victims, len(run.victims)):
            self.world.restart(victim)
            self.look_for(run, rng.choice((0, rng.uniform(0, 0.5))))
        self.look_for(run, rng.uniform(0, 1))
        self.fault({})
        self.converge(run)
        run.seconds = time.monotonic() - began
        fresh = set(self.tree.stamps().values()) - set(before.values())     # renames and links travel as names
        run.again_bytes = self.payload_on_link() - carried - sum(size for _, _, size in fresh)
        return run

    def converge(self, run):
        """Waits for the watermark, not for the tree: the tree must then be there."""
        changed = time.time()

        def proven():
            self.look(run)
            view = self.world.rpo(self.name)
            shown = (view.get("watermarks") or {}).get("published")
            return settled(view) and shown and datetime.fromisoformat(shown.replace("Z", "+00:00")).timestamp() > changed

        try:
            wait_for(proven, CONVERGE_S, "a watermark from after the last change", every=0.05,
                     alive=self.world.processes.values())
        except Failed as error:
            run.stuck += 1
            view = self.world.rpo(self.name)
            run.findings.append(f"{error}; {view}")
            return
        result = compare_trees(self.source, self.replica, limit=50)
        missing = sum("missing at the target" in text for text in result.differences)
        run.lost += missing
        run.wrong += result.different - missing
        run.findings += result.differences
