// An offer and its head must speak of the same bundle and generation; one that contradicts itself is refused in words.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "dataplane/worker/link.h"

namespace longhaul::worker {
namespace {

class OfferTest : public testing::Test {
  protected:
    OfferTest() {
        manifest.id = {7, 1};
        manifest.generation = 2;
        manifest.store = 3;
        manifest.entries.resize(1);
        manifest.entries[0].kind = wire::EntryKind::mark;
        manifest.entries[0].mtime_ns = 1;
        offer = {1, manifest.id, manifest.generation, 5};
    }
    Result<wire::Manifest> read() const { return manifest_of(offer, wire::write_manifest(manifest).value()); }

    wire::Manifest manifest;
    command::BundleOfferMessage offer;
};

TEST_F(OfferTest, IsTakenWhereItAgreesWithItsHead) {
    ASSERT_TRUE(read().ok()) << read().error().text;
    EXPECT_EQ(read().value(), manifest);
}

// Both ways: a head that is newer than its offer would stop at the target what this node takes for the newest.
TEST_F(OfferTest, IsRefusedWhereTheGenerationsDiffer) {
    for (const std::uint32_t generation : {1u, 3u}) {
        offer.generation = generation;
        ASSERT_FALSE(read().ok());
        EXPECT_EQ(read().error().text,
                  "the manifest names generation 2, the offer " + std::to_string(generation));
    }
}

TEST_F(OfferTest, IsRefusedWhereTheHeadIsAnothersOrNone) {
    offer.id = {7, 2};
    ASSERT_FALSE(read().ok());
    EXPECT_NE(read().error().text.find("names another bundle"), std::string::npos);
    offer.id = manifest.id;
    auto head = wire::write_manifest(manifest).value();
    head.pop_back();
    EXPECT_FALSE(manifest_of(offer, head).ok());
}

}  // namespace
}  // namespace longhaul::worker
