// FEEDBACK: sizes that a writer can count on, bounds that a parser enforces, names that the API keeps.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/feedback.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "dataplane/wire/packet.h"

namespace longhaul::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

Feedback sample() {
    Feedback feedback;
    feedback.sequence = 0x01020304;
    feedback.complete_below = 0x111213141516;
    feedback.stripe_limit = 0x212223242526;
    feedback.loss_events = 0x61626364;
    feedback.decoded_from = 0x717273747576;
    feedback.decoded = {0x8182838485868788, 0, ~std::uint64_t{0}};
    feedback.lanes = {{3, 0x3132333435363738, 0x41424344, 0x51525354, 1000, 1448000, -5},
                      {0, 7, 1, 2, 3, 4, 0}};
    feedback.nacks = {{9, 2, 1, {0xfffffffffffffffe, 1}}, {10, kNeedUnknown, 0, {}}};
    feedback.bundles = {{5, Stage::published, FailReason::none, 0, {}},
                        {6,
                         Stage::failed,
                         FailReason::target_no_space,
                         70,
                         {{0, FailReason::target_io}, {69, FailReason::limit}}}};
    return feedback;
}

Bytes written(const Feedback& feedback) {
    Bytes bytes(8192);
    bytes.resize(write_feedback(feedback, bytes));
    return bytes;
}

DropReason parse(const Bytes& bytes) {
    Feedback feedback;
    return parse_feedback(bytes, feedback);
}

// Proves: a feedback with everything in it comes back equal, into an object that held another one before.
TEST(FeedbackCodec, ParsesWhatWasWritten) {
    Feedback parsed;
    parsed.lanes.resize(40);
    parsed.bundles.resize(9);
    ASSERT_EQ(parse_feedback(written(sample()), parsed), DropReason::none);
    EXPECT_EQ(parsed, sample());
    ASSERT_EQ(parse_feedback(written(Feedback{}), parsed), DropReason::none);
    EXPECT_EQ(parsed, Feedback{});
}

// Proves: the announced sizes are the real ones, so that a packet can be filled to the brim; one byte less is
// refused.
TEST(FeedbackCodec, SizesAreThoseAnnounced) {
    const std::size_t bytes = kFeedbackFixedBytes + 2 * kLaneReportBytes + 2 * kNackBytes +
                              2 * kStatusFixedBytes + 2 * kEntryFailureBytes + 3 * kDecodedWordBytes;
    Bytes exact(bytes), short_by_one(bytes - 1, 0x77);
    EXPECT_EQ(write_feedback(sample(), exact), bytes);
    EXPECT_EQ(write_feedback(sample(), short_by_one), 0u);
    EXPECT_EQ(short_by_one, Bytes(bytes - 1, 0x77)) << "nothing is written when it does not fit";
    EXPECT_EQ(write_feedback(Feedback{}, exact), kFeedbackFixedBytes);
    // What a minimal IPv4 symbol must hold: the fixed part, all lanes of a usual link, and some nacks.
    EXPECT_LE(kFeedbackFixedBytes + 32 * kLaneReportBytes + 5 * kNackBytes, 1344u);
}

// Proves: cut anywhere, or with a byte more, it does not parse.
TEST(FeedbackCodec, EveryTruncationAndSurplusIsRefused) {
    const Bytes whole = written(sample());
    for (std::size_t length = 0; length < whole.size(); ++length) {
        EXPECT_EQ(parse(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))),
                  DropReason::feedback_malformed)
            << length;
    }
    Bytes longer = whole;
    longer.push_back(0);
    EXPECT_EQ(parse(longer), DropReason::feedback_malformed);
}

