// Comparing both ends: what is found, what is not mistaken for a difference, how it is repaired, and how it goes on.
// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <set>

#include "control/dataset/verification.h"
#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

namespace fs = std::filesystem;

struct Verify : Site {
    VerifyView verified() {
        EXPECT_TRUE(core->dataset_verify("lake").ok());
        EXPECT_TRUE(eventually([&] { return core->dataset("lake").value().verify.ended != 0; }));
        return core->dataset("lake").value().verify;
    }
    // So that no file's ctime is as young as the sweep that sees it: those are sent twice and not compared.
    void settle() {
        ASSERT_TRUE(converged());
        ASSERT_TRUE(converged());
    }
    // Of every VERIFY_FAIL: its object, and the reason where the text names one.
    std::set<std::string> reasons() const {
        std::set<std::string> found;
        for (const auto& event : core->events(0, 10'000)) {
            if (event.kind != "VERIFY_FAIL") continue;
            const auto from = event.text.rfind(" ("), to = event.text.rfind(')');
            const bool named = from != std::string::npos && to != std::string::npos;
            found.insert(event.object + (named ? " " + event.text.substr(from + 2, to - from - 2) : ""));
        }
        return found;
    }
    std::size_t failures_told() const {
        std::size_t told = 0;
        for (const auto& event : core->events(0, 10'000))
            told += event.kind == "VERIFY_FAIL" ? 1 : 0;
        return told;
    }
};

TEST_F(Verify, ComparesEveryObjectAndMovesNoPayload) {
    write("a", "alpha");
    fs::create_symlink("elsewhere", at("l"));
    write("d/b", std::string(300'000, 'b'));
    write("d/empty", "");
    start();
    create();
    settle();
    EXPECT_EQ(core->dataset("lake").value().verify.started, 0);
    const auto files = ports->carried(wire::EntryKind::file);
    advance(7);
    const VerifyView view = verified();
    EXPECT_EQ(view.started, clock);
    EXPECT_EQ(view.counts.objects + view.counts.changed, 5u);  // and d, and l
    EXPECT_EQ(view.counts.differing + view.counts.missing + view.counts.unreadable, 0u);
    EXPECT_EQ(ports->carried(wire::EntryKind::file), files);
    EXPECT_EQ(rpo().objects_behind, 0u);
    EXPECT_EQ(rpo().state, "PROTECTED");
    EXPECT_EQ(failures_told(), 0u);
    EXPECT_FALSE(core->dataset_verify("nothing").ok());
}

// What others did at the target is found, told once, and sent again; the watermark waits for it.
TEST_F(Verify, RepairsWhatDiffersOrIsGone) {
    for (int i = 0; i < 300; ++i)
        write("d/" + std::to_string(i), "content " + std::to_string(i));
    start();
    create();
    settle();
    const auto files = ports->carried(wire::EntryKind::file);
    const auto proven = rpo().watermarks.w_pub;
    for (int i = 0; i < 300; i += 2)  // more than one answer can name
        ports->tamper("d/" + std::to_string(i),
                      i % 4 == 0 ? std::optional<std::string>("Content") : std::nullopt);
    const VerifyView view = verified();
    EXPECT_EQ(view.counts.differing, 76u) << "in d, 75 names are missing";
    EXPECT_EQ(view.counts.missing, 75u);
    EXPECT_EQ(view.counts.objects, 150u);
    EXPECT_EQ(failures_told(), 151u);
    EXPECT_GE(*rpo().watermarks.w_pub, *proven);
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::file) - files, 150u);
    const VerifyView again = verified();
    EXPECT_EQ(again.counts.differing + again.counts.missing, 0u);
    EXPECT_EQ(again.counts.objects + again.counts.changed, 301u);
}

// Until a file that was found missing is there again, no newer watermark is proven.
TEST_F(Verify, HoldsTheWatermarkUntilItIsRepaired) {
    write("a", "alpha");
    write("b", "beta");
    start();
    create();
    settle();
    ports->tamper("a", std::nullopt);
    ports->fail("a", wire::FailReason::target_no_space, 1'000'000);
    ASSERT_EQ(verified().counts.missing, 1u);
    const auto before = rpo().watermarks.w_pub;
    advance(100);
    rescan();
    EXPECT_TRUE(eventually([&] { return rpo().objects_failing == 1; }));
    EXPECT_EQ(rpo().objects_behind, 1u);
    EXPECT_EQ(rpo().limiting_object, "a");
    EXPECT_EQ(rpo().watermarks.w_pub, before);
    ports->fail("a", wire::FailReason::none, 0);
    EXPECT_TRUE(converged());
}

// What others put into the replica is told, in the root too, until it has gone; nothing else is taken for it.
TEST_F(Verify, FindsWhatOthersPutThere) {
    write("d/a", "alpha");
    write("e/b", "beta");
    start();
    create();
    settle();
    EXPECT_EQ(verified().counts.differing, 0u);
    ports->intrude("d/extra");
    ports->intrude("extra");
    for (int run = 0; run < 2; ++run) {
        const VerifyView view = verified();
        EXPECT_EQ(view.counts.differing, 2u) << run;
        EXPECT_EQ(view.counts.missing + view.counts.metadata, 0u);
        EXPECT_EQ(view.counts.objects + view.counts.changed, 3u) << "of d, d/a, e and e/b";
        EXPECT_EQ(reasons(), (std::set<std::string>{"d target_names", ". target_names"}));
        ASSERT_TRUE(eventually([&] { return rpo().objects_behind == 0; }));
    }
    ports->tamper("d/extra", std::nullopt);
    ports->tamper("extra", std::nullopt);
    EXPECT_EQ(verified().counts.differing, 0u);
}

// A name that was put into the root since the last sweep is nobody's intrusion.
TEST_F(Verify, ANameThatIsToComeIsNoDifference) {
    write("a", "content");
    start();
    create();
    settle();
    write("new", "since");
    EXPECT_EQ(verified().counts.differing, 0u);
    EXPECT_EQ(failures_told(), 0u);
}

// Where deletes do not travel the target has names that the source has not.
TEST_F(Verify, NamesAreNotComparedInCopyMode) {
    write("d/a", "alpha");
    write("d/b", "beta");
    start();
    auto copy = spec();
    copy.mode = Mode::copy;
    create(copy);
    settle();
    fs::remove(at("d/b"));
    advance(1);
    rescan();
    ASSERT_TRUE(eventually([&] { return rpo().objects_behind == 0; }));
    EXPECT_EQ(verified().counts.differing, 0u);
}

// Two names of one file: both are bad, and neither is made of the other.
TEST_F(Verify, DoesNotRepairAFileWithItself) {
    write("a", "alpha");
    fs::create_hard_link(at("a"), at("b"));
    start();
    create();
    settle();
    ports->tamper("a", "Alpha");
    ports->tamper("b", "Alpha");
    EXPECT_EQ(verified().counts.differing, 2u);
    EXPECT_TRUE(converged());
}

// The source changes while it is compared: that is no difference.
TEST_F(Verify, AVersionOnItsWayIsNoDifference) {
    write("a", "alpha");
    write("b", "beta");
    start();
    create();
    settle();
    ports->before_read([&](const std::string& path) {
        if (path == "a") std::ofstream(at("a"), std::ios::app) << "more";
    });
    const VerifyView view = verified();
    ports->before_read({});
    EXPECT_EQ(view.counts.differing + view.counts.missing, 0u);
    EXPECT_GE(view.counts.changed, 1u);
    EXPECT_TRUE(converged());
}

// A comparison goes on where it was when control, or the dataplane, begins anew.
TEST_F(Verify, GoesOnAfterARestart) {
    for (int i = 0; i < 5000; ++i)
        write(std::to_string(i), "x");
    start();
    create();
    settle();
    ports->set_budget(2);
    ASSERT_TRUE(core->dataset_verify("lake").ok());
    ASSERT_TRUE(eventually([&] { return ports->waiting() > 0; }));
    const auto started = core->dataset("lake").value().verify.started;
    crash();
    ports->restart_dataplane();
    ports->set_budget(SIZE_MAX);
    advance(60);
    start();
    ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().verify.ended != 0; }));
    const VerifyView view = core->dataset("lake").value().verify;
    EXPECT_EQ(view.started, started);
    EXPECT_EQ(view.counts.objects + view.counts.changed, 5000u);
    EXPECT_EQ(view.counts.differing + view.counts.missing + view.counts.unreadable, 0u);
}

