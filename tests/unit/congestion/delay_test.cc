// The mode `delay`, transition by transition, against a fluid path; and the watch that tells a route from a queue.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/delay.h"

#include <gtest/gtest.h>

#include "dataplane/congestion/reserved.h"
#include "tests/unit/congestion/path.h"

namespace longhaul::congestion {
namespace {

using Phase = DelayController::Phase;

constexpr std::uint64_t kCap = 1'000'000'000;

struct Drive {
    explicit Drive(std::uint64_t start = 0) : controller(control(kCap, start)) {}
    bool until(Phase phase, TimeNs within = 20 * kSecond) {
        return path.run(controller, within, [&] { return controller.phase() == phase; });
    }
    double rate() const { return static_cast<double>(controller.rate_bps()); }
    DelayController controller;
    FluidPath path;
};

// On a bottleneck below the cap it settles at all of it with its target queue, whatever the buffer.
TEST(Delay, HoldsItsTargetQueue) {
    Drive run;
    run.path.capacity_bps = 0.5 * kCap;
    run.path.buffer_ns = 200e6;
    ASSERT_TRUE(run.until(Phase::converge));
    run.path.run(run.controller, 10 * kSecond);
    const auto target = static_cast<double>(run.controller.queue_target());
    EXPECT_NEAR(target, 12.5e6, 2e6);  // half way between 20 ms at rest and 5 ms at the ceiling
    EXPECT_NEAR(run.path.queue_ns, target, 4e6);
    EXPECT_NEAR(run.rate(), 0.5 * kCap, 0.08 * kCap);
}

// The faster a flow, the smaller the queue that it allows itself: flows that share a queue meet.
TEST(Delay, TargetFallsWithTheRate) {
    EXPECT_NEAR(static_cast<double>(Drive(10'000'000).controller.queue_target()), 20e6, 1e6);
    EXPECT_NEAR(static_cast<double>(Drive(kCap).controller.queue_target()), 5e6, 1e6);
}

// start multiplies by 1.5 a round trip until half its target stands in the queue.
TEST(Delay, StartEndsAtTheQueue) {
    Drive run;
    EXPECT_EQ(run.controller.phase(), Phase::start);
    run.path.capacity_bps = 0.5 * kCap;
    ASSERT_TRUE(run.until(Phase::converge, 2 * kSecond));
    EXPECT_LE(run.rate(), 1.0 * kCap);
}

// An empty queue for four round trips means room: it climbs, and stops climbing when a queue appears.
TEST(Delay, ClimbsWhenTheQueueStaysEmpty) {
    Drive run;
    run.path.capacity_bps = 0.2 * kCap;
    ASSERT_TRUE(run.until(Phase::converge));
    run.path.run(run.controller, 5 * kSecond);
    run.path.capacity_bps = 0.8 * kCap;
    ASSERT_TRUE(run.until(Phase::climb, 2 * kSecond));
    ASSERT_TRUE(run.until(Phase::converge, 2 * kSecond));
    EXPECT_GE(run.rate(), 0.7 * kCap);
}

// A policer shows no queue: its loss is the limit, and the way past it is slow.
TEST(Delay, BrakesForLossWithoutAQueue) {
    Drive run;
    run.path.capacity_bps = 0.5 * kCap;
    run.path.policed = true;
    run.path.run(run.controller, 10 * kSecond);
    EXPECT_GT(run.controller.brakes(), 0u);
    EXPECT_NEAR(run.rate(), 0.5 * kCap, 0.06 * kCap);
    EXPECT_LE(run.controller.brakes(), 40u);  // not a saw over four decades
}

// One per cent of random loss is the path's own.
TEST(Delay, ForgivesRandomLoss) {
    Drive run;
    run.path.loss = 0.01;
    run.path.run(run.controller, 20 * kSecond);
    EXPECT_GE(run.rate(), 0.9 * kCap);
}

// The queue of somebody who fills the buffer pushes it down.
TEST(Delay, GivesWayToQueueBuilders) {
    Drive run;
    ASSERT_TRUE(run.until(Phase::converge));
    // It moves, as queues do: a sawtooth of 10 ms over 40.
    int step = 0;
    run.path.run(run.controller, 5 * kSecond, [&] {
        run.path.others_queue = 40 * kMillisecond + static_cast<TimeNs>(++step % 20) * kMillisecond / 2;
        return false;
    });
    EXPECT_LT(run.rate(), 0.3 * kCap);
}

// A longer route is no queue: the rate comes back as soon as slowing down has proved that it does not drain. So for
// the other modes that slow down for queues.
TEST(RouteWatch, ALongerRouteIsNotAQueue) {
    for (const Mode mode : {Mode::delay, Mode::scavenger, Mode::reserved}) {
        const auto controller = make(mode, control(kCap));
        FluidPath path;
        path.run(*controller, 5 * kSecond);
        path.detour = 25 * kMillisecond;
        path.run(*controller, 3 * kSecond);
        double most = 0;
        path.run(*controller, 3 * kSecond, [&] {
            most = std::max(most, static_cast<double>(controller->rate_bps()));
            return false;
        });
        EXPECT_GE(most, 0.85 * kCap) << to_string(mode);
    }
}

// Clocks that drift apart raise the one-way delay and leave the round trip: nobody slows down.
TEST(RouteWatch, DriftIsNotAQueue) {
    for (const Mode mode : {Mode::delay, Mode::reserved}) {
        const auto controller = make(mode, control(kCap));
        Sample sample;
        sample.now = kSecond;
        sample.interval = 10 * kMillisecond;
        sample.delivered_bytes = kCap / 800;
        sample.delivered_packets = sample.delivered_bytes / 1500;
        sample.rtt = sample.rtt_min = 50 * kMillisecond;
        for (int i = 0; i < 6000; ++i) {
            sample.now += sample.interval;
            sample.queue_delay = static_cast<TimeNs>(i) * 2 * kMicrosecond;  // 200 ppm
            controller->on_sample(sample);
        }
        EXPECT_GE(static_cast<double>(controller->rate_bps()), 0.96 * kCap) << to_string(mode);
        EXPECT_EQ(controller->brakes(), 0u) << to_string(mode);
    }
}

}  // namespace
}  // namespace longhaul::congestion
