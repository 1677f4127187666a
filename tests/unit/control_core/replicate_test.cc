// Core from a source tree on disk to a target's model: what is sent, in what order, and what W_pub says of
// it.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

namespace fs = std::filesystem;

// A tree of files, directories and symlinks, empty ones too, arrives whole: bytes, modes, owners, mtimes of
// directories.
TEST_F(Site, SeedsATreeWithItsMetadata) {
    write("a.txt", "alpha");
    write("empty", "");
    write("d/e/f/deep.bin", std::string(100'000, 'x'));
    write("d/small", "1");
    fs::create_directory(at("d/hollow"));
    fs::create_symlink("../a.txt", at("d/link"));
    write("locked/inside", "kept");
    chmod(at("locked").c_str(), 0555);
    chmod(at("a.txt").c_str(), 0640);
    start();
    EXPECT_EQ(create().target_store, 77u);
    EXPECT_TRUE(converged());
    const auto view = rpo();
    EXPECT_EQ(view.state, "PROTECTED");
    EXPECT_EQ(view.quality, "proven");
    EXPECT_EQ(view.objects_total, 11u);
    EXPECT_EQ(view.objects_published, 11u);
    EXPECT_EQ(view.bytes_published, 100'010u);
    EXPECT_EQ(view.bytes_behind, 0u);
    EXPECT_TRUE(eventually([&] { return ports->unacked() == 0; }));
}

// Bundles come back in any order; many are needed; parents still precede children and nothing is lost.
TEST_F(Site, KeepsOrderWhenBundlesOvertakeEachOther) {
    for (int d = 0; d < 30; ++d)
        for (int f = 0; f < 20; ++f)
            write("d" + std::to_string(d) + "/sub/f" + std::to_string(f), std::string(f * 997, 'y'));
    ports->shuffle(7);
    config.bundle_entries_max = 16;
    start();
    auto wanted = spec();
    wanted.delete_hold_objects = 0;  // half of the tree goes
    create(wanted);
    ASSERT_TRUE(converged());
    for (int d = 0; d < 30; d += 2)
        fs::remove_all(at("d" + std::to_string(d)));
    EXPECT_TRUE(converged());
}

// Overwrites, appended bytes, chmod, a file that becomes a directory and the reverse: each is found and
// arrives.
TEST_F(Site, FollowsEveryKindOfChange) {
    write("grow", "1");
    write("mode", "same bytes");
    write("becomes-directory", "file");
    write("becomes-file/x/y", "deep");
    fs::create_symlink("one", at("link"));
    start();
    create();
    ASSERT_TRUE(converged());
    const auto files = ports->carried(wire::EntryKind::file);

    write("grow", "12");
    chmod(at("mode").c_str(), 0600);
    fs::remove(at("becomes-directory"));
    write("becomes-directory/new", "child");
    fs::remove_all(at("becomes-file"));
    write("becomes-file", "now a file");
    fs::remove(at("link"));
    fs::create_symlink("two", at("link"));
    EXPECT_TRUE(converged());
    EXPECT_GE(ports->carried(wire::EntryKind::metadata), 1u);
    EXPECT_EQ(ports->carried(wire::EntryKind::file) - files, 3u) << "the chmod must not send bytes";
}

// Holes are not sent, wherever they lie, not even after control and the dataplane have been replaced under way; a file of
// nothing but a hole arrives as one.
TEST_F(Site, SendsNothingOfHoles) {
    constexpr std::uint64_t kSize = 4 << 20;
    const auto sparse = [&](const char* name, const std::vector<std::uint64_t>& data) {
        write(name, "");
        fs::resize_file(at(name), kSize + 77);
        std::fstream file(at(name), std::ios::in | std::ios::out | std::ios::binary);
        for (const std::uint64_t place : data)
            file.seekp(static_cast<std::streamoff>(place)) << "some bytes";
    };
    sparse("many", {0, 300'000, 1'000'000, 3'000'000, kSize + 70});
    sparse("hollow", {});
    sparse("one", {2'000'000});
    struct stat found {};
    ASSERT_EQ(stat(at("hollow").c_str(), &found), 0);
    if (found.st_blocks != 0) GTEST_SKIP() << "this file system has no holes";
    config.bundle_bytes_max = 64 << 10;
    ports->set_budget(1);
    start();
    create();
    ASSERT_TRUE(eventually([&] { return ports->waiting() > 0; }));
    crash();
    ports->restart_dataplane();
    ports->set_budget(SIZE_MAX);
    start();
    EXPECT_TRUE(converged());
    EXPECT_LT(ports->range_bytes(), 2u * 6 * 65'536);
    EXPECT_EQ(ports->carried(wire::EntryKind::file), 0u);

    std::fstream(at("hollow"), std::ios::in | std::ios::out | std::ios::binary).seekp(1'000'000) << "filled";
    fs::resize_file(at("one"), 1'000'000);
    EXPECT_TRUE(converged());
}

// A renamed file, a moved directory, one more hard link, and one less send no bytes; a chain of renames in one sweep neither.
// Of two files that swap their names one is sent. What is overwritten by a rename keeps no name.
TEST_F(Site, SendsNamesAndNotBytesOfFilesThatTheTargetHas) {
    write("log", "newest");
    write("log.1", "older");
    write("log.2", "oldest");
    write("tree/sub/one", "1");
    write("tree/two", "22");
    write("left", "left one");
    write("right", "right one");
    write("linked", "has one name");
    config.bundle_entries_max = 3;
    ports->shuffle(5);
    start();
    create();
    ASSERT_TRUE(converged());
    struct stat found {};
    struct statx more {};
    ASSERT_EQ(stat(at("log").c_str(), &found), 0);
    if (statx(AT_FDCWD, at("log").c_str(), 0, STATX_BTIME, &more) != 0 || (more.stx_mask & STATX_BTIME) == 0)
        GTEST_SKIP() << "this file system does not tell birth times";
    const auto sent = [&] { return ports->carried(wire::EntryKind::file); };
    const auto before = sent();
    constexpr std::size_t kHalfway = 2;  // of eight files: a look between two of these renames may need bytes

    fs::rename(at("log.1"), at("log.2"));  // over the oldest
    fs::rename(at("log"), at("log.1"));
    fs::rename(at("tree"), at("moved"));
    fs::create_hard_link(at("linked"), at("moved/linked"));
    EXPECT_TRUE(converged());
    EXPECT_LE(sent() - before, kHalfway);
    EXPECT_GE(ports->carried(wire::EntryKind::link), 5u);
    fs::remove(at("linked"));
    EXPECT_TRUE(converged());
    EXPECT_LE(sent() - before, kHalfway);

    fs::rename(at("left"), at("swap"));
    fs::rename(at("right"), at("left"));
    fs::rename(at("swap"), at("right"));
    EXPECT_TRUE(converged());
    EXPECT_LE(sent() - before, kHalfway + 1);
    EXPECT_TRUE(ports->violations().empty());
}

// Hard links of a file that is new: its bytes go once, under the name that is first.
TEST_F(Site, SendsTheBytesOfHardLinksOnce) {
    write("a/first", std::string(5000, 'x'));
    fs::create_directory(at("b"));
    for (const char* name : {"a/second", "b/third", "zz"})
        fs::create_hard_link(at("a/first"), at(name));
    struct statx more {};
    ASSERT_EQ(statx(AT_FDCWD, at("zz").c_str(), 0, STATX_BTIME, &more), 0);
    if ((more.stx_mask & STATX_BTIME) == 0) GTEST_SKIP() << "this file system does not tell birth times";
    ports->shuffle(9);
    start();
    create();
    ASSERT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::file), 1u);
    EXPECT_EQ(ports->carried(wire::EntryKind::link), 3u);
}

// Its row is in doubt while they are on their way: who would take its name waits for that, and does not send bytes.
TEST_F(Site, TakesTheNameOfAFileWhoseMetadataTravel) {
    write("first", "content");
    struct statx more {};
    ASSERT_EQ(statx(AT_FDCWD, at("first").c_str(), 0, STATX_BTIME, &more), 0);
    if ((more.stx_mask & STATX_BTIME) == 0) GTEST_SKIP() << "this file system does not tell birth times";
    start();
    create();
    ASSERT_TRUE(converged());
    const auto sent = ports->carried(wire::EntryKind::file);
    fs::create_hard_link(at("first"), at("second"));
    fs::permissions(at("first"), fs::perms::owner_read);
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::file), sent);
    EXPECT_GE(ports->carried(wire::EntryKind::link), 1u);
}

// When the target cannot make the name, bytes are sent, and nobody is told of a failure.
TEST_F(Site, SendsBytesWhenTheTargetRefusesTheName) {
    write("old", "content");
    start();
    create();
    ASSERT_TRUE(converged());
    ports->fail("new", wire::FailReason::target_link, 1);
    fs::rename(at("old"), at("new"));
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::file), 2u);
    EXPECT_TRUE(core->failures("lake").empty());
}

