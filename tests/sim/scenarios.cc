// The situations that have a name, each with the bound that a user would hold us to.
// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "tests/sim/scenario.h"

namespace longhaul::sim {
namespace {

Change change(TimeNs at, Change::Kind kind, unsigned direction = 2, std::uint64_t value = 0) {
    return {at, kind, direction, value};
}

void add_clean(std::vector<Scenario>& all) {
    Scenario s = on_link("clean_1g_50ms", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 16 * kMiB);
    s.goodput_min = 0.91;  // 0.97 paced, and the pipe has to fill once
    s.complete_within = 3 * kSecond;
    s.brakes_max = 0;
    all.push_back(s);

    s = on_link("both_directions_1g_50ms", kGigabit, 50 * kMillisecond);
    send_bundles(s, 8, 8 * kMiB, 0);
    send_bundles(s, 8, 8 * kMiB, 1);
    s.complete_within = 1200 * kMillisecond;
    all.push_back(s);

    s = on_link("one_bundle_256mib", kGigabit, 50 * kMillisecond);
    send_bundles(s, 1, 256 * kMiB);
    s.goodput_min = 0.91;
    all.push_back(s);

    s = on_link("clocks_drift_100ppm", kGigabit, 50 * kMillisecond);
    send_bundles(s, 8, 16 * kMiB);
    s.clock_skew_ppm = 100;
    s.goodput_min = 0.88;
    s.brakes_max = 0;
    all.push_back(s);
}

void add_loss(std::vector<Scenario>& all) {
    Scenario s = on_link("loss_0.1_percent_50ms", kGigabit, 50 * kMillisecond);
    send_bundles(s, 32, 16 * kMiB);
    s.symmetric_loss(0.001);
    s.goodput_min = 0.91;
    s.brakes_max = 0;
    all.push_back(s);

    s = on_link("loss_1_percent_iid_100ms", kGigabit, 100 * kMillisecond);
    send_bundles(s, 64, 16 * kMiB);
    s.symmetric_loss(0.01);
    s.goodput_min = 0.9 * 0.99;
    s.brakes_max = 0;
    all.push_back(s);

    s = on_link("loss_1_percent_bursts_of_8_100ms", kGigabit, 100 * kMillisecond);
    send_bundles(s, 64, 16 * kMiB);
    s.symmetric_loss(0.01, 8);
    s.goodput_min = 0.9 * 0.99;
    s.brakes_max = 1;
    all.push_back(s);

    s = on_link("loss_10_percent_still_arrives", kGigabit / 10, 50 * kMillisecond);
    send_bundles(s, 8, 4 * kMiB);
    s.symmetric_loss(0.10);
    s.complete_within = 8 * kSecond;
    all.push_back(s);

    s = on_link("loss_30_percent_still_arrives", kGigabit / 10, 50 * kMillisecond);
    send_bundles(s, 4, 2 * kMiB);
    s.symmetric_loss(0.30);
    s.complete_within = 10 * kSecond;
    all.push_back(s);

    s = on_link("feedback_loss_50_percent", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    s.link[0].loss = 0.002;
    s.link[1].loss = 0.5;
    s.complete_within = 2500 * kMillisecond;
    all.push_back(s);
}

void add_disorder(std::vector<Scenario>& all) {
    Scenario s = on_link("reorder_2_percent", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    for (auto& link : s.link) {
        link.reorder = 0.02;
        link.reorder_delay = 3 * kMillisecond;
    }
    s.goodput_min = 0.85;
    s.brakes_max = 0;
    all.push_back(s);

    s = on_link("jitter_4ms", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    for (auto& link : s.link)
        link.jitter = 4 * kMillisecond;
    s.goodput_min = 0.83;
    s.brakes_max = 0;
    all.push_back(s);

    s = on_link("duplicates_5_percent", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    for (auto& link : s.link)
        link.duplicate = 0.05;
    s.goodput_min = 0.85;
    all.push_back(s);

    s = on_link("corruption_0.5_percent", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    for (auto& link : s.link)
        link.corrupt = 0.005;
    s.goodput_min = 0.8;
    all.push_back(s);
}

void add_outages(std::vector<Scenario>& all) {
    using Kind = Change::Kind;
    Scenario s = on_link("one_lane_of_four_dead_for_a_while", kGigabit, 50 * kMillisecond);
    send_bundles(s, 32, 8 * kMiB);
    s.changes = {change(300 * kMillisecond, Kind::lane_dead, 2, 2),
                 change(1200 * kMillisecond, Kind::lane_alive, 2, 2)};
    s.complete_within = 4 * kSecond;
    all.push_back(s);

    s = on_link("one_lane_of_four_dead_for_ever", kGigabit, 50 * kMillisecond);
    send_bundles(s, 32, 8 * kMiB);
    s.changes = {change(0, Kind::lane_dead, 2, 1)};
    s.complete_within = 4 * kSecond;
    all.push_back(s);

    s = on_link("blackout_3s_both_ways", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    s.changes = {change(400 * kMillisecond, Kind::link_down), change(3400 * kMillisecond, Kind::link_up)};
    s.complete_within = 5500 * kMillisecond;
    s.peer_silent_expected = true;
    all.push_back(s);

    for (const unsigned direction : {0u, 1u}) {
        s = on_link(direction == 0 ? "blackout_3s_of_data" : "blackout_3s_of_feedback", kGigabit,
                    50 * kMillisecond);
        send_bundles(s, 16, 8 * kMiB);
        s.changes = {change(400 * kMillisecond, Kind::link_down, direction),
                     change(3400 * kMillisecond, Kind::link_up, direction)};
        s.complete_within = 5500 * kMillisecond;
        s.peer_silent_expected = direction == 1;
        all.push_back(s);
    }

    s = on_link("mtu_cut_and_lifted", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    s.changes = {change(400 * kMillisecond, Kind::mtu, 2, 1400),
                 change(2400 * kMillisecond, Kind::mtu, 2, 0)};
    s.complete_within = 6 * kSecond;
    all.push_back(s);

    s = on_link("rate_of_the_path_halves", kGigabit, 50 * kMillisecond);
    send_bundles(s, 24, 8 * kMiB);
    s.changes = {change(400 * kMillisecond, Kind::link_rate, 0, kGigabit / 2)};
    s.complete_within = 5 * kSecond;
    all.push_back(s);

    s = on_link("policed_at_70_percent", kGigabit, 50 * kMillisecond);
    send_bundles(s, 24, 8 * kMiB);
    s.link[0].police_bps = kGigabit * 7 / 10;
    s.link[0].police_burst_bytes = 256 << 10;
    s.complete_within = 4 * kSecond;
    all.push_back(s);

    s = on_link("policed_at_80_percent_200m_100ms", kGigabit / 5, 100 * kMillisecond);
    send_bundles(s, 16, 8 * kMiB);
    s.link[0].police_bps = kGigabit / 5 * 8 / 10;
    s.link[0].police_burst_bytes = 100 << 10;
    s.goodput_min = 0.94 * 0.8;  // loss that the load makes must not be answered with parity
    s.complete_within = 9 * kSecond;
    all.push_back(s);
}

void add_receivers(std::vector<Scenario>& all) {
    using Kind = Change::Kind;
    Scenario s = on_link("disk_stalls_2s", kGigabit, 50 * kMillisecond);
    send_bundles(s, 16, 16 * kMiB);
    s.changes = {change(500 * kMillisecond, Kind::writes_stall, 0),
                 change(2500 * kMillisecond, Kind::writes_resume, 0)};
    s.complete_within = 5 * kSecond;
    all.push_back(s);

    s = on_link("small_pools", kGigabit / 10, 20 * kMillisecond);
    send_bundles(s, 8, 4 * kMiB);
    s.send_blocks = 8;
    s.receive_blocks = 6;
    s.symmetric_loss(0.02);
    s.complete_within = 20 * kSecond;
    all.push_back(s);

    s = on_link("one_refused_among_many", kGigabit, 50 * kMillisecond);
    send_bundles(s, 9, 8 * kMiB);
    s.bundles[3].refuse = true;
    s.bundles[5].broken_head = true;
    s.bundles[7].fail_midway = true;
    s.symmetric_loss(0.005);
    s.complete_within = 3 * kSecond;
    all.push_back(s);

    s = on_link("cancelled_in_the_middle", kGigabit, 50 * kMillisecond);
    send_bundles(s, 6, 32 * kMiB);
    s.bundles[1].cancel_at = 450 * kMillisecond;  // while its payload is on its way
    s.bundles[4].cancel_at = 500 * kMillisecond;  // before it has begun
    s.symmetric_loss(0.005);
    s.complete_within = 4 * kSecond;
    all.push_back(s);
}

void add_sizes(std::vector<Scenario>& all) {
    Scenario s = on_link("tiny_bundles_1000_x_4kib", kGigabit, 50 * kMillisecond);
    send_bundles(s, 1000, 4096);
    s.symmetric_loss(0.001);
    s.bundles_open_max = 1024;
    s.complete_within = 2 * kSecond;
    all.push_back(s);

    s = on_link("no_payload", kGigabit, 50 * kMillisecond);
    send_bundles(s, 50, 0);
    for (BundlePlan& bundle : s.bundles)
        bundle.extra_entries = 5;
    s.symmetric_loss(0.01);
    s.complete_within = kSecond;
    all.push_back(s);

    s = on_link("large_heads", kGigabit, 50 * kMillisecond);
    send_bundles(s, 6, 2 * kMiB);
    for (BundlePlan& bundle : s.bundles)
        bundle.extra_entries = 12000;
    s.symmetric_loss(0.005);
    s.complete_within = 2 * kSecond;
    all.push_back(s);

    s = on_link("one_small_bundle_takes_one_trip", kGigabit, 100 * kMillisecond);
    send_bundles(s, 1, 64 << 10, 0, 500 * kMillisecond);
    s.complete_within = 500 * kMillisecond + 115 * kMillisecond;  // a round trip, the disk, one feedback
    all.push_back(s);

    s = on_link("hundred_gigabit_150ms_jumbo", 100 * kGigabit, 150 * kMillisecond);
    s.symbol_bytes = 8768;
    s.lanes = 32;
    s.send_blocks = 6500;
    s.receive_blocks = 6500;
    s.read_ahead_blocks = 512;
    s.symmetric_loss(0.0001);
    // Offered when the session has stood for a while: credit and round trip are known.
    send_bundles(s, 12, 256 * kMiB, 0, 300 * kMillisecond);
    s.complete_within = 900 * kMillisecond;
    s.goodput_min = 0.43;  // 0.27 s on the wire, the way there and back, one round of repair for the unlucky
    s.brakes_max = 0;
    all.push_back(s);
}

}  // namespace

std::vector<Scenario> named_scenarios() {
    std::vector<Scenario> all;
    add_clean(all);
    add_loss(all);
    add_disorder(all);
    add_outages(all);
    add_receivers(all);
    add_sizes(all);
    for (Scenario& scenario : redundancy_scenarios())
        all.push_back(std::move(scenario));
    return all;
}

}  // namespace longhaul::sim
