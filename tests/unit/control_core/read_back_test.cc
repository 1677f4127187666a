// Reading back what was published: what is chosen and what is not, the bound, and that a bad disk is found by itself.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/read_back.h"

#include <algorithm>
#include <set>

#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

Fingerprint version(std::uint64_t size) {
    Fingerprint print;
    print.size = size;
    print.mtime_ns = print.ctime_ns = 5;
    return print;
}
std::optional<PublishedObject> as_published(const ReadBack::File& file) {
    return PublishedObject{file.path, version(file.size), {}};
}

TEST(ReadBackQueue, ChoosesItsShareAndCountsTheRest) {
    for (const auto& [share, chosen] : {std::pair{0.0, 0u}, {0.25, 25u}, {1.0, 100u}}) {
        ReadBack some(share);
        for (int i = 0; i < 100; ++i)
            some.published(std::to_string(i), version(1), 0);
        EXPECT_EQ(some.counts().waiting, chosen);
        EXPECT_EQ(some.counts().skipped, 100 - chosen);
    }
}

TEST(ReadBackQueue, IsBounded) {
    ReadBack all(1);
    for (std::size_t i = 0; i < ReadBack::kFilesMax + 10; ++i)
        all.published(std::to_string(i), version(1), 0);
    EXPECT_EQ(all.counts().waiting, ReadBack::kFilesMax);
    EXPECT_EQ(all.counts().skipped, 10u);
    ReadBack empty(1);
    empty.published("empty", version(0), 0);
    EXPECT_FALSE(empty.waits());
    EXPECT_EQ(empty.counts().skipped, 0u);
}

TEST(ReadBackQueue, PassesOverWhatWasReplaced) {
    ReadBack all(1);
    for (const char* path : {"old", "new"})
        all.published(path, version(7), 0);
    const auto drawn = all.draw(10, 1000, [](const ReadBack::File& file) {
        return file.path == "old" ? std::nullopt : as_published(file);
    });
    ASSERT_EQ(drawn.size(), 1u);
    EXPECT_EQ(drawn[0].object.path, "new");
    EXPECT_EQ(all.counts().skipped, 1u);
    EXPECT_FALSE(all.waits());
}

TEST(ReadBackQueue, LargeFilesInStretchesCountedOnce) {
    constexpr std::uint64_t kPiece = Verification::kStretchBytes;
    ReadBack all(1);
    all.published("large", version(2 * kPiece + 1), 0);
    all.published("small", version(3), 0);
    auto first = all.draw(10, kPiece, as_published);
    ASSERT_EQ(first.size(), 1u);
    EXPECT_TRUE(all.waits());
    all.give_back(std::move(first[0]));
    first = all.draw(10, kPiece, as_published);
    ASSERT_EQ(first.size(), 1u);
    EXPECT_EQ(first[0].offset, 0u);
    const auto rest = all.draw(10, ~std::uint64_t{0}, as_published);
    ASSERT_EQ(rest.size(), 3u);
    EXPECT_EQ(rest[0].offset, kPiece);
    EXPECT_EQ(rest[2].object.path, "small");
    all.settle(first[0], ReadBack::Outcome::same, 0);
    all.settle(rest[0], ReadBack::Outcome::same, 0);
    all.settle(rest[1], ReadBack::Outcome::same, 0);
    all.settle(rest[2], ReadBack::Outcome::differs, 0);
    EXPECT_EQ(all.counts().files, 1u);
    EXPECT_EQ(all.counts().bytes, 2 * kPiece + 1);
    EXPECT_EQ(all.counts().differing, 1u);
    EXPECT_FALSE(all.waits());
}