// Moving more than the delete hold's bound is no deletion; deleting as much still is.
TEST_F(Site, MovedFilesAreNotHeldAsDeleted) {
    for (int i = 0; i < 150; ++i)
        write("from/f" + std::to_string(i), std::to_string(i));
    struct statx more {};
    ASSERT_EQ(statx(AT_FDCWD, at("from/f0").c_str(), 0, STATX_BTIME, &more), 0);
    if ((more.stx_mask & STATX_BTIME) == 0) GTEST_SKIP() << "this file system does not tell birth times";
    start();
    create();
    ASSERT_TRUE(converged());
    fs::rename(at("from"), at("a-place-before"));
    EXPECT_TRUE(converged());
    fs::rename(at("a-place-before"), at("to-after"));
    EXPECT_TRUE(converged());
    for (const auto& event : core->events(0, 1000))
        EXPECT_NE(event.kind, "DELETE_SURGE");
    fs::remove_all(at("to-after"));
    rescan();
    EXPECT_TRUE(eventually([&] { return core->dataset("lake").value().deletes_held > 0; }));
}

// Mode namespace deletes at the target, children before parents; mode copy never does.
TEST_F(Site, DeletesInNamespaceMode) {
    write("d/e/one", "1");
    write("d/two", "2");
    write("stays", "3");
    start();
    create();
    ASSERT_TRUE(converged());
    fs::remove_all(at("d"));
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->tree().size(), 1u);
}
TEST_F(Site, KeepsDeletedObjectsInCopyMode) {
    write("d/one", "1");
    write("stays", "3");
    start();
    auto wanted = spec();
    wanted.mode = Mode::copy;
    create(wanted);
    ASSERT_TRUE(converged());
    fs::remove_all(at("d"));
    const auto sweeps = core->dataset("lake").value().sweeps;
    rescan();
    ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().sweeps > sweeps; }));
    EXPECT_EQ(rpo().objects_behind, 0u);
    EXPECT_EQ(ports->tree().size(), 3u);
    EXPECT_EQ(ports->carried(wire::EntryKind::remove), 0u);
}

