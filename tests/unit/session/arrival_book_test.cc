// The same bundle by several links: at any moment one writer, the newest that may, and nothing is written twice.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/arrival_book.h"

#include <gtest/gtest.h>

#include "dataplane/base/random.h"

namespace longhaul::session {
namespace {

using Verdict = ArrivalBook::Verdict;
constexpr ArrivalBook::Key kKey{9, {1, 2}};
constexpr ArrivalBook::Holder kOld = 101, kNew = 202;

// The newer generation stops a writer that still takes bytes, and begins only when that has stopped.
TEST(ArrivalBook, TheNewerOneWaitsUntilTheOlderHasStopped) {
    ArrivalBook book;
    EXPECT_EQ(book.ask(kKey, 1, kOld), Verdict::granted);
    const std::uint64_t before = book.revocations();
    EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::wait);
    EXPECT_EQ(book.revocations(), before + 1);
    EXPECT_TRUE(book.revoked(kKey, kOld));
    EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::wait);
    EXPECT_EQ(book.revocations(), before + 1) << "told once";
    EXPECT_FALSE(book.begin_finish(kKey, kOld)) << "its last byte came too late";
    book.end(kKey, kOld, false);
    EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::granted);
    EXPECT_FALSE(book.revoked(kKey, kNew));
    EXPECT_TRUE(book.begin_finish(kKey, kNew));
}

// Who finishes cannot be stopped; the newer one gets its outcome, or writes itself if that was none.
TEST(ArrivalBook, AFinishingWriterIsWaitedFor) {
    for (const bool published : {true, false}) {
        ArrivalBook book;
        book.ask(kKey, 1, kOld);
        ASSERT_TRUE(book.begin_finish(kKey, kOld));
        EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::wait);
        EXPECT_FALSE(book.revoked(kKey, kOld));
        book.end(kKey, kOld, published);
        EXPECT_EQ(book.ask(kKey, 2, kNew), published ? Verdict::published : Verdict::granted);
    }
}

// Published, but the word of it was lost: whoever brings it again, by this link or another, is answered.
TEST(ArrivalBook, WhatIsPublishedIsNotWrittenAgain) {
    ArrivalBook book;
    book.ask(kKey, 1, kOld);
    book.begin_finish(kKey, kOld);
    book.end(kKey, kOld, true);
    EXPECT_EQ(book.ask(kKey, 1, kNew), Verdict::published);
    EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::published);
    EXPECT_EQ(book.ask({8, kKey.id}, 1, kNew), Verdict::granted) << "another store is another bundle";
}

// The dead link comes back with what it still had under way.
TEST(ArrivalBook, AnOlderGenerationNeverWritesAgain) {
    ArrivalBook book;
    EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::granted);
    EXPECT_EQ(book.ask(kKey, 1, kOld), Verdict::stale);
    EXPECT_FALSE(book.revoked(kKey, kNew));
    book.end(kKey, kNew, false);
    EXPECT_EQ(book.ask(kKey, 1, kOld), Verdict::stale);
    EXPECT_EQ(book.ask(kKey, 3, kOld), Verdict::granted) << "moved back";
    book.end(kKey, kNew, true);
    EXPECT_FALSE(book.revoked(kKey, kOld)) << "a holder that has ended says nothing about the next";
}

// Of two that wait the newest generation is the one to begin.
TEST(ArrivalBook, TheNewestOfTwoThatWaitBegins) {
    ArrivalBook book;
    book.ask(kKey, 1, kOld);
    EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::wait);
    EXPECT_EQ(book.ask(kKey, 3, 303), Verdict::wait);
    book.end(kKey, kOld, false);
    EXPECT_EQ(book.ask(kKey, 2, kNew), Verdict::stale);
    EXPECT_EQ(book.ask(kKey, 3, 303), Verdict::granted);
}

TEST(ArrivalBook, RemembersABoundedNumber) {
    ArrivalBook book;
    for (std::uint64_t i = 0; i < 3 * ArrivalBook::kRememberedMax; ++i) {
        const ArrivalBook::Key key{1, {5, i}};
        ASSERT_EQ(book.ask(key, 1, i + 1), Verdict::granted);
        book.end(key, i + 1, true);
        ASSERT_LE(book.size(), ArrivalBook::kRememberedMax + 1);
    }
    EXPECT_EQ(book.ask({1, {5, 3 * ArrivalBook::kRememberedMax - 1}}, 2, kNew), Verdict::published);
}

// Whatever comes in whatever order: never two that may write, never an older one after a newer one, and what is
// published is granted to nobody again.
TEST(ArrivalBook, KeepsItsPromisesInAnyOrder) {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Random random(seed);
        ArrivalBook book;
        ArrivalBook::Holder writer = 0;  // 0: nobody
        std::uint32_t newest_granted = 0;
        bool published = false, finishing = false;
        for (unsigned step = 0; step < 200; ++step) {
            const auto generation = static_cast<std::uint32_t>(1 + random.below(8));
            const ArrivalBook::Holder holder = 1000 + generation;  // a generation comes by one link
            if (writer != 0 && random.chance(0.4)) {
                if (!finishing && random.chance(0.5)) {
                    finishing = book.begin_finish(kKey, writer);
                    if (finishing) continue;
                }
                const bool whole = finishing && random.chance(0.3);
                book.end(kKey, writer, whole);
                published |= whole;
                finishing = false;
                writer = 0;
                continue;
            }
            const Verdict verdict = book.ask(kKey, generation, holder);
            ASSERT_EQ(verdict == Verdict::published, published && verdict != Verdict::stale);
            if (verdict != Verdict::granted) continue;
            ASSERT_TRUE(writer == 0 || writer == holder);
            ASSERT_GE(generation, newest_granted);
            newest_granted = generation;
            writer = holder;
        }
    }
}

}  // namespace
}  // namespace longhaul::session
