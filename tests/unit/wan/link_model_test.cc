// The emulated link against its settings: what it loses, delays, queues and spoils is what it was told to,
// measured from outside. Random, from a fixed seed; the bounds are several standard deviations wide.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "drivers/wan/link_model.h"

namespace longhaul::wan {
namespace {

constexpr std::uint64_t kSeed = 7;  // changing it must not break any test here
constexpr std::size_t kFrame = 1500;

LinkSettings clean() {
    LinkSettings settings;
    settings.rate_bps = 0;
    settings.delay = 0;
    return settings;
}

struct LossRuns {
    double share = 0;
    double mean_run = 0;
    std::uint64_t runs = 0;
};

LossRuns measure_loss(LinkModel& link, unsigned packets) {
    std::uint64_t lost = 0, runs = 0;
    bool losing = false;
    for (unsigned i = 0; i < packets; ++i) {
        const bool gone = link.send(kFrame, i * kMicrosecond).copies == 0;
        lost += gone;
        runs += gone && !losing;
        losing = gone;
    }
    return {static_cast<double>(lost) / packets,
            runs == 0 ? 0 : static_cast<double>(lost) / static_cast<double>(runs), runs};
}

// Independent loss: the share is met, and runs are as short as chance makes them.
TEST(LinkModel, IndependentLossMeetsItsShare) {
    auto settings = clean();
    settings.loss = 0.01;
    LinkModel link(settings, kSeed);
    const LossRuns seen = measure_loss(link, 1'000'000);
    EXPECT_NEAR(seen.share, 0.01, 0.0006);
    EXPECT_NEAR(seen.mean_run, 1 / 0.99, 0.01);
    EXPECT_EQ(link.counters().loss_events, seen.runs);
    EXPECT_EQ(link.counters().lost + link.counters().out_packets, link.counters().in_packets);
}

// Gilbert-Elliott: share and mean run length are both met, over the range that the tests of the product use.
TEST(LinkModel, BurstLossMeetsShareAndRunLength) {
    const std::pair<double, double> cases[] = {{0.001, 8}, {0.01, 8}, {0.01, 64}, {0.2, 4}};
    for (const auto& [share, burst] : cases) {
        auto settings = clean();
        settings.loss = share;
        settings.burst = burst;
        LinkModel link(settings, kSeed);
        const LossRuns seen = measure_loss(link, 4'000'000);
        EXPECT_NEAR(seen.share, share, share * 0.15) << share << " in runs of " << burst;
        EXPECT_NEAR(seen.mean_run, burst, burst * 0.15) << share << " in runs of " << burst;
    }
}

// Runs shorter than independent losses make cannot be asked for: the share is kept, not the impossible run.
TEST(LinkModel, HeavyLossKeepsItsShare) {
    auto settings = clean();
    settings.loss = 0.9;
    settings.burst = 2;
    LinkModel heavy(settings, kSeed);
    EXPECT_NEAR(measure_loss(heavy, 500'000).share, 0.9, 0.005);
    settings.loss = 1;
    LinkModel all(settings, kSeed);
    EXPECT_EQ(measure_loss(all, 10'000).share, 1);
    EXPECT_EQ(all.counters().loss_events, 1u);
}

// The serialiser lets the configured rate through, overhead counted, without drift even where a frame takes a
// few nanoseconds and a fraction.
TEST(LinkModel, RateIsExactAtAnySpeed) {
    for (const std::uint64_t rate :
         {1'000'000ull, 1'000'000'000ull, 100'000'000'000ull, 333'333'333'333ull}) {
        auto settings = clean();
        settings.rate_bps = rate;
        settings.queue_bytes = 1ull << 40;
        settings.frame_overhead_bytes = 24;
        LinkModel link(settings, kSeed);
        constexpr unsigned kCount = 10'000;
        Fate last;
        for (unsigned i = 0; i < kCount; ++i)
            last = link.send(64, 0);
        const double expected_ns = kCount * 88.0 * 8 * 1e9 / static_cast<double>(rate);
        EXPECT_NEAR(static_cast<double>(last.deliver_at[0]), expected_ns, 1.0) << rate;
    }
}

// An idle link delivers after serialisation plus delay, to the nanosecond.
TEST(LinkModel, DelayStandsBehindSerialisation) {
    LinkSettings settings;
    settings.rate_bps = 1'000'000'000;
    settings.delay = 25 * kMillisecond;
    LinkModel link(settings, kSeed);
    const Fate fate = link.send(kFrame, 5 * kSecond);
    ASSERT_EQ(fate.copies, 1u);
    EXPECT_EQ(fate.deliver_at[0], 5 * kSecond + 25 * kMillisecond + (1500 + 4) * 8);
}

// Jitter is uniform between 0 and its bound when frames are far apart, and never reorders frames that are
// close.
TEST(LinkModel, JitterSpreadsButKeepsOrder) {
    auto settings = clean();
    settings.delay = 10 * kMillisecond;
    settings.jitter = 4 * kMillisecond;
    LinkModel apart(settings, kSeed);
    double sum = 0;
    TimeNs low = kNever, high = 0;
    for (unsigned i = 0; i < 20'000; ++i) {
        const TimeNs now = i * kSecond;
        const TimeNs extra = apart.send(kFrame, now).deliver_at[0] - now - 10 * kMillisecond;
        sum += static_cast<double>(extra);
        low = std::min(low, extra);
        high = std::max(high, extra);
    }
    EXPECT_NEAR(sum / 20'000, 2.0 * kMillisecond, 0.05 * kMillisecond);
    EXPECT_LT(low, 10 * kMicrosecond);
    EXPECT_LE(high, 4 * kMillisecond);
    EXPECT_GT(high, 4 * kMillisecond - 10 * kMicrosecond);

    LinkModel close(settings, kSeed);
    TimeNs previous = 0;
    for (unsigned i = 0; i < 20'000; ++i) {
        const Fate fate = close.send(kFrame, i * kMicrosecond);
        EXPECT_GE(fate.deliver_at[0], previous);
        previous = fate.deliver_at[0];
    }
    EXPECT_EQ(close.counters().reordered, 0u);
}

// The queue never holds more than its bound, drops exactly what does not fit, and what it holds waits for its
// turn.
TEST(LinkModel, QueueIsBoundedAndDropsTheRest) {
    LinkSettings settings;
    settings.rate_bps = 1'000'000;
    settings.delay = 0;
    settings.queue_bytes = 15'040;  // ten frames with their overhead
    LinkModel link(settings, kSeed);
    unsigned accepted = 0;
    TimeNs last = 0;
    for (unsigned i = 0; i < 100; ++i) {
        const Fate fate = link.send(kFrame, 0);
        accepted += fate.copies;
        if (fate.copies != 0) last = fate.deliver_at[0];
    }
    EXPECT_EQ(accepted, 10u);
    EXPECT_EQ(link.counters().queue_dropped, 90u);
    EXPECT_EQ(link.counters().queue_bytes_max, 15'040u);
    EXPECT_EQ(last, serialisation_ns(15'040, 1'000'000));
    link.observe(last / 2);
    EXPECT_EQ(link.counters().queue_bytes, 7'520u);
    link.observe(last);
    EXPECT_EQ(link.counters().queue_bytes, 0u);
    EXPECT_EQ(link.send(kFrame, last).copies, 1u) << "a drained queue takes frames again";
}

// The default queue is 20 ms of the rate but never below 64 KiB, and an idle line takes a frame larger than
// its queue.
TEST(LinkModel, DefaultQueueFollowsTheRate) {
    LinkSettings settings;
    settings.rate_bps = 1'000'000'000;
    EXPECT_EQ(queue_limit_bytes(settings), 2'500'000u);
    settings.rate_bps = 1'000'000;
    EXPECT_EQ(queue_limit_bytes(settings), 65'536u);
    settings.queue_bytes = 100;
    LinkModel tiny(settings, kSeed);
    EXPECT_EQ(tiny.send(kFrame, 0).copies, 1u);
    EXPECT_EQ(tiny.send(kFrame, 0).copies, 0u);
}

// The policer passes its burst at once and then its rate, whatever the line behind it could carry.
TEST(LinkModel, PolicerPassesItsRateAndBurst) {
    auto settings = clean();
    settings.frame_overhead_bytes = 0;
    settings.police_bps = 80'000'000;  // 10 bytes a microsecond
    settings.police_burst_bytes = 30'000;
    LinkModel link(settings, kSeed);
    unsigned at_once = 0;
    for (unsigned i = 0; i < 100; ++i)
        at_once += link.send(kFrame, 0).copies;
    EXPECT_EQ(at_once, 20u);
    std::uint64_t passed = 0;
    for (unsigned i = 1; i <= 100'000; ++i)
        passed += link.send(kFrame, i * 10 * kMicrosecond).copies;  // 1 second
    EXPECT_NEAR(static_cast<double>(passed), 10'000'000.0 / kFrame, 2);
    EXPECT_EQ(link.counters().policed, 80 + 100'000 - passed);
}

// Reordered frames arrive later than frames sent after them; the share is met; everything else keeps its
// order.
TEST(LinkModel, ReorderHoldsBackItsShare) {
    auto settings = clean();
    settings.delay = 10 * kMillisecond;
    settings.reorder = 0.05;
    settings.reorder_delay = kMillisecond;
    LinkModel link(settings, kSeed);
    unsigned late = 0;
    for (unsigned i = 0; i < 100'000; ++i) {
        const TimeNs now = i * 10 * kMicrosecond;
        const TimeNs took = link.send(kFrame, now).deliver_at[0] - now;
        if (took == 11 * kMillisecond) {
            ++late;
        } else {
            EXPECT_EQ(took, 10 * kMillisecond);
        }
    }
    EXPECT_NEAR(late, 5'000, 350);
    EXPECT_EQ(link.counters().reordered, late);
}

// Duplicates and bit errors come at their share, are counted, and the flipped bit lies anywhere in the frame.
TEST(LinkModel, DuplicatesAndBitErrorsMeetTheirShare) {
    auto settings = clean();
    settings.duplicate = 0.02;
    settings.corrupt = 0.03;
    LinkModel link(settings, kSeed);
    unsigned twice = 0, spoiled = 0, upper_half = 0;
    for (unsigned i = 0; i < 200'000; ++i) {
        const Fate fate = link.send(kFrame, i);
        twice += fate.copies == 2;
        spoiled += fate.corrupt;
        upper_half += fate.corrupt && fate.corrupt_bit % (kFrame * 8) >= kFrame * 4;
        EXPECT_TRUE(fate.copies < 2 || fate.deliver_at[1] >= fate.deliver_at[0]);
    }
    EXPECT_NEAR(twice, 4'000, 320);
    EXPECT_NEAR(spoiled, 6'000, 390);
    EXPECT_NEAR(upper_half, spoiled / 2.0, 200);
    EXPECT_EQ(link.counters().duplicated, twice);
    EXPECT_EQ(link.counters().corrupted, spoiled);
    EXPECT_EQ(link.counters().out_packets, 200'000u + twice);
    EXPECT_EQ(link.counters().out_bytes, (200'000ull + twice) * kFrame);
}

// Frames above the path's MTU vanish without a word, frames at it pass: the MTU counts IP bytes, not
// Ethernet's.
TEST(LinkModel, MtuCutIsSilentAndExact) {
    auto settings = clean();
    settings.mtu_bytes = 1400;
    LinkModel link(settings, kSeed);
    EXPECT_EQ(link.send(1414, 0).copies, 1u);
    EXPECT_EQ(link.send(1415, 0).copies, 0u);
    EXPECT_EQ(link.counters().mtu_dropped, 1u);
}

// The seed alone decides: same seed, same fates; another seed, other fates.
TEST(LinkModel, SameSeedSameFates) {
    LinkSettings settings;
    settings.loss = 0.05;
    settings.burst = 3;
    settings.jitter = kMillisecond;
    settings.reorder = settings.duplicate = settings.corrupt = 0.05;
    const auto run = [&](std::uint64_t seed) {
        LinkModel link(settings, seed);
        std::vector<std::uint64_t> trace;
        for (unsigned i = 0; i < 5'000; ++i) {
            const Fate fate = link.send(kFrame, i * 20 * kMicrosecond);
            trace.insert(trace.end(),
                         {fate.copies, fate.deliver_at[0], fate.deliver_at[1], fate.corrupt_bit});
        }
        return trace;
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

// Settings change while frames are in flight: promised times stand, order is kept, the new values hold at
// once.
TEST(LinkModel, ChangesTakeEffectOnTheNextFrame) {
    LinkSettings settings;
    settings.rate_bps = 1'000'000;
    settings.delay = 50 * kMillisecond;
    LinkModel link(settings, kSeed);
    const Fate before = link.send(kFrame, 0);

    settings.down = true;
    link.set(settings, 1);
    EXPECT_EQ(link.send(kFrame, 1).copies, 0u);
    EXPECT_EQ(link.counters().down_dropped, 1u);

    settings.down = false;
    settings.rate_bps = 1'000'000'000;
    settings.delay = kMillisecond;
    link.set(settings, 2);
    const Fate after = link.send(kFrame, 2);
    ASSERT_EQ(after.copies, 1u);
    EXPECT_GE(after.deliver_at[0], before.deliver_at[0]) << "a shorter path does not reorder by itself";
    const TimeNs later = kSecond;
    EXPECT_EQ(link.send(kFrame, later).deliver_at[0], later + kMillisecond + 1504 * 8);

    settings.loss = 1;
    link.set(settings, 2 * kSecond);
    EXPECT_EQ(link.send(kFrame, 2 * kSecond).copies, 0u);
    settings.loss = 0;
    link.set(settings, 2 * kSecond);
    EXPECT_EQ(link.send(kFrame, 2 * kSecond).copies, 1u);

    settings.police_bps = 8;  // one byte a second: the burst alone passes
    settings.police_burst_bytes = 1504;
    link.set(settings, 3 * kSecond);
    EXPECT_EQ(link.send(kFrame, 3 * kSecond).copies, 1u);
    EXPECT_EQ(link.send(kFrame, 3 * kSecond).copies, 0u);
}

// A rate change with a full queue neither blocks the line for the old backlog at the new rate nor loses the
// bound.
TEST(LinkModel, RateChangeWithABacklogKeepsTheLineUsable) {
    LinkSettings settings;
    settings.rate_bps = 1'000'000;
    settings.delay = 0;
    LinkModel link(settings, kSeed);
    while (link.send(kFrame, 0).copies != 0) {
    }
    settings.rate_bps = 1'000'000'000;
    link.set(settings, 0);
    EXPECT_LE(link.counters().queue_bytes, 65'536u);
    EXPECT_EQ(link.send(kFrame, 0).copies, 1u) << "20 ms at the new rate have room for the old 64 KiB";

    while (link.send(kFrame, 0).copies != 0) {
    }
    settings.rate_bps = 1'000'000;
    link.set(settings, 0);
    EXPECT_LE(link.counters().queue_bytes, 65'536u);
    EXPECT_EQ(link.send(kFrame, kSecond).copies, 1u);
}

}  // namespace
}  // namespace longhaul::wan