// A file larger than a bundle goes in ranges, each durable by itself, and appears only when all of them are.
TEST_F(Site, SendsLargeFilesInRanges) {
    std::string bytes(1'000'000, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<char>(i * 31 >> 3);
    write("big/data.bin", bytes);
    write("small", "s");
    config.bundle_bytes_max = 128 << 10;
    ports->shuffle(3);
    start();
    create();
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::range), 8u);
    EXPECT_EQ(ports->carried(wire::EntryKind::assemble), 1u);
    write("big/data.bin", bytes + "more");
    EXPECT_TRUE(converged());
}

// Nothing changes: each clean sweep is proven by a mark, so the lag stays below twice the rescan period. With
// the link cut W_pub stops and the lag grows with the clock; when it is back, the next mark moves it again.
TEST_F(Site, MarksProveIdlenessAndAlinkCutStopsThem) {
    write("a", "1");
    start();
    auto wanted = spec();
    wanted.rescan_s = 10;
    wanted.rpo_target_s = 20;
    create(wanted);
    ASSERT_TRUE(converged());
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(converged());
        EXPECT_LT(*rpo().rpo_lag_s, 20);
        EXPECT_EQ(rpo().state, "PROTECTED");
    }
    const auto files = ports->carried(wire::EntryKind::file);
    EXPECT_EQ(files, 1u) << "idle sweeps send marks, no data";

    ports->set_link_up(false);
    ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().link.empty(); }));
    const auto proven = rpo().watermarks.w_pub;
    advance(100);
    const auto sweeps = core->dataset("lake").value().sweeps;
    rescan();
    ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().sweeps > sweeps; }));
    EXPECT_EQ(rpo().watermarks.w_pub, proven);
    EXPECT_GE(*rpo().rpo_lag_s, 100);
    advance(50);
    EXPECT_GE(*rpo().rpo_lag_s, 150);
    EXPECT_EQ(rpo().state, "STALLED");
    EXPECT_EQ(rpo().within_target, false);
    EXPECT_NE(core->dataset("lake").value().problem.find("up"), std::string::npos);

    ports->set_link_up(true);
    EXPECT_TRUE(converged());
    EXPECT_EQ(rpo().state, "PROTECTED");
}

