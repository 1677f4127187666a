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
    double crowded_bps = 2e9;  // above, a tenth is lost: others hold on to their share
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
            if (offered > crowded_bps) lost += packets / 10;
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

// A queue that others keep full does not move when we slow down, as a longer route does not. But a route drops nothing:
// when much of the rate from before is lost, it is not taken for one.
TEST(Reserved, FullQueueOfOthersIsNoRoute) {
    ReservedController controller(config());
    Path path;
    path.run(controller, 5 * kSecond);
    path.queue = 40 * kMillisecond;
    path.crowded_bps = 0.2e9;
    path.run(controller, 10 * kSecond);
    double sum = 0;
    for (int i = 0; i < 200; ++i) {
        path.run(controller, kRtt);
        sum += static_cast<double>(controller.rate_bps());
    }
    EXPECT_LT(sum / 200, 0.3 * kCap);
}

// A longer route is not a queue: after the brake the rate is back.
TEST(Reserved, LongerRouteIsNoQueue) {
    ReservedController controller(config());
    Path path;
    path.run(controller, 5 * kSecond);
    path.queue = 40 * kMillisecond;
    path.run(controller, 10 * kSecond);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 1);
}

// When a queue has gone the rate comes back by 2 % of the cap a round trip.
TEST(Reserved, RecoversTwoPercentPerRoundTrip) {
    ReservedController controller(config());
    Path path;
    path.queue = 30 * kMillisecond;
    path.run(controller, 2 * kSecond);
    path.queue = 0;
    path.run(controller, kRtt * 2);
    const auto before = static_cast<double>(controller.rate_bps());
    path.run(controller, kSecond);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), before + 10 * 0.02 * kCap, 0.05 * kCap);
    path.run(controller, 5 * kSecond);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 1);
}

// Behind a policer the rate stays within 2 % of what passes, with the path's own loss or without, and does not saw.
TEST(Reserved, RidesAPolicer) {
    for (const double loss : {0.0, 0.002, 0.01}) {
        ReservedController controller(config());
        Path path;
        path.run(controller, 5 * kSecond);
        path.loss = loss;
        path.run(controller, 20 * kSecond);
        path.capacity_bps = 0.7e9;
        path.run(controller, 5 * kSecond);
        const std::uint64_t brakes = controller.brakes();
        for (int i = 0; i < 300; ++i) {
            path.run(controller, kRtt);
            ASSERT_NEAR(static_cast<double>(controller.rate_bps()), 1.02 * 0.7e9, 0.025 * 0.7e9)
                << "loss " << loss << " round " << i;
        }
        EXPECT_EQ(controller.brakes(), brakes) << "loss " << loss;
        EXPECT_NEAR(controller.own_loss(), 0.02, 0.001);
    }
}

// When the policer ends the contract is tried at once; one that only lets pass a little more is found again.
TEST(Reserved, TriesTheContractWhenAPolicerEnds) {
    ReservedController controller(config());
    Path path;
    path.capacity_bps = 0.6e9;
    path.run(controller, 10 * kSecond);
    path.capacity_bps = 0.7e9;
    path.run(controller, 20 * kRtt);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), 1.02 * 0.7e9, 0.01 * 0.7e9);
    path.capacity_bps = 0.5e9;
    path.run(controller, 40 * kRtt);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), 1.02 * 0.5e9, 0.01 * 0.5e9);
    path.capacity_bps = 2e9;
    path.run(controller, 3 * kRtt);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 1);
    EXPECT_EQ(controller.own_loss(), 0);
}

// While there is not enough to send, every loss costs somebody a round trip: then just below what passes.
TEST(Reserved, StaysBelowAPolicerWithoutBulk) {
    ReservedController controller(config());
    Path path;
    path.capacity_bps = 0.6e9;
    path.run(controller, 10 * kSecond);
    path.run(controller, 2 * kSecond, true);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), 0.98 * 0.6e9, 0.01 * 0.6e9);
    EXPECT_EQ(controller.own_loss(), 0);
    path.run(controller, 20 * kSecond, true);
    EXPECT_NEAR(static_cast<double>(controller.rate_bps()), kFull, 1) << "it is not remembered for ever";
}

// A direction that carries feedback alone: a few losses among ninety packets are chance.
TEST(Reserved, FewPacketsDoNotBrake) {
    ReservedController controller(config());
    for (TimeNs now = kSecond; now < 61 * kSecond; now += kRtt / 4) {
        Sample sample;
        sample.now = now;
        sample.interval = kRtt / 4;
        sample.delivered_packets = 20;
        sample.delivered_bytes = 20 * 200;
        sample.lost_packets = now / kSecond % 10 == 0 ? 3 : 0;
        sample.rtt = sample.rtt_min = kRtt;
        sample.application_limited = true;
        controller.on_sample(sample);
    }
    EXPECT_EQ(controller.brakes(), 0u);
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
