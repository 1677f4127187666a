// What redundancy is for, as bounds: bursts under every goal, a bundle that nobody follows on a path that has shown
// bursts, small work on an idle link, and a short part of the bench `virtual` on a link of 100 Gbit/s.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/scenario.h"

namespace longhaul::sim {
namespace {

const char* name_of(fec::Goal goal) {
    return goal == fec::Goal::throughput ? "throughput"
           : goal == fec::Goal::balanced ? "balanced"
                                         : "latency";
}

// 0.5 % lost in bursts, much to send: throughput and balanced lose little more than what the path loses; latency pays
// for its rows. None holds on to blocks or settles late.
void add_bursts(std::vector<Scenario>& all) {
    for (const double burst : {8.0, 64.0}) {
        for (const fec::Goal goal : {fec::Goal::throughput, fec::Goal::balanced, fec::Goal::latency}) {
            Scenario s = on_link("bursts_of_" + std::to_string(static_cast<int>(burst)) + "_" + name_of(goal),
                                 kGigabit, 50 * kMillisecond);
            send_bundles(s, 16, 16 * kMiB);
            s.symmetric_loss(0.005, burst);
            s.goal = goal;
            s.goodput_min = goal == fec::Goal::latency ? 0.80 : 0.88;
            s.brakes_max = 1;
            all.push_back(s);
        }
    }
}

// After two seconds of traffic the path's bursts are known. Then 8 MiB that nobody follows: its results must come
// without a round of repair, which would cost 100 ms.
void add_tails(std::vector<Scenario>& all) {
    for (const fec::Goal goal : {fec::Goal::throughput, fec::Goal::balanced, fec::Goal::latency}) {
        Scenario s =
            on_link(std::string("tail_after_bursts_of_8_") + name_of(goal), kGigabit, 100 * kMillisecond);
        send_bundles(s, 12, 16 * kMiB);
        send_bundles(s, 1, 8 * kMiB, 0, 3500 * kMillisecond);
        s.symmetric_loss(0.002, 8);
        s.goal = goal;
        // The way there and back, 74 ms on the wire and an eighth for rows, disk and flush, one feedback.
        s.complete_within = (3500 + 100 + 84 + 12) * kMillisecond;
        all.push_back(s);
    }
}

// A sender that shares its core: while it is not let run, none of the many stripes that take turns is short, and none may
// be asked for. Nearly all of what is lost is covered by parity.
void add_pauses(std::vector<Scenario>& all) {
    for (const TimeNs pause : {13 * kMillisecond, 40 * kMillisecond}) {
        Scenario s = on_link("sender_pauses_" + std::to_string(pause / kMillisecond) + "ms_bursts_of_8",
                             kGigabit, 100 * kMillisecond);
        send_bundles(s, 32, 16 * kMiB);
        s.symmetric_loss(0.01, 8);
        s.worker_pause_every = 10 * pause;
        s.worker_pause = pause;
        s.repairs_per_loss_max = 0.3;
        s.goodput_min = 0.75;
        s.complete_within = 8 * kSecond;
        all.push_back(s);
    }
}

// A change of 4 KiB on an idle link is durable, and known to be, within 1.5 round trips plus the flush.
void add_small_work(std::vector<Scenario>& all) {
    for (const TimeNs rtt : {10 * kMillisecond, 100 * kMillisecond}) {
        Scenario s = on_link("idle_link_4kib_" + std::to_string(rtt / kMillisecond) + "ms", kGigabit, rtt);
        send_bundles(s, 1, 4096, 0, kSecond);
        s.publish_delay = 0;
        s.complete_within = kSecond + rtt * 3 / 2 + s.durable_delay;
        all.push_back(s);
    }
}

// The bench's link: 100 Gbit/s counted with preamble and gap, a cap that fills it, the blocks that a node lays out.
Scenario on_hundred_gigabit(const std::string& name, TimeNs rtt) {
    Scenario s = on_link(name, 100 * kGigabit, rtt);
    for (auto& link : s.link)
        link.frame_overhead_bytes = 24;
    s.bulk = true;
    s.symbol_bytes = 8768;
    s.lanes = 32;
    s.cap_bps = 99'675'000'000;  // 0.999 x 8862 / 8882 of the line
    s.share_of_cap = 1;
    s.read_latency = 50 * kMicrosecond;
    s.write_latency = 20 * kMicrosecond;
    s.durable_delay = s.publish_delay = 0;
    s.send_blocks = 1600;
    s.receive_blocks = 3400;
    s.read_ahead_blocks = 478;
    return s;
}

void add_virtual(std::vector<Scenario>& all) {
    Scenario s = on_hundred_gigabit("virtual_100g_20ms_1_percent_throughput", 20 * kMillisecond);
    s.symmetric_loss(0.01);
    s.goal = fec::Goal::throughput;
    send_bundles(s, 3, 1024 * kMiB, 0, 100 * kMillisecond);
    // The pipe fills and drains once, 20 ms of 260, and the last stripes are asked for again.
    s.goodput_min = 0.97 * 0.99 * 0.85;
    s.brakes_max = 0;
    all.push_back(s);

    for (const double burst : {1.0, 8.0, 64.0}) {
        s = on_hundred_gigabit("virtual_100g_40ms_64mib_bursts_of_" + std::to_string(static_cast<int>(burst)),
                               40 * kMillisecond);
        s.symmetric_loss(0.001, burst);
        s.goal = fec::Goal::latency;
        send_bundles(s, 2, 512 * kMiB, 0, 40 * kMillisecond);
        send_bundles(s, 1, 64 * kMiB, 0, 400 * kMillisecond);
        // There and back, 5.5 ms on the wire, 15 %.
        s.complete_within = 400 * kMillisecond + (40 + 6) * kMillisecond * 23 / 20;
        all.push_back(s);
    }

    // A path that has never lost anything begins to, in bursts, with the tail that is waited for.
    s = on_hundred_gigabit("virtual_100g_40ms_64mib_first_burst", 40 * kMillisecond);
    s.symmetric_loss(0, 64);
    s.goal = fec::Goal::latency;
    send_bundles(s, 1, 512 * kMiB, 0, 40 * kMillisecond);
    send_bundles(s, 1, 64 * kMiB, 0, 400 * kMillisecond);
    s.changes = {{399 * kMillisecond, Change::Kind::loss, 0, 30'000}};
    s.complete_within = 400 * kMillisecond + (40 + 6) * kMillisecond * 23 / 20;
    all.push_back(s);
}

}  // namespace

std::vector<Scenario> redundancy_scenarios() {
    std::vector<Scenario> all;
    add_bursts(all);
    add_tails(all);
    add_pauses(all);
    add_small_work(all);
    add_virtual(all);
    return all;
}

}  // namespace longhaul::sim