// Until the first mark came back there is no lag to speak of: SEEDING, null, unknown.
TEST_F(Site, SeedingHasNoLag) {
    write("a", "1");
    start(false);
    create();
    ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().sweeps == 1; }));
    const auto view = rpo();
    EXPECT_EQ(view.state, "SEEDING");
    EXPECT_EQ(view.quality, "unknown");
    EXPECT_FALSE(view.rpo_lag_s.has_value());
    EXPECT_FALSE(view.within_target.has_value());
    EXPECT_FALSE(view.eta_s.has_value());
    EXPECT_NE(view.eta_reason.find("not connected"), std::string::npos);
    EXPECT_TRUE(view.watermarks.w_disc.has_value());
    EXPECT_EQ(view.bytes_behind, 1u);
    ports->connect();
    EXPECT_TRUE(converged());
}

// Names are raw bytes on the way and readable text in views.
TEST_F(Site, CarriesNamesThatAreNotUtf8) {
    write("caf\xe9/\xff\x01 \\x", "1");
    ports->fail("caf\xe9/\xff\x01 \\x", wire::FailReason::target_permission, 1'000);
    start();
    create();
    ASSERT_TRUE(eventually([&] { return !core->failures("lake").empty(); }));
    const auto failure = core->failures("lake")[0];
    EXPECT_EQ(failure.path, "caf\\xe9/\\xff\\x01 \\x5cx");
    EXPECT_EQ(failure.reason, "target_permission");
    EXPECT_FALSE(failure.remedy.empty());
    ports->fail("caf\xe9/\xff\x01 \\x", wire::FailReason::none, 0);
    EXPECT_TRUE(converged());
    EXPECT_TRUE(core->failures("lake").empty());
}

// Two datasets share one link: each arrives, and each flow has half of the rate while both have work.
TEST_F(Site, TwoDatasetsShareALink) {
    write("a", "1");
    fs::create_directory(base + "/other");
    start();
    create();
    auto second = spec();
    second.name = "lake2";
    second.source = "posix:" + base + "/other";
    EXPECT_EQ(core->dataset_create(second).error().code, ErrorCode::already_exists) << "same target";
    second.target.store = "posix:/replica/lake2";
    EXPECT_TRUE(core->dataset_create(second).ok());
    EXPECT_EQ(core->datasets().size(), 2u);
    EXPECT_EQ(core->flows().size(), 2u);
    EXPECT_TRUE(converged());
    EXPECT_TRUE(core->dataset_remove("lake2").ok());
    EXPECT_EQ(core->dataset("lake2").error().code, ErrorCode::not_found);
    EXPECT_TRUE(eventually([&] { return ports->releases == 1; }));
    EXPECT_EQ(core->dataset_remove("lake2").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace longhaul::control::test
