// What every mode must keep whatever the path does: names that round-trip, a rate within the cap, a start where the
// mode before left off.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "dataplane/base/random.h"
#include "tests/unit/congestion/path.h"

namespace longhaul::congestion {
namespace {

constexpr std::uint64_t kCap = 1'000'000'000;
constexpr Mode kModes[] = {Mode::reserved, Mode::shared, Mode::scavenger, Mode::delay};

TEST(Modes, NamesAreReadBack) {
    for (const Mode mode : kModes) {
        EXPECT_EQ(parse(to_string(mode)), mode);
        EXPECT_EQ(make(mode, control(kCap))->figures().mode, mode);
        EXPECT_FALSE(make(mode, control(kCap))->figures().phase.empty());
    }
    EXPECT_EQ(parse("Shared"), std::nullopt);
    EXPECT_EQ(parse(""), std::nullopt);
}

// A change of mode begins at what was delivered, not at nothing and not at the cap.
TEST(Modes, TakeOverAtTheDeliveredRate) {
    for (const Mode mode : kModes) {
        const auto controller = make(mode, control(kCap, 400'000'000));
        EXPECT_NEAR(static_cast<double>(controller->rate_bps()), 4e8, 0.02 * 4e8) << to_string(mode);
        const auto above = make(mode, control(kCap, 2 * kCap));
        EXPECT_LE(above->rate_bps(), kCap) << to_string(mode);
    }
}

// Alone on a path that carries the cap, every mode uses it and makes no queue.
TEST(Modes, UseAnIdlePath) {
    for (const Mode mode : kModes) {
        const auto controller = make(mode, control(kCap));
        FluidPath path;
        path.run(*controller, 30 * kSecond);
        double sum = 0;
        int samples = 0;
        path.run(*controller, 20 * kSecond, [&] {
            sum += static_cast<double>(controller->rate_bps());
            ++samples;
            return false;
        });
        EXPECT_GE(sum / samples, 0.85 * kCap) << to_string(mode);
        EXPECT_LE(path.queue_ns, 5e6) << to_string(mode);
    }
}

// Random samples, sensible or not: the rate stays within (0, share of the cap], the window is never empty, nothing divides by zero.
TEST(Modes, StayWithinTheCapOnAnySample) {
    for (const Mode mode : kModes)
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            Random random(seed);
            std::uint64_t cap = kCap;
            double share = kShareOfCap;
            const auto controller = make(mode, control(cap));
            TimeNs now = kSecond;
            for (int i = 0; i < 2000; ++i) {
                Sample sample;
                now += 1 + random.below(200 * kMillisecond);
                sample.now = now;
                sample.interval = random.below(200 * kMillisecond);
                sample.delivered_packets = random.below(10000) * random.below(2);
                sample.delivered_bytes = sample.delivered_packets * (1 + random.below(9000));
                sample.lost_packets = random.below(10000) * random.below(2);
                sample.rtt = random.below(kSecond) * random.below(2);
                sample.rtt_min = random.below(200 * kMillisecond);
                sample.queue_delay = random.below(kSecond) * random.below(2);
                sample.inflight_bytes = random.below(1u << 30);
                sample.application_limited = random.chance(0.3);
                if (random.chance(0.01)) {
                    share = 0.5 + static_cast<double>(random.below(501)) / 1000;
                    controller->set_cap(cap = 1'000'000 + random.below(kCap), share);
                }
                controller->on_sample(sample);
                ASSERT_GT(controller->rate_bps(), 0u)
                    << to_string(mode) << " seed " << seed << " sample " << i;
                ASSERT_LE(static_cast<double>(controller->rate_bps()), share * static_cast<double>(cap) + 1)
                    << to_string(mode) << " seed " << seed << " sample " << i;
                ASSERT_GT(controller->inflight_cap_bytes(), 1500u)
                    << to_string(mode) << " seed " << seed << " sample " << i;
            }
        }
}

}  // namespace
}  // namespace longhaul::congestion
