// The mode `shared`, transition by transition, against a fluid path.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/shared.h"

#include <gtest/gtest.h>

#include "tests/unit/congestion/path.h"

namespace longhaul::congestion {
namespace {

using Phase = SharedController::Phase;

constexpr std::uint64_t kCap = 1'000'000'000;

struct Drive {
    explicit Drive(std::uint64_t cap = kCap, std::uint64_t start = 0) : controller(control(cap, start)) {}
    bool until(Phase phase, TimeNs within = 20 * kSecond) {
        return path.run(controller, within, [&] { return controller.phase() == phase; });
    }
    double rate() const { return static_cast<double>(controller.rate_bps()); }
    SharedController controller;
    FluidPath path;
};

// Startup begins at a quarter of the cap, multiplies by 2.77 a round trip, and ends within ten of them.
TEST(Shared, StartupFindsTheBandwidth) {
    Drive run;
    EXPECT_EQ(run.controller.phase(), Phase::startup);
    EXPECT_NEAR(run.rate(), 0.25 * 0.97 * kCap, 0.01 * kCap);
    const TimeNs began = run.path.now;
    ASSERT_TRUE(
        run.path.run(run.controller, 2 * kSecond, [&] { return run.controller.phase() != Phase::startup; }));
    EXPECT_LE(run.path.now - began, 10 * run.path.base_rtt);
    EXPECT_GE(static_cast<double>(run.controller.figures().bandwidth_bps), 0.9 * kCap);
}

// On a path of a tenth of the cap startup ends by loss or queue, and drain empties what it built.
TEST(Shared, DrainEmptiesWhatStartupBuilt) {
    Drive run;
    run.path.capacity_bps = 0.1 * kCap;
    run.path.application_limited = true;  // a first glance at the round trip, as the pings give
    run.path.step(run.controller);
    run.path.application_limited = false;
    ASSERT_TRUE(run.until(Phase::drain));
    EXPECT_GT(run.path.queue_ns, 10e6);
    ASSERT_TRUE(run.until(Phase::cruise));
    EXPECT_LT(run.path.queue_ns, 10e6);
    EXPECT_NEAR(static_cast<double>(run.controller.figures().bandwidth_bps), 0.1 * kCap, 0.02 * kCap);
}

// The probing cycle in its order, every two to three seconds.
TEST(Shared, ProbesInCycles) {
    Drive run(4 * kCap);  // the cap does not bind: probes find the bottleneck
    ASSERT_TRUE(run.until(Phase::cruise));
    TimeNs before = 0;
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(run.until(Phase::refill, 4 * kSecond));
        if (before != 0) {
            EXPECT_GE(run.path.now - before, 2 * kSecond);
            EXPECT_LE(run.path.now - before, 4 * kSecond);
        }
        before = run.path.now;
        ASSERT_TRUE(run.until(Phase::probe_up, kSecond));
        EXPECT_NEAR(run.rate(), 1.25 * 0.99 * static_cast<double>(run.controller.figures().bandwidth_bps),
                    1e6);
        ASSERT_TRUE(run.until(Phase::probe_down, 2 * kSecond));
        ASSERT_TRUE(run.until(Phase::cruise, 2 * kSecond));
    }
}

// More room is found by the next probe, and all of it in that one.
TEST(Shared, ProbeFindsNewBandwidth) {
    Drive run(kCap);
    run.path.capacity_bps = 0.4 * kCap;
    ASSERT_TRUE(run.until(Phase::cruise));
    run.path.run(run.controller, 5 * kSecond);
    run.path.capacity_bps = kCap;
    run.path.run(run.controller, 7 * kSecond);
    EXPECT_GE(static_cast<double>(run.controller.figures().bandwidth_bps), 0.9 * kCap);
}

// Loss of the path's own up to 1 % costs nothing once it is known; a policer's loss bounds the rate below the cap.
TEST(Shared, ForgivesRandomLossAndHeedsAPolicer) {
    Drive random;
    random.path.loss = 0.01;
    random.path.run(random.controller, 30 * kSecond);
    EXPECT_NEAR(random.controller.figures().loss_floor, 0.01, 0.002);
    EXPECT_GE(random.rate(), 0.9 * kCap);

    Drive policed;
    policed.path.capacity_bps = 0.5 * kCap;
    policed.path.policed = true;
    policed.path.run(policed.controller, 10 * kSecond);
    ASSERT_TRUE(policed.until(Phase::cruise));
    EXPECT_LE(policed.rate(), 0.55 * kCap);
    EXPECT_GE(policed.rate(), 0.40 * kCap);
    EXPECT_GT(policed.controller.brakes(), 0u);
}

// A path that shrinks behind a deep buffer is believed within a few round trips, not after two probing cycles.
TEST(Shared, ShrinkingPathBoundsAtOnce) {
    Drive run;
    run.path.buffer_ns = 400e6;
    ASSERT_TRUE(run.until(Phase::cruise));
    run.path.capacity_bps = 0.1 * kCap;
    EXPECT_TRUE(run.path.run(run.controller, 3 * kSecond, [&] { return run.rate() < 0.13 * kCap; }));
}

// In the queue of others it sends no more than arrives, so that they can grow.
TEST(Shared, GivesWayInAStandingQueue) {
    Drive run(kCap);
    ASSERT_TRUE(run.until(Phase::cruise));
    const double before = run.rate();
    run.path.others_queue = 30 * kMillisecond;
    run.path.run(run.controller, kSecond);
    EXPECT_LT(run.rate(), before);
    EXPECT_GE(run.rate(), 0.65 * before);
}

// A round trip that is never seen without queue is probed after ten seconds, at half the flight; one that is, never.
TEST(Shared, ProbesTheRoundTripOnlyBehindAQueue) {
    Drive quiet;
    EXPECT_FALSE(quiet.until(Phase::probe_rtt, 60 * kSecond));

    Drive queued;
    ASSERT_TRUE(queued.until(Phase::cruise));
    queued.path.others_queue = 20 * kMillisecond;
    const TimeNs began = queued.path.now;
    ASSERT_TRUE(queued.until(Phase::probe_rtt, 20 * kSecond));
    EXPECT_GE(queued.path.now - began, 9 * kSecond);
    const TimeNs probing = queued.path.now;
    ASSERT_TRUE(queued.until(Phase::cruise, 3 * kSecond));
    EXPECT_GE(queued.path.now - probing, 200 * kMillisecond);
}

// A sender with little to send keeps the bandwidth that it knows.
TEST(Shared, ApplicationLimitedSamplesDoNotLowerTheModel) {
    Drive run;
    ASSERT_TRUE(run.until(Phase::cruise));
    const auto before = run.controller.figures().bandwidth_bps;
    run.path.application_limited = true;
    run.path.run(run.controller, 30 * kSecond);
    EXPECT_GE(run.controller.figures().bandwidth_bps, before * 95 / 100);
}

}  // namespace
}  // namespace longhaul::congestion
