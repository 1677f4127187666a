// The delay line hands out every frame once, in the order of its time, whatever order they came in.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/wan/tool/delay_line.h"

#include <gtest/gtest.h>

#include "dataplane/base/random.h"
#include "drivers/wan/tool/bridge.h"

namespace longhaul::wan {
namespace {

rte_mbuf* numbered(std::uintptr_t number) {
    return reinterpret_cast<rte_mbuf*>(number * 64);  // never followed, only compared
}

// Random times, some held back, pushed and popped in turns: times never go back, nothing is lost or doubled,
// frames of one time leave in the order they came.
TEST(DelayLine, HandsOutInOrderOfTime) {
    constexpr std::uint64_t kSeed = 3;
    Random random(kSeed);
    DelayLine line(512);
    std::vector<std::pair<TimeNs, std::uintptr_t>> in, out;
    TimeNs now = 0;
    for (std::uintptr_t i = 1; i <= 20'000; ++i) {
        now += random.below(10);
        const TimeNs at = now + 100 + (random.chance(0.1) ? random.below(300) : 0);
        if (!line.full()) {
            line.push(numbered(i), at);
            in.emplace_back(at, i);
        }
        while (rte_mbuf* frame = line.pop(now))
            out.emplace_back(now, reinterpret_cast<std::uintptr_t>(frame) / 64);
        EXPECT_GT(line.next_at(), now);
    }
    while (rte_mbuf* frame = line.pop(kNever))
        out.emplace_back(kNever, reinterpret_cast<std::uintptr_t>(frame) / 64);
    EXPECT_EQ(line.size(), 0u);
    EXPECT_EQ(line.pop(kNever), nullptr) << "an empty line has nothing, not the last frame again";
    ASSERT_EQ(out.size(), in.size()) << "seed " << kSeed;
    std::stable_sort(in.begin(), in.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
    for (std::size_t i = 0; i < in.size(); ++i)
        ASSERT_EQ(out[i].second, in[i].second) << "seed " << kSeed << " place " << i;
}

// The holding plan follows rate x delay, with a floor and a ceiling that it admits to.
TEST(HoldingPlan, FollowsRateAndDelay) {
    LinkSettings settings;
    settings.rate_bps = 1'000'000;
    EXPECT_EQ(plan_holding(settings).frames, 16u << 10);
    settings.rate_bps = 10'000'000'000;
    settings.delay = 50 * kMillisecond;
    const HoldingPlan plan = plan_holding(settings);
    EXPECT_FALSE(plan.capped);
    EXPECT_NEAR(plan.frames, 2 * (52e-3 + 20e-3) * 10e9 / 8 / 1500, 2);
    settings.delay = kSecond;
    EXPECT_TRUE(plan_holding(settings).capped);
    settings.rate_bps = 0;
    EXPECT_TRUE(plan_holding(settings).capped);
}

}  // namespace
}  // namespace longhaul::wan