// What is not the bytes is found as well, told with what differs, and set again without them.
TEST_F(Verify, RepairsMetadataWithoutBytes) {
    for (const char* name : {"d/mode", "d/owner", "d/date", "d/bytes", "e/same"})
        write(name, "content");
    fs::create_symlink("elsewhere", at("d/text"));
    fs::create_symlink("elsewhere", at("d/gone"));
    fs::create_directory(at("f"));
    start();
    create();
    settle();
    const auto files = ports->carried(wire::EntryKind::file);
    const auto links = ports->carried(wire::EntryKind::symlink);
    ports->change("d/mode", [](ModelObject& object) { object.mode ^= 0111; });
    ports->change("d/owner", [](ModelObject& object) { ++object.uid; });
    ports->change("d/date", [](ModelObject& object) { --object.mtime_ns; });
    ports->change("d/bytes", [](ModelObject& object) { object.mode ^= 0111, object.bytes = "Content"; });
    ports->change("d/text", [](ModelObject& object) { object.bytes = "nowhere"; });
    ports->change("e", [](ModelObject& object) { ++object.mtime_ns; });
    ports->tamper("d/gone", std::nullopt);
    ports->tamper("f", std::nullopt);
    const VerifyView view = verified();
    EXPECT_EQ(view.counts.differing, 8u);
    EXPECT_EQ(view.counts.metadata, 4u);
    EXPECT_EQ(view.counts.missing, 2u);
    EXPECT_EQ(view.counts.objects + view.counts.changed, 1u);  // e/same
    EXPECT_EQ(reasons(),
              (std::set<std::string>{"d/mode other_mode", "d/owner other_owner", "d/date other_mtime",
                                     "d/bytes integrity", "d/text integrity", "e other_mtime", "d/gone", "f",
                                     "d target_names", ". target_names"}));
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::file) - files, 1u) << "only where bytes differed";
    EXPECT_EQ(ports->carried(wire::EntryKind::symlink) - links, 2u);
    EXPECT_EQ(ports->carried(wire::EntryKind::metadata), 3u);
    const VerifyView again = verified();
    EXPECT_EQ(again.counts.differing + again.counts.missing, 0u);
}

