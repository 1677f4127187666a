// The bundle ledger: a final result is kept until it is acknowledged, whatever is said twice or out of order.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/bundle_ledger.h"

#include <gtest/gtest.h>

namespace longhaul::node {
namespace {

command::BundleOfferMessage offer(std::uint64_t low, std::uint8_t link = 1) {
    command::BundleOfferMessage message;
    message.id = {7, low};
    message.link = link;
    message.generation = 1;
    return message;
}

command::BundleEvent event(std::uint64_t low, wire::Stage stage) {
    command::BundleEvent result;
    result.id = {7, low};
    result.link = 1;
    result.generation = 1;
    result.stage = stage;
    return result;
}

// offered -> complete -> published -> acknowledged, with the result readable until the acknowledgement only.
TEST(BundleLedgerTest, KeepsAResultUntilItIsAcknowledged) {
    BundleLedger ledger;
    EXPECT_EQ(ledger.offer(offer(1)), BundleLedger::Offer::accepted);
    ledger.on_event(event(1, wire::Stage::complete));
    EXPECT_EQ(ledger.result({7, 1}), nullptr);
    EXPECT_EQ(ledger.in_flight().size(), 1u);
    ledger.on_event(event(1, wire::Stage::published));
    ASSERT_NE(ledger.result({7, 1}), nullptr);
    EXPECT_EQ(ledger.finished().size(), 1u);
    EXPECT_TRUE(ledger.in_flight().empty());
    ledger.acknowledge({7, 1});
    EXPECT_EQ(ledger.size(), 0u);
}

// The same offer twice is one bundle, in flight or finished; a later event never changes a final result.
TEST(BundleLedgerTest, IsIdempotent) {
    BundleLedger ledger;
    EXPECT_EQ(ledger.offer(offer(1)), BundleLedger::Offer::accepted);
    EXPECT_EQ(ledger.offer(offer(1)), BundleLedger::Offer::known);
    ledger.on_event(event(1, wire::Stage::published));
    ledger.on_event(event(1, wire::Stage::failed));
    EXPECT_EQ(ledger.result({7, 1})->stage, wire::Stage::published);
    EXPECT_EQ(ledger.offer(offer(1)), BundleLedger::Offer::known);
}

// An acknowledgement of what is still in flight must not forget it.
TEST(BundleLedgerTest, DoesNotForgetWhatIsInFlight) {
    BundleLedger ledger;
    ledger.offer(offer(1));
    ledger.acknowledge({7, 1});
    EXPECT_EQ(ledger.in_flight().size(), 1u);
}

// Both bounds hold: per link in flight, and in total with what nobody has acknowledged.
TEST(BundleLedgerTest, IsBounded) {
    BundleLedger ledger;
    for (std::uint64_t i = 0; i < BundleLedger::kInFlightPerLinkMax; ++i)
        ASSERT_EQ(ledger.offer(offer(i)), BundleLedger::Offer::accepted);
    EXPECT_EQ(ledger.offer(offer(100'000)), BundleLedger::Offer::full);
    EXPECT_EQ(ledger.offer(offer(100'000, 2)), BundleLedger::Offer::accepted);
    ledger.on_event(event(0, wire::Stage::failed));
    EXPECT_EQ(ledger.offer(offer(100'001)), BundleLedger::Offer::accepted);
    std::uint64_t next = 200'000;
    while (ledger.size() < BundleLedger::kBundlesMax) {
        ASSERT_EQ(ledger.offer(offer(++next, 3)), BundleLedger::Offer::accepted);
        auto done = event(next, wire::Stage::published);
        done.link = 3;
        ledger.on_event(done);
    }
    EXPECT_EQ(ledger.offer(offer(999'999, 4)), BundleLedger::Offer::full);
}

// A higher generation moves what is in flight: the older one's end is not told any more, the newer one's is.
TEST(BundleLedgerTest, MovesABundleToAnotherLink) {
    BundleLedger ledger;
    ledger.offer(offer(1));
    auto moved = offer(1, 2);
    moved.generation = 2;
    EXPECT_EQ(ledger.offer(moved), BundleLedger::Offer::accepted);
    EXPECT_EQ(ledger.offer(moved), BundleLedger::Offer::known);
    EXPECT_TRUE(ledger.current({7, 1}, 2));
    EXPECT_FALSE(ledger.current({7, 1}, 1)) << "what a worker gives back of it goes nowhere";
    EXPECT_EQ(ledger.offer(offer(1)), BundleLedger::Offer::known) << "an older generation changes nothing";
    EXPECT_FALSE(ledger.on_event(event(1, wire::Stage::published))) << "of the link that it has left";
    EXPECT_EQ(ledger.result({7, 1}), nullptr);
    auto done = event(1, wire::Stage::published);
    done.generation = 2;
    done.link = 2;
    EXPECT_TRUE(ledger.on_event(done));
    ASSERT_NE(ledger.result({7, 1}), nullptr);
    EXPECT_FALSE(ledger.current({7, 1}, 2));
    moved.generation = 3;
    EXPECT_EQ(ledger.offer(moved), BundleLedger::Offer::known) << "it has come to its end: that stands";
}

// Moves count on the link they go to, and one that could not be carried out is as if it had not been.
TEST(BundleLedgerTest, CountsAndWithdrawsMoves) {
    BundleLedger ledger;
    for (std::uint64_t i = 0; i < BundleLedger::kInFlightPerLinkMax; ++i)
        ledger.offer(offer(i, 2));
    ledger.offer(offer(1000));
    auto moved = offer(1000, 2);
    moved.generation = 2;
    EXPECT_EQ(ledger.offer(moved), BundleLedger::Offer::full);
    moved.link = 3;
    EXPECT_EQ(ledger.offer(moved), BundleLedger::Offer::accepted);
    ledger.withdraw(moved);
    EXPECT_TRUE(ledger.on_event(event(1000, wire::Stage::complete)))
        << "the first generation is on its way again";
    EXPECT_EQ(ledger.in_flight().size(), BundleLedger::kInFlightPerLinkMax + 1);
    ledger.offer(offer(2000));
    ledger.withdraw(offer(2000));
    EXPECT_EQ(ledger.in_flight().size(), BundleLedger::kInFlightPerLinkMax + 1);
}

}  // namespace
}  // namespace longhaul::node
