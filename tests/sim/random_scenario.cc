// A scenario drawn from a seed: any mixture of what the named ones show one at a time.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dataplane/base/random.h"
#include "tests/sim/scenario.h"

namespace longhaul::sim {
namespace {

// Uniform in the exponent, so that small values come as often as large ones.
std::uint64_t spread(Random& random, unsigned bits_least, unsigned bits_most) {
    const unsigned bits = bits_least + static_cast<unsigned>(random.below(bits_most - bits_least + 1));
    return (std::uint64_t{1} << bits) + random.below(std::uint64_t{1} << bits);
}

void draw_link(Scenario& scenario, Random& random) {
    for (auto& link : scenario.link) {
        if (random.chance(0.6)) {
            link.loss = random.chance(0.2) ? random.unit() * 0.1 : random.unit() * 0.01;
            link.burst = random.chance(0.5) ? 1 : 1 + random.unit() * 30;
        }
        if (random.chance(0.3)) link.jitter = random.below(5 * kMillisecond);
        if (random.chance(0.3)) {
            link.reorder = random.unit() * 0.05;
            link.reorder_delay = random.below(8 * kMillisecond);
        }
        if (random.chance(0.3)) link.duplicate = random.unit() * 0.05;
        if (random.chance(0.3)) link.corrupt = random.unit() * 0.01;
        if (random.chance(0.2)) link.queue_bytes = spread(random, 16, 22);
    }
}

void draw_bundles(Scenario& scenario, Random& random) {
    std::uint64_t budget = 24u << 20;
    const unsigned count = 1 + static_cast<unsigned>(random.below(random.chance(0.2) ? 200 : 12));
    for (unsigned i = 0; i < count && budget > 0; ++i) {
        BundlePlan plan;
        plan.from = random.chance(0.7) ? 0 : 1;
        plan.payload_bytes = random.chance(0.15) ? 0 : std::min(budget, spread(random, 0, 23));
        budget -= plan.payload_bytes;
        plan.extra_entries = 1 + (random.chance(0.1) ? static_cast<unsigned>(random.below(4000)) : 0);
        plan.offer_at = random.chance(0.5) ? 0 : random.below(kSecond);
        if (random.chance(0.08))
            plan.cancel_at = plan.offer_at + random.below(400 * kMillisecond);
        else if (random.chance(0.05))
            plan.refuse = true;
        else if (random.chance(0.03))
            plan.broken_head = true;
        else if (random.chance(0.05) && plan.payload_bytes > 0)
            plan.fail_midway = true;
        scenario.bundles.push_back(plan);
    }
}

void draw_changes(Scenario& scenario, Random& random) {
    using Kind = Change::Kind;
    const auto episode = [&](Kind begin, Kind end, TimeNs longest, std::uint64_t value = 0,
                             std::uint64_t value_after = 0) {
        const TimeNs at = random.below(kSecond);
        const auto direction = static_cast<unsigned>(random.below(3));
        scenario.changes.push_back({at, begin, direction, value});
        scenario.changes.push_back({at + random.below(longest), end, direction, value_after});
    };
    if (random.chance(0.2)) episode(Kind::link_down, Kind::link_up, 2 * kSecond);
    if (random.chance(0.15)) episode(Kind::mtu, Kind::mtu, kSecond, 1300, 0);
    if (random.chance(0.25)) episode(Kind::writes_stall, Kind::writes_resume, kSecond);
    if (random.chance(0.15)) {
        const auto before = static_cast<std::uint64_t>(scenario.link[0].loss * 1e6);
        episode(Kind::loss, Kind::loss, 500 * kMillisecond, 300'000, before);
    }
    if (random.chance(0.25) && scenario.lanes > 1) {
        const std::uint64_t lane = random.below(scenario.lanes);
        if (random.chance(0.5))
            scenario.changes.push_back({random.below(kSecond), Kind::lane_dead, 2, lane});
        else
            episode(Kind::lane_dead, Kind::lane_alive, kSecond, lane, lane);
    }
    if (random.chance(0.15))
        scenario.changes.push_back({random.below(kSecond), Kind::rate_cap, 2, scenario.cap_bps / 2});
}

}  // namespace

Scenario random_scenario(std::uint64_t seed) {
    Random random(seed);
    const std::uint64_t rate = spread(random, 24, 29);  // 17 Mbit/s to 1 Gbit/s
    Scenario scenario = on_link("random_" + std::to_string(seed), rate,
                                random.below(200 * kMillisecond) + 100 * kMicrosecond);
    constexpr std::uint8_t kLaneCounts[] = {1, 2, 3, 4, 8};
    scenario.lanes = kLaneCounts[random.below(std::size(kLaneCounts))];
    constexpr std::uint8_t kStripes[] = {64, 64, 32, 16, 128};
    scenario.stripe_symbols = kStripes[random.below(std::size(kStripes))];
    scenario.symbol_bytes = scenario.stripe_symbols == 16 ? 1024 + 256 : 1408;
    scenario.goal = static_cast<fec::Goal>(random.below(3));
    if (random.chance(0.2)) scenario.fixed_parity = static_cast<unsigned>(random.below(6));
    scenario.send_blocks = static_cast<std::uint32_t>(4 + spread(random, 2, 9));
    scenario.receive_blocks = static_cast<std::uint32_t>(1 + spread(random, 2, 9));
    scenario.read_ahead_blocks = static_cast<std::uint32_t>(1 + random.below(64));
    scenario.poll_quantum = random.chance(0.3) ? 100 * kMicrosecond : 10 * kMicrosecond;
    scenario.read_latency = random.below(5 * kMillisecond);
    scenario.write_latency = random.below(20 * kMillisecond);
    scenario.durable_delay = random.below(30 * kMillisecond);
    scenario.publish_delay = random.below(30 * kMillisecond);
    scenario.clock_skew_ppm = static_cast<std::int64_t>(random.below(50));
    draw_link(scenario, random);
    draw_bundles(scenario, random);
    draw_changes(scenario, random);
    scenario.complete_within = 120 * kSecond;  // every session ends; how fast is the named scenarios' matter
    return scenario;
}

}  // namespace longhaul::sim
