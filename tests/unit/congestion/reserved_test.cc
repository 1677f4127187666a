// The mode `reserved` against a model of a path: what it must brake for, and what it must not.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/reserved.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/base/random.h"

namespace longhaul::congestion {
namespace {

constexpr std::uint64_t kCap = 1'000'000'000;
constexpr TimeNs kRtt = 100 * kMillisecond;
constexpr double kPacketBytes = 1500;

// A path that carries `capacity_bps`, loses what exceeds it and `loss` of the rest (in bursts), and queues
// `queue`.
struct Path {
    double capacity_bps = 2e9;
    double loss = 0;
    double burst = 1;
    TimeNs queue = 0;
    Random random{42};
    TimeNs now = kSecond;

    void run(ReservedController& controller, TimeNs duration, bool application_limited = false) {
        constexpr TimeNs kStep = kRtt / 4;
        for (const TimeNs end = now + duration; now < end;) {
            now += kStep;
            const double offered =
                static_cast<double>(controller.rate_bps()) * (application_limited ? 0.1 : 1.0);
            const double packets = offered / 8e9 * static_cast<double>(kStep) / kPacketBytes;
            double lost = packets * std::max(0.0, 1 - capacity_bps / offered);
            for (double i = 0; i < packets / burst; ++i)
                if (random.chance(loss)) lost += burst;
            lost = std::min(lost, packets);
            Sample sample;
            sample.now = now;
            sample.interval = kStep;
            sample.lost_packets = static_cast<std::uint64_t>(lost);
            sample.delivered_packets = static_cast<std::uint64_t>(packets - lost);
            sample.delivered_bytes = static_cast<std::uint64_t>((packets - lost) * kPacketBytes);
            sample.rtt = kRtt + queue;
            sample.rtt_min = kRtt;
            sample.queue_delay = queue;
            sample.application_limited = application_limited;
            controller.on_sample(sample);
        }
    }
};

ReservedConfig config() {
    ReservedConfig c;
    c.cap_bps = kCap;
    return c;
}
constexpr double kFull = 0.97 * kCap;

// It starts at its share of the contracted rate, before any sample.
TEST(Reserved, StartsAtItsShare) {
    ReservedController controller(config());
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 1);
    EXPECT_GT(controller.inflight_cap_bytes(), kFull / 8 * 0.1 * 1.25);
}

// One per cent of loss, independent or in bursts of 8 or 32, is the path's own: the rate stays.
TEST(Reserved, RandomLossDoesNotBrake) {
    for (const double burst : {1.0, 8.0, 32.0}) {
        ReservedController controller(config());
        Path path;
        path.loss = 0.01;
        path.burst = burst;
        path.run(controller, 60 * kSecond);
        EXPECT_EQ(controller.brakes(), 0u) << "burst " << burst;
        EXPECT_NEAR(controller.baseline_loss(), 0.01, 0.005) << "burst " << burst;
    }
}

// Ten per cent looks like congestion at first; when it survives the brake it is known for what it is.
TEST(Reserved, HeavyRandomLossBrakesOnceAndRecovers) {
    ReservedController controller(config());
    Path path;
    path.loss = 0.10;
    path.run(controller, 60 * kSecond);
    EXPECT_LE(controller.brakes(), 2u);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 0.02 * kCap);
}

// A path that carries half: the rate settles around it and does not stay above.
TEST(Reserved, BrakesToWhatThePathCarries) {
    ReservedController controller(config());
    Path path;
    path.capacity_bps = 0.5e9;
    path.run(controller, 20 * kSecond);
    EXPECT_GE(controller.brakes(), 1u);
    EXPECT_LT(static_cast<double>(controller.rate_bps()), 0.56e9);
    EXPECT_GT(static_cast<double>(controller.rate_bps()), 0.40e9);
}

// A standing queue above max(10 ms, RTT/4) is pulled down even when nothing is lost.
TEST(Reserved, BrakesForAStandingQueue) {
    ReservedController controller(config());
    Path path;
    path.queue = 30 * kMillisecond;
    path.run(controller, kSecond);
    EXPECT_GE(controller.brakes(), 1u);
    EXPECT_LT(static_cast<double>(controller.rate_bps()), 0.9 * kCap);
}

// When the cause is gone the rate comes back by 2 % of the cap a round trip.
TEST(Reserved, RecoversTwoPercentPerRoundTrip) {
    ReservedController controller(config());
    Path path;
    path.capacity_bps = 0.5e9;
    path.run(controller, 2 * kSecond);
    path.capacity_bps = 2e9;
    const auto before = static_cast<double>(controller.rate_bps());
    path.run(controller, kSecond);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), before + 10 * 0.02 * kCap, 0.05 * kCap);
    path.run(controller, 5 * kSecond);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 1);
}

// Never above the share of the cap, never below the floor, whatever the path says.
TEST(Reserved, StaysBetweenFloorAndShare) {
    ReservedController controller(config());
    Path path;
    path.capacity_bps = 1e6;
    path.run(controller, 10 * kSecond);
    EXPECT_GE(static_cast<double>(controller.rate_bps()), 0.05 * kCap - 1);
    path.capacity_bps = 1e12;
    path.run(controller, 60 * kSecond);
    EXPECT_LE(static_cast<double>(controller.rate_bps()), kFull + 1);
}

// A sender with little to send is not held to what it delivered.
TEST(Reserved, ApplicationLimitedLossDoesNotCollapseTheRate) {
    ReservedController controller(config());
    Path path;
    path.loss = 0.06;
    path.run(controller, 2 * kSecond, true);
    EXPECT_GT(static_cast<double>(controller.rate_bps()), 0.6 * kCap);
}

// A new contract takes effect at once and keeps the share that the brake left.
TEST(Reserved, CapChangesLive) {
    ReservedController controller(config());
    controller.set_cap(kCap / 4, 0.97);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull / 4, 1);
    const std::uint64_t small = controller.inflight_cap_bytes();
    controller.set_cap(kCap, 0.97);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 1);
    EXPECT_GT(controller.inflight_cap_bytes(), small);
    controller.set_cap(kCap, 1.0);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kCap, 1) << "the share is part of the contract";
}

// The window follows the measured round trip.
TEST(Reserved, WindowFollowsRoundTrip) {
    ReservedController controller(config());
    Sample sample;
    sample.now = kSecond;
    sample.interval = kMillisecond;
    sample.rtt_min = 10 * kMillisecond;
    controller.on_sample(sample);
    const double expected = 1.25 * kFull / 8 * 0.025 + kFull / 8 * 0.010;
    EXPECT_NEAR(static_cast<double>(controller.inflight_cap_bytes()), expected, expected * 0.01);
}

}  // namespace
}  // namespace longhaul::congestion
