# Longhaul's own rows: a world of two sites over a link of given settings, and one file or one tree across it.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import time

from lab import Processors, dropped_on_link, forget, wait_until
from peers import Outcome
from processes import wait_for
from world import FRAME_BYTES, SYMBOL_BYTES, Options, World

PAYLOAD_SHARE = SYMBOL_BYTES / FRAME_BYTES


def world_of(build, work, link, replicas):
    """A world, not yet started, that may keep replicas beneath `replicas`."""
    os.makedirs(replicas, exist_ok=True)
    return World(Options(build=build, work=work, link=link, allowed_roots=(replicas,)))


def file_transfer(build, work, link, source, size, limit_s):
    """One file alone in its folder, from the accepted dataset to the durable copy under its name."""
    forget(source)
    replicas = os.path.join(work, "replicas")
    with world_of(build, os.path.join(work, "world"), link, replicas) as world:
        world.start()
        published = os.path.join(replicas, "bench", os.path.basename(source))
        processors = Processors()
        began = time.monotonic()
        world.create_dataset("bench", os.path.dirname(source), os.path.join(replicas, "bench"))
        if wait_until(lambda: os.path.exists(published), None, began + limit_s):
            outcome = Outcome(time.monotonic() - began, size)
        else:
            # Before the rename nothing is visible: what arrived is counted where it left the link.
            arrived = world.wan_counters()["b"]["ports"][0]["tx_bytes"] * PAYLOAD_SHARE
            outcome = Outcome(time.monotonic() - began, min(size, int(arrived)),
                              f"ended by the limit of {limit_s:g} s; bytes counted on the link, parity included")
        outcome.idle = processors.idle_share()
        figures = {**dropped_on_link(world.wan_counters()), **(measured(world) if outcome.bytes == size else {})}
    return outcome, published, figures


def measured(world):
    """The link's counters once no bundle is open: they come every second and hold the whole transfer then."""
    def drained():
        found = world.link("east").get("measured") or {}
        return found if found.get("tx_bundles_open") == 0 else None
    found = wait_for(drained, 30, "figures of the whole transfer", every=0.1)
    return {name: found.get(name) for name in ("tx_packets", "tx_lost_packets", "tx_parity_packets", "tx_repair_packets",
                                               "tx_brakes")}


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