// Proves: counts beyond the bounds, unknown numbers and contradictions are refused one by one.
TEST(FeedbackCodec, ValuesOutOfRangeAreRefused) {
    constexpr std::size_t lane = kFeedbackFixedBytes, nack = lane + 2 * kLaneReportBytes,
                          status = nack + 2 * kNackBytes;
    constexpr std::size_t failing = status + kStatusFixedBytes;
    struct Case {
        const char* what;
        std::size_t offset;
        std::uint8_t value;
    };
    const Case cases[] = {
        {"lane count", 16, kLanesMax + 1},
        {"nack count", 17, kNacksMax + 1},
        {"status count", 18, kStatusesMax + 1},
        {"word count", 19, kDecodedWordsMax + 1},
        {"a word more than stand there", 19, 4},
        {"a word less than stand there", 19, 2},
        {"lane number", lane, kLanesMax},
        {"nothing needed", nack + 6, 0},
        {"more needed than a stripe has", nack + 6, 129},
        {"stage 0", status + 4, 0},
        {"stage 5", status + 4, 5},
        {"unknown reason", failing + 5, 30},
        {"more failures listed than counted", failing + 9, 1},
        {"unknown reason of an entry", failing + kStatusFixedBytes + 4, 62},
    };
    for (const Case& change : cases) {
        Bytes bytes = written(sample());
        ASSERT_LT(change.offset, bytes.size());
        bytes[change.offset] = change.value;
        EXPECT_EQ(parse(bytes), DropReason::feedback_malformed) << change.what;
    }
}

// Proves: the largest feedback that the bounds allow is written and read back.
TEST(FeedbackCodec, FullListsFit) {
    Feedback feedback;
    for (unsigned i = 0; i < kLanesMax; ++i)
        feedback.lanes.push_back({static_cast<std::uint8_t>(i), i, i, i, i, i, 0});
    for (unsigned i = 0; i < kNacksMax; ++i)
        feedback.nacks.push_back({kStripeMax - i, 128, 255, {i, i}});
    BundleStatus status{1, Stage::failed, FailReason::internal, ~std::uint32_t{0}, {}};
    status.failures.assign(kFailuresListed, {7, FailReason::integrity});
    feedback.bundles.assign(kStatusesMax, status);
    feedback.decoded_from = kStripeMax;
    feedback.decoded.assign(kDecodedWordsMax, 0x0123456789abcdef);
    Bytes bytes(20000);
    bytes.resize(write_feedback(feedback, bytes));
    ASSERT_FALSE(bytes.empty());
    Feedback parsed;
    ASSERT_EQ(parse_feedback(bytes, parsed), DropReason::none);
    EXPECT_EQ(parsed, feedback);
}

// Proves: lists beyond their bound never leave this node.
TEST(FeedbackCodecDeathTest, ListsBeyondTheirBoundAreAnAssertion) {
    Bytes bytes(20000);
    Feedback feedback;
    feedback.nacks.assign(kNacksMax + 1, {1, 1, 0, {}});
    EXPECT_DEATH(write_feedback(feedback, bytes), "invariant");
}

// Proves: every known reason and stage has a distinct stable name and a sentence; unknown numbers have
// neither.
TEST(FailReasons, NamesAndSentences) {
    std::set<std::string> names, sentences;
    unsigned known = 0;
    for (unsigned number = 0; number < 256; ++number) {
        const auto reason = static_cast<FailReason>(number);
        const std::string name = to_string(reason);
        EXPECT_EQ(is_known(reason), name != "unknown") << number;
        if (!is_known(reason)) continue;
        ++known;
        EXPECT_TRUE(names.insert(name).second) << name;
        const std::string sentence = explain(reason);
        EXPECT_TRUE(sentences.insert(sentence).second) << sentence;
        EXPECT_EQ(sentence.back(), '.') << sentence;
    }
    EXPECT_EQ(known, 31u);
    EXPECT_STREQ(to_string(FailReason::target_no_space), "target_no_space");
    EXPECT_STREQ(to_string(Stage::durable), "durable");
    EXPECT_STREQ(to_string(Stage::failed), "failed");
}

}  // namespace
}  // namespace longhaul::wire
