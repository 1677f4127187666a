// The replay window: each number once, exactly kReplayWindow back, at any jump.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/crypto/replay_window.h"

#include <gtest/gtest.h>

#include <set>

#include "dataplane/base/random.h"

namespace longhaul::crypto {
namespace {

// Proves the edges: the last number inside the window is taken once, the first outside never.
TEST(ReplayWindow, EdgesAreExact) {
    for (const std::uint64_t top : {kReplayWindow, kReplayWindow + 1, kReplayWindow * 3 + 63,
                                    std::uint64_t{1} << 40, ~std::uint64_t{0} - 1}) {
        ReplayWindow window;
        window.note(top);
        EXPECT_FALSE(window.is_fresh(top));
        EXPECT_TRUE(window.is_fresh(top - (kReplayWindow - 1)));
        EXPECT_FALSE(window.is_fresh(top - kReplayWindow)) << top;
        window.note(top - (kReplayWindow - 1));
        EXPECT_FALSE(window.is_fresh(top - (kReplayWindow - 1)));
        EXPECT_TRUE(window.is_fresh(top - 1));
    }
}

// Proves that number 0 is a number like others, and that the number that would wrap the window is refused.
TEST(ReplayWindow, FirstAndLastNumbers) {
    ReplayWindow window;
    EXPECT_FALSE(window.any());
    EXPECT_TRUE(window.is_fresh(0));
    window.note(0);
    EXPECT_TRUE(window.any());
    EXPECT_FALSE(window.is_fresh(0));
    EXPECT_TRUE(window.is_fresh(1));
    EXPECT_FALSE(window.is_fresh(~std::uint64_t{0}));
}

// Proves against a plain set that no number passes twice and none inside the window is refused, for steps,
// reordering and jumps of every size.
TEST(ReplayWindow, AgreesWithASet) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed) +
                     "; replay: unit-crypto --gtest_filter=ReplayWindow.Agrees*");
        Random random(seed);
        ReplayWindow window;
        std::set<std::uint64_t> noted;
        std::uint64_t base = 0;
        for (unsigned i = 0; i < 20'000; ++i) {
            if (random.chance(0.001)) base += random.below(40'000);
            base += random.below(3);
            const std::uint64_t back = random.below(random.chance(0.1) ? 2 * kReplayWindow : 100);
            const std::uint64_t number = base - std::min(base, back);
            const bool below = !noted.empty() && *noted.rbegin() >= number + kReplayWindow;
            const bool expected = !below && !noted.contains(number);
            ASSERT_EQ(window.is_fresh(number), expected) << number;
            if (!expected || random.chance(0.2)) continue;  // not every fresh number is authentic
            window.note(number);
            noted.insert(number);
        }
    }
}

}  // namespace
}  // namespace longhaul::crypto
