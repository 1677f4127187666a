// The memory plan and the token that travels through the ring.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/memory_plan.h"

#include <gtest/gtest.h>

#include "dataplane/worker/link_session.h"

namespace longhaul::worker {
namespace {

// The plan covers 2.5 BDP of retention and 2 BDP of open stripes, whatever the rate, and its arena is exact.
TEST(MemoryPlanTest, CoversTheBandwidthDelayProduct) {
    for (const std::uint64_t rate : {1'000'000ull, 1'000'000'000ull, 100'000'000'000ull}) {
        for (const unsigned rtt_ms : {1u, 50u, 200u}) {
            const MemoryPlan plan = plan_memory(rate, rtt_ms, 3, 64, 1408);
            const std::uint64_t bdp = rate / 8 * rtt_ms / 1000;
            EXPECT_GE(plan.send_blocks * plan.stripe_bytes, bdp * 5 / 2);
            EXPECT_GE(plan.receive_blocks * plan.stripe_bytes, bdp * 2);
            EXPECT_LT(plan.read_ahead_blocks, plan.send_blocks);
            EXPECT_EQ(plan.block_stride % 4096, 0u);
            EXPECT_EQ(plan.arena_bytes,
                      plan.block_stride * (std::uint64_t{plan.send_blocks} + plan.receive_blocks) * 3);
        }
    }
}

// Ordinary pages serve when there are no hugepages; the mapping is zeroed and writable to its end.
TEST(ArenaTest, MapsWithoutHugepages) {
    auto arena = Arena::map(3u << 20, false);
    ASSERT_TRUE(arena.ok()) << arena.error().text;
    ASSERT_GE(arena.value().size(), 3u << 20);
    EXPECT_FALSE(arena.value().on_hugepages());
    EXPECT_EQ(arena.value().data()[arena.value().size() - 1], 0);
    arena.value().data()[arena.value().size() - 1] = 1;
}

// An impossible size is refused with what to change.
TEST(ArenaTest, RefusesWhatDoesNotFit) {
    const auto arena = Arena::map(std::uint64_t{1} << 50, false);
    ASSERT_FALSE(arena.ok());
    EXPECT_NE(arena.error().text.find("plan_rate"), std::string::npos);
}

// A token survives its packing, at the edges of every field.
TEST(TokenTest, RoundTrip) {
    for (const auto kind : {Token::Kind::read, Token::Kind::write, Token::Kind::finish}) {
        for (const std::uint32_t value : {0u, 1u, 0xffffffffu}) {
            const Token before{255, 15, kind, 0xffff, value};
            const Token after = Token::unpack(before.packed());
            EXPECT_EQ(after.link, before.link);
            EXPECT_EQ(after.group, before.group);
            EXPECT_EQ(after.kind, before.kind);
            EXPECT_EQ(after.epoch, before.epoch);
            EXPECT_EQ(after.value, before.value);
        }
    }
}

}  // namespace
}  // namespace longhaul::worker