// ---- the cursor alone

PublishedObject file_of(const std::string& path, std::uint64_t size) {
    PublishedObject file;
    file.path = path;
    file.print.size = size;
    return file;
}
std::vector<PublishedObject> files_of(std::initializer_list<std::pair<const char*, std::uint64_t>> all,
                                      const std::string& from) {
    std::vector<PublishedObject> files;
    for (const auto& [path, size] : all)
        if (path >= from) files.push_back(file_of(path, size));
    return files;
}

TEST(VerificationCursor, LargeFilesInStretchesCountedInOrder) {
    constexpr std::uint64_t kPiece = Verification::kStretchBytes;
    const auto page = [](const std::string& from, std::size_t) {
        return files_of({{"a", 10}, {"b", 2 * kPiece + 1}, {"c", 0}}, from);
    };
    Verification all{{}};
    all.start(5);
    const auto first = all.draw(2, ~std::uint64_t{0}, page);
    const auto second = all.draw(10, ~std::uint64_t{0}, page);
    ASSERT_EQ(first.size(), 2u);
    ASSERT_EQ(second.size(), 3u);
    EXPECT_EQ(second[1].offset, 2 * kPiece);
    EXPECT_EQ(second[1].length, 1u);
    for (const auto& stretch : second)
        all.settle(stretch, Verification::Outcome::same);
    EXPECT_FALSE(all.fold(6)) << "the first is not settled";
    EXPECT_EQ(all.record().counts.objects, 0u);
    all.settle(first[0], Verification::Outcome::same);
    all.settle(first[1], Verification::Outcome::differs);
    EXPECT_TRUE(all.fold(7));
    EXPECT_EQ(all.record().ended, 7);
    EXPECT_EQ(all.record().counts.objects, 3u);
    EXPECT_EQ(all.record().counts.differing, 1u);
    EXPECT_EQ(all.record().counts.bytes, 10 + kPiece + 1);
}

