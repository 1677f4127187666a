// Several links between two sites on the virtual clock: one dies under a transfer, comes back, flaps. Whatever happens:
// every bundle is published once, whole, by one writer; and a death costs less than half a second of progress.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>

#include "dataplane/base/random.h"
#include "tests/sim/several_links.h"

namespace longhaul::sim {
namespace {

FailoverOutcome expect_unbroken(const FailoverPlan& plan, std::uint64_t seed) {
    const FailoverOutcome outcome = run(plan, seed);
    std::printf(
        "%s, seed %llu: %.0f ms, longest stall %.0f ms, %u moved of which %u were published, offered %u and "
        "%u\n",
        plan.name.c_str(), static_cast<unsigned long long>(seed),
        static_cast<double>(outcome.completed_at) / 1e6, static_cast<double>(outcome.stall_max) / 1e6,
        outcome.moved, outcome.known, outcome.offered[0], outcome.offered[1]);
    for (const std::string& broken : outcome.broken)
        ADD_FAILURE() << plan.name << ", seed " << seed << ": " << broken;
    return outcome;
}

// One way or both, near and far: less than 500 ms without progress. The flow follows, and returns a second after the link.
TEST(Failover, ADeadLinkCostsLessThanHalfASecond) {
    struct Case {
        const char* name;
        unsigned direction;
        TimeNs rtt;
    };
    for (const Case& each : {Case{"data", 0, 10 * kMillisecond}, Case{"answers", 1, 150 * kMillisecond},
                             Case{"both", 2, 40 * kMillisecond}, Case{"both", 2, 150 * kMillisecond}}) {
        FailoverPlan plan;
        plan.name = std::string("cut-") + each.name + "-" + std::to_string(each.rtt / kMillisecond) + "ms";
        plan.rtt = each.rtt;
        plan.bundles = 90;
        plan.events = {{kSecond, 0, each.direction, true}, {1500 * kMillisecond, 0, each.direction, false}};
        const FailoverOutcome outcome = expect_unbroken(plan, 7);
        EXPECT_LT(outcome.stall_max, 500 * kMillisecond) << plan.name;
        EXPECT_GT(outcome.moved, 0u) << plan.name;
        EXPECT_GT(outcome.offered[1], outcome.moved) << plan.name << ": new bundles follow";
        EXPECT_GT(outcome.offered[0], 35u) << plan.name << ": and return";
    }
}

// The link comes back before and after its death was noticed, again and again: its late packets find newer writers.
TEST(Failover, AFlappingLinkTearsNothing) {
    for (const TimeNs down : {100 * kMillisecond, 190 * kMillisecond, 230 * kMillisecond}) {
        FailoverPlan plan;
        plan.name = "flap-" + std::to_string(down / kMillisecond) + "ms";
        plan.bundles = 50;
        for (TimeNs at = 500 * kMillisecond; at < 4 * kSecond; at += down + 150 * kMillisecond) {
            plan.events.push_back({at, 0, 2, true});
            plan.events.push_back({at + down, 0, 2, false});
        }
        expect_unbroken(plan, 11);
    }
}

// Both links at random, one way or both, small and large bundles: everything arrives once.
TEST(Failover, RandomDeathsTearNothing) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        Random random(seed);
        FailoverPlan plan;
        plan.name = "random";
        plan.bundles = 40;
        plan.bundle_bytes = 1 + random.below(2u << 20);
        plan.rtt = (1 + random.below(100)) * kMillisecond;
        plan.loss = random.unit() * 0.02;
        plan.complete_within = 60 * kSecond;
        TimeNs at = 200 * kMillisecond;
        for (unsigned i = 0; i < 12; ++i) {
            const auto link = static_cast<unsigned>(random.below(2));
            const auto direction = static_cast<unsigned>(random.below(3));
            plan.events.push_back({at, link, direction, true});
            at += (50 + random.below(500)) * kMillisecond;
            plan.events.push_back({at, link, 2, false});
            at += random.below(600) * kMillisecond;
        }
        expect_unbroken(plan, seed);
    }
}

}  // namespace
}  // namespace longhaul::sim
