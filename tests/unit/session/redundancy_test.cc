// What the redundancy is decided from, and what is decided: runs of losses across lanes, the loss meter's bounds, the
// rows and turns that follow, and how long they are held.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/session/loss_meter.h"
#include "dataplane/session/loss_runs.h"
#include "dataplane/session/parity_choice.h"

namespace longhaul::session {
namespace {

// Sends symbols over lanes in turn through a channel that loses what `lose` says, and lets LossRuns see the rest.
class Path {
  public:
    explicit Path(unsigned lanes) : runs(lanes), numbers_(lanes) {}
    void symbol(bool lost) {
        send(static_cast<unsigned>(sent_++ % numbers_.size()), wire::PacketType::data, lost);
    }
    void send(unsigned lane, wire::PacketType type, bool lost) {
        wire::Header header;
        header.type = type;
        header.lane = static_cast<std::uint8_t>(lane);
        header.packet_number = numbers_[lane]++;
        if (!lost) runs.arrived(header);
    }
    LossRuns runs;

  private:
    std::vector<std::uint64_t> numbers_;
    std::uint64_t sent_ = 0;
};

// Proves: however many lanes a burst is spread over, and whether or not it lasts longer than a turn of all lanes, it is
// one event; so losses over events is the burst's length.
TEST(LossRunsTest, ABurstIsOneEventOnAnyNumberOfLanes) {
    for (const unsigned lanes : {1u, 2u, 4u, 32u, 64u}) {
        for (const unsigned burst : {1u, 2u, 3u, 8u, 31u, 32u, 33u, 64u, 200u}) {
            Path path(lanes);
            for (unsigned round = 1; round <= 20; ++round) {
                for (unsigned i = 0; i < 4 * lanes + round; ++i)
                    path.symbol(false);
                for (unsigned i = 0; i < burst; ++i)
                    path.symbol(true);
            }
            for (unsigned i = 0; i < 4 * lanes; ++i)
                path.symbol(false);
            EXPECT_EQ(path.runs.events(), 20u) << lanes << " lanes, bursts of " << burst;
        }
    }
}

// Proves: single losses stay single events, also when several happen within one turn of the lanes; pings out of turn
// make none, and a lane that the sender leaves out makes none.
TEST(LossRunsTest, SingleLossesPingsAndDeadLanes) {
    Path path(8);
    Random random(5);
    unsigned lost = 0, runs = 0;
    bool before = false;
    for (unsigned i = 0; i < 100'000; ++i) {
        if (i % 97 == 0) path.send(static_cast<unsigned>(random.below(8)), wire::PacketType::ping, false);
        const bool gone = i > 100 && i < 99'900 && random.chance(0.02);
        lost += gone ? 1 : 0;
        runs += gone && !before ? 1 : 0;
        before = gone;
        path.symbol(gone);
    }
    EXPECT_NEAR(path.runs.events(), runs, 0.03 * runs) << lost << " lost";

    LossRuns dead(4);
    wire::Header header;
    for (unsigned i = 0; i < 300; ++i) {  // lane 3 is never used
        header.lane = static_cast<std::uint8_t>(i % 3);
        header.packet_number = i / 3;
        dead.arrived(header);
    }
    EXPECT_EQ(dead.events(), 0u);
}

// Proves: arrivals that are only late are no losses; numbers that never come are.
TEST(LossRunsTest, LateIsNotLost) {
    LossRuns runs(2);
    wire::Header header;
    const auto arrive = [&](unsigned lane, std::uint64_t number) {
        header.lane = static_cast<std::uint8_t>(lane);
        header.packet_number = number;
        runs.arrived(header);
    };
    for (const std::uint64_t number : {0, 1, 2, 3}) {  // lane 1 runs behind lane 0
        arrive(0, 2 * number);
        arrive(0, 2 * number + 1);
        arrive(1, 2 * number);
        arrive(1, 2 * number + 1);
    }
    EXPECT_EQ(runs.events(), 0u);
    arrive(0, 10);  // 8 and 9 are missing
    EXPECT_EQ(runs.events(), 1u);
    arrive(0, 9);
    EXPECT_EQ(runs.events(), 1u);
}

LossMeter after(std::uint64_t packets, double share, double burst, std::uint64_t lump = 8192) {
    LossMeter meter;
    double lost = 0, events = 0;
    for (std::uint64_t i = 0; i < packets; i += lump) {
        lost += share * static_cast<double>(lump);
        events += share * static_cast<double>(lump) / burst;
        const auto whole = static_cast<std::uint64_t>(lost);
        const auto runs = static_cast<std::uint32_t>(events);
        meter.add_events(runs);
        meter.add(lump - whole, whole);
        lost -= static_cast<double>(whole);
        events -= runs;
    }
    return meter;
}

// Proves: what is learned while a brake builds up can be taken back, whole; and with nothing noted yet, to nothing.
TEST(LossRecallTest, GoesBackToBeforeTheBrake) {
    LossMeter meter;
    LossRecall recall;
    EXPECT_EQ(recall.before().estimate().packets, 0);
    for (unsigned sample = 0; sample < 100; ++sample) {
        meter.add(1000, 1);
        recall.note(meter);
    }
    const double calm = meter.estimate().share;
    for (unsigned sample = 0; sample < 12; ++sample) {  // three round trips of a policer
        meter.add(800, 200);
        recall.note(meter);
    }
    EXPECT_GT(meter.estimate().share, 5 * calm);
    meter = recall.before();
    EXPECT_NEAR(meter.estimate().share, calm, calm / 100);
    recall.begin_again(meter);
    EXPECT_NEAR(recall.before().estimate().share, calm, calm / 100);
}

// Proves: rows that were raised for such loss are given up at once, not after ten calm seconds.
TEST(LossRecallTest, RowsAreGivenUpAtOnce) {
    ParityChoice choice(fec::Goal::balanced, std::nullopt, 64);
    LossMeter calm, stormy;
    calm.add(1'000'000, 10);
    stormy.add(97'000, 3'000);
    choice.learn(calm.estimate(), 10, kSecond);
    const unsigned before = choice.steady(64);
    choice.learn(stormy.estimate(), 3'000, 2 * kSecond);
    EXPECT_GE(choice.steady(64), before + 3);
    choice.forget(calm.estimate(), 2 * kSecond + kMillisecond);
    EXPECT_EQ(choice.steady(64), before);
}

// Proves: share and burst are found; the bounds enclose the share, wider where the same losses are fewer events.
TEST(LossMeterTest, BoundsCountEvents) {
    const auto single = after(1 << 20, 1e-3, 1).estimate();
    const auto bursts = after(1 << 20, 1e-3, 64).estimate();
    EXPECT_NEAR(single.share, 1e-3, 1e-5);
    EXPECT_NEAR(bursts.share, 1e-3, 1e-4);
    EXPECT_NEAR(single.burst, 1, 0.02);
    EXPECT_NEAR(bursts.burst, 64, 6);
    EXPECT_LT(single.lower, 1e-3);
    EXPECT_GT(single.upper, 1e-3);
    EXPECT_LT(single.upper, 1.1e-3);
    EXPECT_GT(bursts.upper, 1.3e-3);
    EXPECT_LT(bursts.upper, 2.5e-3);
}

// Proves: nothing known is a loss of 1e-4 assumed; clean traffic lowers the bound; one early loss is no storm.
TEST(LossMeterTest, LittleIsKnownAtFirst) {
    LossMeter meter;
    EXPECT_EQ(meter.estimate().upper, 1e-4);
    meter.add(1000, 0);
    EXPECT_EQ(meter.estimate().upper, 1e-4);
    EXPECT_LT(after(1 << 20, 0, 1).estimate().upper, 5e-6);
    LossMeter early;
    early.add_events(1);
    early.add(50, 1);
    EXPECT_LT(early.estimate().upper, 2e-3);
    EXPECT_EQ(early.estimate().lower, early.estimate().lower);
    EXPECT_LT(early.estimate().lower, 2e-3);
}

// Proves: a path that turns bad is believed within 2^15 packets although a million good ones came before, and one that
// turns good within 2^16.
TEST(LossMeterTest, AChangedPathIsBelieved) {
    LossMeter meter = after(1 << 20, 1e-5, 1);
    for (unsigned i = 0; i < 4; ++i) {
        meter.add_events(160);
        meter.add(8192 - 160, 160);
    }
    EXPECT_GT(meter.estimate().share, 0.01);
    LossMeter better = after(1 << 20, 0.02, 1);
    for (unsigned i = 0; i < 8; ++i)
        better.add(8192, 0);
    EXPECT_LT(better.estimate().share, 0.005);
}

// Proves: bursts that are rare against the short window stay known while they fade from it: at no time are sixty losses
// in a row taken for sixty events, which would bring rows that bursts make useless.
TEST(LossMeterTest, RareBurstsStayBursts) {
    Random random(11);
    LossMeter meter;
    unsigned lumps = 0;
    for (; lumps < 2000; ++lumps) {
        const bool event = random.chance(0.06);  // one in 2^16 packets
        meter.add_events(event ? 1 : 0);
        const std::uint64_t lost = event ? 40 + random.below(40) : 0;
        meter.add(4096 - lost, lost);
        if (lumps < 200) continue;
        ASSERT_GT(meter.estimate().burst, 30) << lumps;
        ASSERT_LT(meter.estimate().burst, 90) << lumps;
        ASSERT_LT(meter.estimate().upper, 6e-3) << lumps;
    }
}

LossMeter::Estimate loss_of(double share, double burst = 1) {
    LossMeter::Estimate loss;
    loss.share = loss.upper = loss.lower = share;
    loss.burst = burst;
    return loss;
}

// Proves: rows and turns are raised at once and lowered after ten calm seconds, not before.
TEST(ParityChoiceTest, RaisedAtOnceLoweredWhenCalm) {
    ParityChoice choice(fec::Goal::latency, std::nullopt, 64);
    TimeNs now = kSecond;
    choice.learn(loss_of(1e-3, 8), 10, now);
    EXPECT_GE(choice.steady(64), 2u);
    EXPECT_EQ(choice.depth(), 32u);
    const unsigned rows = choice.steady(64);
    const TimeNs calm_since = now += 300 * kMillisecond;
    for (; now < calm_since + 10 * kSecond; now += 300 * kMillisecond) {
        choice.learn(loss_of(1e-6), 0, now);
        ASSERT_EQ(choice.steady(64), rows) << now;
        ASSERT_EQ(choice.depth(), 32u);
    }
    choice.learn(loss_of(1e-6), 0, now + 300 * kMillisecond);
    EXPECT_EQ(choice.steady(64), 0u);
    EXPECT_EQ(choice.depth(), 1u);
}

// Proves: decided anew at most four times a second, except when it got worse by half.
TEST(ParityChoiceTest, DecidesSeldom) {
    ParityChoice choice(fec::Goal::latency, std::nullopt, 64);
    choice.learn(loss_of(1e-3), 1, kSecond);
    choice.learn(loss_of(1.4e-3), 1, kSecond + 100 * kMillisecond);
    EXPECT_EQ(choice.decided_from().upper, 1e-3);
    choice.learn(loss_of(2e-3), 1, kSecond + 100 * kMillisecond);
    EXPECT_EQ(choice.decided_from().upper, 2e-3);
}

// Proves: throughput pays for bulk only where parity surely beats repair, but protects a tail as the others do; a
// tail of more stripes needs more; a contract is exact for everything.
TEST(ParityChoiceTest, GoalsAndContract) {
    ParityChoice throughput(fec::Goal::throughput, std::nullopt, 64);
    throughput.learn(loss_of(0.015), 1, kSecond);
    EXPECT_EQ(throughput.steady(64), 0u);
    EXPECT_GE(throughput.tail(64, 4, 1), 8u);
    throughput.learn(loss_of(0.03), 1, 2 * kSecond);
    EXPECT_GE(throughput.steady(64), 1u);

    ParityChoice clean(fec::Goal::balanced, std::nullopt, 64);
    EXPECT_EQ(clean.tail(64, 1, 1), 2u);
    EXPECT_GT(clean.tail(64, 10'000, 1), 2u);

    ParityChoice fixed(fec::Goal::latency, 3, 64);
    fixed.learn(loss_of(0.05), 1, kSecond);
    EXPECT_EQ(fixed.steady(64), 3u);
    EXPECT_EQ(fixed.steady(5), 3u);
    EXPECT_EQ(fixed.guarded(1, true, 1), 3u);
    EXPECT_EQ(fixed.tail(64, 100, 32), 3u);
}

// Proves: where latency is the goal a tail is prepared for a burst before any was seen, bulk and small stripes are not;
// the first loss, or a clean minute, ends the guess at once.
TEST(ParityChoiceTest, LatencyPreparesForTheFirstBurst) {
    ParityChoice choice(fec::Goal::latency, std::nullopt, 64);
    EXPECT_EQ(choice.depth(), 256u);
    EXPECT_GE(choice.tail(64, 1000, 256), 4u);
    EXPECT_LE(choice.steady(64), 1u);
    EXPECT_LE(choice.tail(3, 1, 1), 3u) << "a burst would take the whole of it";
    EXPECT_EQ(ParityChoice(fec::Goal::balanced, std::nullopt, 64).depth(), 1u);
    ParityChoice single = choice, clean = choice;
    single.learn(loss_of(1e-5), 1, kSecond);
    EXPECT_EQ(single.depth(), 1u);
    EXPECT_LE(single.tail(64, 1000, 1), 5u);
    clean.learn(loss_of(0), 0, kSecond);
    EXPECT_EQ(clean.depth(), 256u);
    clean.learn(loss_of(0), 0, 62 * kSecond);
    EXPECT_EQ(clean.depth(), 1u);
}

// Proves: where latency is the goal, heads, tails and trailers outlast the death of any one lane: no lane carries more
// symbols than there are rows. Bulk that is followed, other goals and contracts do not pay for it, nor does anybody where
// few lanes would make it dear.
TEST(ParityChoiceTest, LatencyOutlastsALane) {
    ParityChoice choice(fec::Goal::latency, std::nullopt, 64);
    choice.learn(loss_of(1e-6), 1, kSecond);
    const unsigned before = choice.tail(64, 4, 1), bulk = choice.steady(64);
    for (unsigned lanes = 2; lanes <= 64; ++lanes) {
        choice.spread_over(lanes);
        for (unsigned k = 1; k <= 64; ++k) {
            const unsigned needed = (k + lanes - 2) / (lanes - 1);
            if (needed > std::max(2u, k / 4)) continue;
            for (const unsigned rows :
                 {choice.tail(k, 4, 1), choice.guarded(k, true, 1), choice.guarded(k, false, 1)}) {
                ASSERT_GE(rows, needed);
                ASSERT_LE((k + rows + lanes - 1) / lanes, rows) << k << " on " << lanes << " lanes";
            }
        }
        EXPECT_EQ(choice.steady(64), bulk);
    }
    choice.spread_over(4);  // a third more
    EXPECT_EQ(choice.tail(64, 4, 1), before);
    choice.spread_over(16);
    EXPECT_EQ(choice.tail(64, 4, 1), 5u);
    choice.learn(loss_of(0), 0, 62 * kSecond);
    EXPECT_TRUE(choice.off());
    EXPECT_EQ(choice.guarded(30, false, 1), 2u);

    for (const fec::Goal goal : {fec::Goal::throughput, fec::Goal::balanced}) {
        ParityChoice other(goal, std::nullopt, 64);
        const unsigned rows = other.tail(64, 4, 1);
        other.spread_over(16);
        EXPECT_EQ(other.tail(64, 4, 1), rows);
    }
    ParityChoice fixed(fec::Goal::latency, 3, 64);
    fixed.spread_over(16);
    EXPECT_EQ(fixed.tail(64, 4, 1), 3u);
}

// Proves: after sixty seconds without a loss only tails are protected, and the first loss ends that.
TEST(ParityChoiceTest, OffWhenClean) {
    ParityChoice choice(fec::Goal::balanced, std::nullopt, 64);
    choice.learn(loss_of(1e-6), 0, kSecond);
    EXPECT_FALSE(choice.off());
    EXPECT_GE(choice.guarded(1, false, 1), 1u);
    choice.learn(loss_of(1e-7), 0, 61 * kSecond);
    EXPECT_TRUE(choice.off());
    EXPECT_EQ(choice.guarded(1, false, 1), 0u);
    EXPECT_GE(choice.guarded(1, true, 1), 2u);
    EXPECT_GE(choice.tail(64, 4, 1), 2u);
    choice.learn(loss_of(1e-7), 1, 62 * kSecond);
    EXPECT_FALSE(choice.off());
}

}  // namespace
}  // namespace longhaul::session
