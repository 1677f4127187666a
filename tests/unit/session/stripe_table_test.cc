// Places, claims and credit of the receiver's stripes.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/stripe_table.h"

#include <gtest/gtest.h>

#include "dataplane/base/random.h"
#include "tests/unit/session/fixture.h"

namespace longhaul::session {
namespace {

using testing::Pool;
using testing::small_parameters;
using testing::symbol_header;
using wire::DropReason;
using wire::Section;

struct Table {
    explicit Table(std::size_t stripes = 8)
        : pool(small_parameters(), stripes), table(small_parameters(), pool.pool, stripes) {}
    DropReason claim(const wire::Header& header) { return table.claim(header, place, position, into); }
    void take(const wire::Header& header) {
        ASSERT_EQ(claim(header), DropReason::none);
        table.confirm(header, place, position);
    }
    Pool pool;
    StripeTable table;
    std::uint32_t place = 0, position = 0;
    std::uint8_t* into = nullptr;
};

// A claim that is withdrawn leaves nothing: no block, no place, no fact, no credit used.
TEST(StripeTable, WithdrawnClaimLeavesNoState) {
    Table t;
    const std::uint64_t limit = t.table.limit();
    ASSERT_EQ(t.claim(symbol_header(5, 0, 4, Section::payload)), DropReason::none);
    t.table.withdraw(t.place, t.position);
    EXPECT_EQ(t.pool.pool.free_count(), t.pool.pool.total());
    EXPECT_EQ(t.table.in_use(), 0u);
    EXPECT_EQ(t.table.limit(), limit);
    EXPECT_EQ(t.table.next_known(), 0u);
    // Other facts about the same stripe are accepted now: the forged ones were never recorded.
    EXPECT_EQ(t.claim(symbol_header(5, 0, 3, Section::head, true, 2)), DropReason::none);
}

// A forged claim next to authentic symbols takes nothing of theirs away.
TEST(StripeTable, ForgedClaimDoesNotHarmAnOpenStripe) {
    Table t;
    t.take(symbol_header(0, 0, 4, Section::payload));
    ASSERT_EQ(t.claim(symbol_header(0, 1, 4, Section::payload)), DropReason::none);
    t.table.withdraw(t.place, t.position);
    const OpenStripe& stripe = t.table.at(t.table.find(0));
    EXPECT_EQ(stripe.have[0], 1u);
    EXPECT_EQ(stripe.data_here, 1);
    EXPECT_EQ(t.claim(symbol_header(0, 1, 4, Section::payload)), DropReason::none);
}

// Every refusal has its reason.
TEST(StripeTable, RefusalsHaveReasons) {
    Table t;
    t.take(symbol_header(1, 0, 4, Section::payload));
    EXPECT_EQ(t.claim(symbol_header(1, 0, 4, Section::payload)), DropReason::symbol_duplicate);
    EXPECT_EQ(t.claim(symbol_header(1, 1, 3, Section::payload)), DropReason::stripe_conflict);
    EXPECT_EQ(t.claim(symbol_header(1, 1, 4, Section::trailer)), DropReason::stripe_conflict);
    EXPECT_EQ(t.claim(symbol_header(1, 1, 4, Section::payload, true)), DropReason::stripe_conflict);
    EXPECT_EQ(t.claim(symbol_header(1, 1, 4, Section::payload, false, 7)), DropReason::stripe_conflict);
    EXPECT_EQ(t.claim(symbol_header(2, 0, 5, Section::payload)),
              DropReason::stripe_conflict);  // k above the session's
    EXPECT_EQ(t.claim(symbol_header(2, 3, 2, Section::payload)), DropReason::packet_malformed);
    EXPECT_EQ(t.claim(symbol_header(t.table.limit(), 0, 4, Section::payload)), DropReason::stripe_no_credit);
    t.take(symbol_header(1, 128, 4, Section::payload));
    EXPECT_EQ(t.claim(symbol_header(1, 128, 4, Section::payload)), DropReason::symbol_duplicate);
    t.take(symbol_header(1, 129, 4, Section::payload));
    t.take(symbol_header(1, 130, 4, Section::payload));
    EXPECT_EQ(t.claim(symbol_header(1, 131, 4, Section::payload)), DropReason::parity_surplus);
    t.table.mark_decoded(t.place);
    EXPECT_EQ(t.claim(symbol_header(1, 1, 4, Section::payload)), DropReason::stripe_done);
}

// Missing stripes hold their place: the one that comes last still finds a block.
TEST(StripeTable, MissingStripesKeepTheirBlock) {
    Table t(4);
    for (std::uint64_t stripe = 3; stripe > 0; --stripe)
        t.take(symbol_header(stripe, 0, 4, Section::payload));
    EXPECT_EQ(t.table.limit(), 4u);
    EXPECT_EQ(t.claim(symbol_header(4, 0, 4, Section::payload)), DropReason::stripe_no_credit);
    EXPECT_EQ(t.claim(symbol_header(0, 0, 4, Section::payload)), DropReason::none);
}

// Releasing a stripe gives its credit back, also while an older one is missing.
TEST(StripeTable, ReleaseGivesCreditBack) {
    Table t(4);
    t.take(symbol_header(1, 0, 1, Section::payload));
    EXPECT_EQ(t.table.limit(), 4u);
    t.table.mark_decoded(t.place);
    EXPECT_EQ(t.table.limit(), 4u);
    EXPECT_EQ(t.table.complete_below(), 0u);
    t.table.release(t.place);
    EXPECT_EQ(t.table.limit(), 5u);
    t.take(symbol_header(0, 0, 1, Section::payload));
    t.table.mark_decoded(t.place);
    EXPECT_EQ(t.table.complete_below(), 2u);
}

// Whatever comes in whatever order: credit never goes back, never promises a block that is not there, and
// everything promised arrives.
TEST(StripeTable, CreditIsMonotoneAndHonest) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Random random(seed);
        Table t(6);
        std::uint64_t limit = 0;
        std::vector<std::uint32_t> decoded;
        for (unsigned step = 0; step < 3000; ++step) {
            ASSERT_GE(t.table.limit(), limit) << "seed " << seed;
            limit = t.table.limit();
            if (!decoded.empty() && random.chance(0.3)) {
                t.table.release(decoded.back());
                decoded.pop_back();
                continue;
            }
            const std::uint64_t low = t.table.complete_below();
            const auto header = symbol_header(low + random.below(limit - low + 1), 0, 1, Section::payload);
            const DropReason drop = t.claim(header);
            ASSERT_NE(drop, DropReason::no_buffer) << "seed " << seed;
            if (header.stripe >= limit) {
                ASSERT_EQ(drop, DropReason::stripe_no_credit) << "seed " << seed;
            }
            if (drop != DropReason::none) continue;
            if (random.chance(0.3)) {
                t.table.withdraw(t.place, t.position);
                continue;
            }
            t.table.confirm(header, t.place, t.position);
            t.table.mark_decoded(t.place);
            decoded.push_back(t.place);
        }
        ASSERT_GT(t.table.complete_below(), 100u) << "seed " << seed;
    }
}

// What is decoded is told stripe by stripe, below the base as well as behind a gap, never beyond what is known.
TEST(StripeTable, NamesWhatIsDecodedBehindAGap) {
    Table t;
    for (const std::uint64_t number : {0, 1, 2, 3, 4})
        t.take(symbol_header(number, 0, 1, Section::payload));
    EXPECT_EQ(t.table.decoded_word(0), 0u);
    for (const std::uint64_t number : {0, 2, 3})
        t.table.mark_decoded(t.table.find(number));
    EXPECT_EQ(t.table.complete_below(), 1u);
    EXPECT_EQ(t.table.decoded_word(0), 0b1101u);
    EXPECT_EQ(t.table.decoded_word(2), 0b11u);
    EXPECT_EQ(t.table.decoded_word(1000), 0u);
}

}  // namespace
}  // namespace longhaul::session