// Resumed in the middle of a large file; and where that file has gone meanwhile, at the next.
TEST(VerificationCursor, ResumesInTheMiddleOfAFile) {
    constexpr std::uint64_t kPiece = Verification::kStretchBytes;
    const auto page = [](const std::string& from, std::size_t) {
        return files_of({{"a", 3 * kPiece}, {"b", 1}}, from);
    };
    Verification before{{}};
    before.start(1);
    const auto one = before.draw(1, 1, page);
    const auto two = before.draw(1, 1, page);
    before.settle(one[0], Verification::Outcome::same);
    EXPECT_TRUE(before.fold(2));
    EXPECT_EQ(before.record().next_offset, kPiece) << "the second is still on its way";
    Verification after(before.record());
    const auto next = after.draw(1, 1, page);
    ASSERT_EQ(next.size(), 1u);
    EXPECT_EQ(next[0].object.path, "a");
    EXPECT_EQ(next[0].offset, kPiece);
    Verification gone(before.record());
    const auto other = gone.draw(
        1, 1, [](const std::string&, std::size_t) { return std::vector{file_of("b", 2 * kPiece)}; });
    ASSERT_EQ(other.size(), 1u);
    EXPECT_EQ(other[0].object.path, "b");
    EXPECT_EQ(other[0].offset, 0u);
    EXPECT_EQ(two[0].offset, kPiece);
}

TEST(VerificationCursor, WhatComesBackIsDrawnFirst) {
    const auto page = [](const std::string& from, std::size_t) {
        return files_of({{"a", 1}, {"b", 1}, {"c", 1}}, from);
    };
    Verification all{{}};
    all.start(1);
    auto first = all.draw(2, 100, page);
    all.give_back(first[1]);
    all.settle(first[0], Verification::Outcome::same);
    EXPECT_FALSE(all.fold(2));
    const auto again = all.draw(2, 100, page);
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].object.path, "b");
    all.settle(again[0], Verification::Outcome::same);
    const auto last = all.draw(2, 100, page);
    ASSERT_EQ(last.size(), 1u);
    EXPECT_TRUE(all.fold(3));
    EXPECT_EQ(all.record().ended, 0);
    all.settle(last[0], Verification::Outcome::same);
    EXPECT_TRUE(all.fold(4));
    EXPECT_EQ(all.record().ended, 4);
    EXPECT_EQ(all.record().counts.objects, 3u);
}

// However long the names are, what is drawn at once fits into the head of a bundle.
TEST(VerificationCursor, LongNamesAreDrawnInPieces) {
    constexpr std::size_t kManyObjects = 1000;
    std::vector<PublishedObject> links(kManyObjects);
    for (std::size_t i = 0; i < kManyObjects; ++i) {
        links[i].path = std::to_string(100'000 + i) + std::string(4000, 'p');
        links[i].link = std::string(4000, 't');
        links[i].print.kind = ObjectKind::symlink;
    }
    const auto page = [&](const std::string& from, std::size_t) {
        const auto first = std::find_if(links.begin(), links.end(),
                                        [&](const PublishedObject& object) { return object.path >= from; });
        return std::vector<PublishedObject>(first, links.end());
    };
    Verification all{{}};
    all.start(1);
    std::size_t drawn = 0;
    for (auto some = all.draw(2000, 100, page); !some.empty(); some = all.draw(2000, 100, page)) {
        std::size_t bytes = 0;
        for (const auto& stretch : some)
            bytes += stretch.object.path.size() + stretch.object.link.size();
        EXPECT_LT(bytes, wire::kHeadBytesMax / 2 + 10'000);
        drawn += some.size();
    }
    EXPECT_EQ(drawn, kManyObjects);
}

}  // namespace
}  // namespace longhaul::control::test
