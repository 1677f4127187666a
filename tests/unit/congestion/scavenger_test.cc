// The mode `scavenger`, transition by transition, against a fluid path.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/scavenger.h"

#include <gtest/gtest.h>

#include "tests/unit/congestion/path.h"

namespace longhaul::congestion {
namespace {

using Phase = ScavengerController::Phase;

constexpr std::uint64_t kCap = 1'000'000'000;

struct Drive {
    explicit Drive(std::uint64_t start = 0) : controller(control(kCap, start)) {}
    bool until(Phase phase, TimeNs within = 20 * kSecond) {
        return path.run(controller, within, [&] { return controller.phase() == phase; });
    }
    double rate() const { return static_cast<double>(controller.rate_bps()); }
    ScavengerController controller;
    FluidPath path;
};

// The target is a quarter of the base round trip, between 5 and 60 ms.
TEST(Scavenger, TargetFollowsTheRoundTrip) {
    for (const auto& [rtt, target] : {std::pair{2 * kMillisecond, 5 * kMillisecond},
                                      {100 * kMillisecond, 25 * kMillisecond},
                                      {400 * kMillisecond, 60 * kMillisecond}}) {
        Drive run;
        run.path.base_rtt = rtt;
        run.path.run(run.controller, 2 * kSecond);
        EXPECT_NEAR(static_cast<double>(run.controller.queue_target()), static_cast<double>(target), 1e5);
    }
}

// start doubles to the ceiling, then steps aside to an eighth, ramps back and goes on.
TEST(Scavenger, StartsStepsAsideAndReturns) {
    Drive run;
    EXPECT_EQ(run.controller.phase(), Phase::start);
    EXPECT_LT(run.rate(), 0.04 * kCap);
    ASSERT_TRUE(run.until(Phase::slowdown));
    EXPECT_LT(run.rate(), 0.2 * kCap);
    ASSERT_TRUE(run.until(Phase::ramp, kSecond));
    ASSERT_TRUE(run.until(Phase::steady, kSecond));
    EXPECT_GE(run.rate(), 0.9 * kCap);
}

// Slowdowns take a tenth of the time at most: nine times the last one lies between two.
TEST(Scavenger, SlowdownsAreRare) {
    Drive run;
    ASSERT_TRUE(run.until(Phase::slowdown));
    ASSERT_TRUE(run.until(Phase::steady));
    const TimeNs ended = run.path.now;
    ASSERT_TRUE(run.until(Phase::slowdown));
    const TimeNs began = run.path.now;
    ASSERT_TRUE(run.until(Phase::steady));
    EXPECT_GE(began - ended, 8 * (run.path.now - began));
}

// Above the target it yields, by half a round trip at most, down to a trickle; when the queue is gone it comes back.
TEST(Scavenger, YieldsToOthersAndComesBack) {
    Drive run;
    ASSERT_TRUE(run.until(Phase::steady));
    const double before = run.rate();
    run.path.others_queue = 40 * kMillisecond;
    ASSERT_TRUE(run.until(Phase::yield, kSecond));
    EXPECT_GE(run.rate(), 0.25 * before);
    // It moves, as queues do.
    int step = 0;
    run.path.run(run.controller, 2 * kSecond, [&] {
        run.path.others_queue = 40 * kMillisecond + static_cast<TimeNs>(++step % 20) * kMillisecond / 2;
        return false;
    });
    EXPECT_LT(run.rate(), 0.03 * kCap);
    run.path.others_queue = 0;
    ASSERT_TRUE(run.until(Phase::steady, kSecond));
    run.path.run(run.controller, 10 * kSecond);
    EXPECT_GE(run.rate(), 0.5 * kCap);
}

// Loss above the path's own halves it even where no queue shows; the path's own does not.
TEST(Scavenger, YieldsToLossThatIsNotThePathsOwn) {
    Drive run;
    run.path.loss = 0.005;
    ASSERT_TRUE(run.until(Phase::steady));
    run.path.run(run.controller, 20 * kSecond);
    EXPECT_NEAR(run.controller.figures().loss_floor, 0.005, 0.002);
    ASSERT_TRUE(run.until(Phase::steady));
    const double before = run.rate();
    run.path.loss = 0.08;
    ASSERT_TRUE(run.until(Phase::yield, kSecond));
    // Its window stood above what the ceiling fills by the queue that it may make.
    EXPECT_LE(run.rate(), 0.65 * before);
    EXPECT_GE(run.rate(), 0.40 * before);
}

// A mode that takes over in full flow goes on from there, without a start.
TEST(Scavenger, TakesOverSteady) {
    Drive run(600'000'000);
    EXPECT_EQ(run.controller.phase(), Phase::steady);
    run.path.run(run.controller, 500 * kMillisecond);
    EXPECT_GE(run.rate(), 0.55 * kCap);
}

}  // namespace
}  // namespace longhaul::congestion