// A disk that keeps nothing is not written to without end: the pauses grow, until one reading finds the source's bytes.
TEST(ReadBackQueue, WhatDiffersAgainIsReadAgainLater) {
    ReadBack all(1);
    TimeNs now = 0;
    all.published("bad", version(7), now);
    std::vector<TimeNs> pauses;
    for (int round = 0; round < 15; ++round) {
        const auto drawn = all.draw(10, 1000, as_published);
        ASSERT_EQ(drawn.size(), 1u);
        all.settle(drawn[0], ReadBack::Outcome::differs, now);
        all.published("bad", version(7), now);  // sent again at once
        all.published("good", version(7), now);
        EXPECT_EQ(all.draw(10, 1000, as_published).size(), 1u) << "others are not held up";
        const TimeNs before = now;
        while (!all.waits())
            all.release_due(now += kSecond);
        pauses.push_back(now - before);
    }
    EXPECT_TRUE(std::is_sorted(pauses.begin(), pauses.end()));
    EXPECT_EQ(pauses.front(), 2 * kSecond);
    EXPECT_EQ(pauses.back(), 3600 * kSecond);
    const auto drawn = all.draw(10, 1000, as_published);
    all.settle(drawn.at(0), ReadBack::Outcome::same, now);
    all.published("bad", version(7), now);
    EXPECT_TRUE(all.waits()) << "it is a file like any other";
}

TEST(ReadBackQueue, TroubleIsBoundedAndForgotten) {
    ReadBack all(1);
    const auto spoil = [&](const std::string& path, TimeNs now) {
        all.published(path, version(1), now);
        for (const auto& stretch : all.draw(1, 1, as_published))
            all.settle(stretch, ReadBack::Outcome::differs, now);
    };
    for (std::size_t i = 0; i < ReadBack::kTroubledMax; ++i)
        spoil(std::to_string(i), 0);
    all.published("other", version(1), 0);
    EXPECT_EQ(all.counts().skipped, 1u);
    all.published("other", version(1), 2 * 3600 * kSecond);
    EXPECT_EQ(all.counts().waiting, 1u);
}

struct ReadBackCore : Site {
    ReadBackCounts counts() const { return core->dataset("lake").value().verify.read_back; }
    std::set<std::string> named() const {
        std::set<std::string> objects;
        for (const auto& event : core->events(0, 10'000))
            if (event.kind == "VERIFY_FAIL") objects.insert(event.object);
        return objects;
    }
};

TEST_F(ReadBackCore, HappensByItself) {
    write("a", "alpha");
    write("d/b", std::string(300'000, 'b'));
    write("empty", "");
    start();
    create();
    EXPECT_TRUE(eventually([&] {
        rescan();
        return counts().files >= 2;
    }));
    EXPECT_GE(counts().bytes, 300'005u);
    EXPECT_EQ(counts().differing + counts().missing, 0u);
    EXPECT_TRUE(converged());
    EXPECT_EQ(core->dataset("lake").value().verify.started, 0) << "nobody has asked";
    EXPECT_TRUE(named().empty());
}

// What a disk made of the bytes since they were sent is found without being asked for, told, and sent again.
TEST_F(ReadBackCore, FindsAndRepairsWhatTheDiskSpoils) {
    write("a", "alpha");
    write("b", "beta");
    ports->spoil("a", true);
    start();
    create();
    EXPECT_TRUE(eventually([&] {
        rescan();
        return counts().differing > 1;  // sent again, and spoiled again
    }));
    ports->spoil("a", false);
    EXPECT_TRUE(eventually([&] {
        rescan();
        return ports->tree().at("a").bytes == "alpha";
    }));
    EXPECT_TRUE(converged());
    EXPECT_EQ(named(), std::set<std::string>{"a"});
}

TEST_F(ReadBackCore, IsNotDoneWhereNoneIsWanted) {
    config.read_back_share = 0;
    write("a", "alpha");
    start();
    create();
    ASSERT_TRUE(converged());
    ASSERT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::verify), 0u);
    EXPECT_GE(counts().skipped, 1u);
}

}  // namespace
}  // namespace longhaul::control::test
