// A target that cannot take something: the entry fails with its name for it, the others are published, and
// nothing outside the store is touched.
// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::EntryKind;
using wire::FailReason;
using wire::Stage;

struct Trees {
    TemporaryDirectory source, target, canary;
    std::map<std::string, std::string> before;

    Trees() {
        put_file(canary / "canary", "alive");
        EXPECT_EQ(mkdir((canary / "directory").c_str(), 0755), 0);
        before = describe(canary.path());
    }
    ~Trees() { EXPECT_EQ(describe(canary.path()), before) << "something outside the store was touched"; }
};

// A full file system fails what does not fit, while it is written or already when space is reserved for it,
// and gives back what it took; what fits arrives, and after room was made the same bundle succeeds.
TEST(Target, NoSpace) {
    for (const std::size_t large : {60'000u, 900'000u}) {
        SCOPED_TRACE(large);
        Trees trees;
        Mount mount("tmpfs", "size=1m");
        if (!mount.ok()) GTEST_SKIP() << "mounting tmpfs needs root";
        put_file(mount.path() + "/ballast", std::string(1'000'000, 'b'));
        put_file(trees.source / "large", std::string(large, 'l'));
        put_file(trees.source / "small", std::string(30'000, 's'));
        Rig rig;
        rig.open(trees.source.path(), mount.path());
        ManifestMaker large_maker(trees.source.path(), 2), small_maker(trees.source.path(), 2);
        large_maker.file("large");
        small_maker.file("small");
        const wire::Manifest manifest = large_maker.take();
        const Outcome outcome = rig.transfer(manifest);
        EXPECT_EQ(outcome.last.stage, Stage::published);
        EXPECT_EQ(outcome.reason_of(0), FailReason::target_no_space);
        EXPECT_FALSE(exists(mount.path() + "/large"));
        EXPECT_TRUE(staged(mount.path()).empty());
        EXPECT_EQ(rig.transfer(small_maker.take()).last.failed_entries, 0u);
        EXPECT_EQ(get_file(mount.path() + "/small"), std::string(30'000, 's'));
        ASSERT_EQ(unlink((mount.path() + "/ballast").c_str()), 0);
        EXPECT_EQ(rig.transfer(manifest).last.failed_entries, 0u);
        EXPECT_EQ(get_file(mount.path() + "/large"), std::string(large, 'l'));
    }
}

// A file system that turned read-only under an open store.
TEST(Target, ReadOnly) {
    Trees trees;
    Mount mount("tmpfs", "size=4m");
    if (!mount.ok()) GTEST_SKIP() << "mounting tmpfs needs root";
    put_file(trees.source / "file", "new");
    put_file(mount.path() + "/file", "old");
    Rig rig;
    rig.open(trees.source.path(), mount.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.file("file");
    maker.remove("file");
    const wire::Manifest manifest = maker.take();
    std::vector<std::uint8_t> payload;
    const wire::Trailer trailer = rig.read_all(manifest, payload);
    // The store's own root was opened before; only a remount of the whole file system reaches it.
    if (!mount.make_read_only()) GTEST_SKIP() << "remounting needs root";
    const Outcome outcome = rig.write_all(manifest, payload, trailer);
    EXPECT_EQ(outcome.last.stage, Stage::published);
    EXPECT_EQ(outcome.reason_of(0), FailReason::target_read_only);
    EXPECT_EQ(outcome.reason_of(1), FailReason::target_read_only);
    EXPECT_EQ(get_file(mount.path() + "/file"), "old");
    Rig other;
    const auto refused = other->open_store(2, mount.path(), StoreRole::target);
    EXPECT_TRUE(refused.ok());  // its staging is there already: opening changes nothing
}

// A symlink in the way of a parent is never followed, not for files, directories, links, removals or
// metadata; a symlink in the way of the name itself is replaced.
TEST(Target, SymlinkInTheWay) {
    Trees trees;
    ASSERT_EQ(mkdir((trees.source / "d").c_str(), 0755), 0);
    put_file(trees.source / "d/canary", "overwritten?");
    ASSERT_EQ(mkdir((trees.source / "d/directory").c_str(), 0700), 0);
    ASSERT_EQ(symlink("x", (trees.source / "d/link").c_str()), 0);
    put_file(trees.source / "name", "published over a link");
    ASSERT_EQ(symlink(trees.canary.path().c_str(), (trees.target / "d").c_str()), 0);
    ASSERT_EQ(symlink((trees.canary / "canary").c_str(), (trees.target / "name").c_str()), 0);
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.file("d/canary");
    maker.directory("d/directory");
    maker.symlink("d/link");
    maker.remove("d/canary");
    maker.metadata("d/canary");
    maker.metadata("d");
    maker.file("name");
    const Outcome outcome = rig.transfer(maker.take());
    EXPECT_EQ(outcome.last.stage, Stage::published);
    for (std::uint32_t i = 0; i < 6; ++i)
        EXPECT_EQ(outcome.reason_of(i), FailReason::target_path) << i;
    EXPECT_EQ(outcome.reason_of(6), FailReason::none);
    EXPECT_EQ(get_file(trees.target / "name"), "published over a link");
    EXPECT_TRUE(staged(trees.target.path()).empty());
}

// Paths that try to leave, or to reach our own staging, fail even when a caller forgot to validate them.
TEST(Target, UnsafePaths) {
    Trees trees;
    const std::string sideways =
        "../" + trees.canary.path().substr(trees.canary.path().rfind('/') + 1) + "/canary";
    put_file(trees.source / "f", "evil");
    ASSERT_EQ(symlink("t", (trees.source / "l").c_str()), 0);
    put_file(trees.target / "keep", "kept");
    for (const std::string& path :
         {sideways, trees.canary / "canary", std::string("a/../../x"), std::string(".."),
          std::string("./keep"), std::string(".longhaul/staging/b-x"), std::string("a//b"), std::string()}) {
        SCOPED_TRACE(path);
        Rig rig;
        rig.open(trees.source.path(), trees.target.path());
        ManifestMaker maker(trees.source.path(), 2);
        maker.file("f");
        maker.directory("f");
        maker.symlink("l");
        maker.remove("f");
        maker.metadata("f");
        wire::Manifest manifest = maker.take();
        std::vector<std::uint8_t> payload;
        wire::Manifest at_source = manifest;
        const wire::Trailer trailer = rig.read_all(at_source, payload);
        for (wire::Entry& entry : manifest.entries)
            entry.path = path;
        const Outcome outcome = rig.write_all(manifest, payload, trailer);
        for (std::uint32_t i = 0; i < manifest.entries.size(); ++i)
            EXPECT_EQ(outcome.reason_of(i), FailReason::target_path) << i;
        EXPECT_EQ(names_in(trees.target.path()), (std::vector<std::string>{".longhaul", "keep"}));
        EXPECT_EQ(get_file(trees.target / "keep"), "kept");
    }
}

// What stands in the way is replaced only where nothing is lost.
TEST(Target, Occupied) {
    Trees trees;
    put_file(trees.source / "file", "f");
    put_file(trees.source / "file2", "f2");
    ASSERT_EQ(symlink("x", (trees.source / "link").c_str()), 0);
    ASSERT_EQ(mkdir((trees.target / "file").c_str(), 0755), 0);
    put_file(trees.target / "file/precious", "p");
    ASSERT_EQ(mkdir((trees.target / "file2").c_str(), 0755), 0);  // empty
    ASSERT_EQ(mkdir((trees.target / "link").c_str(), 0755), 0);
    put_file(trees.target / "link/precious", "p");
    put_file(trees.target / "plain", "not a directory");
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.file("file");
    maker.file("file2");
    maker.symlink("link");
    maker.remove("file");
    wire::Entry& below = maker.file("file2");
    below.path = "plain/below";
    wire::Manifest manifest = maker.take();
    std::vector<std::uint8_t> payload;
    wire::Manifest at_source = manifest;
    at_source.entries[4].path = "file2";
    const wire::Trailer trailer = rig.read_all(at_source, payload);
    const Outcome outcome = rig.write_all(manifest, payload, trailer);
    EXPECT_EQ(outcome.reason_of(0), FailReason::target_occupied);
    EXPECT_EQ(outcome.reason_of(1), FailReason::none);
    EXPECT_EQ(outcome.reason_of(2), FailReason::target_occupied);
    EXPECT_EQ(outcome.reason_of(3), FailReason::target_occupied);
    EXPECT_EQ(outcome.reason_of(4), FailReason::target_path);
    EXPECT_EQ(get_file(trees.target / "file/precious"), "p");
    EXPECT_EQ(get_file(trees.target / "link/precious"), "p");
    EXPECT_EQ(get_file(trees.target / "file2"), "f2");
    EXPECT_EQ(get_file(trees.target / "plain"), "not a directory");
    EXPECT_TRUE(staged(trees.target.path()).empty());
}

// Bytes that differ from what was read are not published; the older version stays.
TEST(Target, Integrity) {
    Trees trees;
    Random random(23);
    put_file(trees.source / "flipped", random_bytes(random, 250'000));
    put_file(trees.source / "fine", random_bytes(random, 250'000));
    put_file(trees.target / "flipped", "older");
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.file("flipped");
    maker.file("fine");
    const Outcome outcome =
        rig.transfer(maker.take(), 1,
                     [](std::vector<std::uint8_t>& payload, wire::Trailer&) { payload[200'000] ^= 0x10; });
    EXPECT_EQ(outcome.last.failed_entries, 1u);
    EXPECT_EQ(outcome.reason_of(0), FailReason::integrity);
    EXPECT_EQ(get_file(trees.target / "flipped"), "older");
    EXPECT_EQ(get_file(trees.target / "fine"), get_file(trees.source / "fine"));
    EXPECT_TRUE(staged(trees.target.path()).empty());
}

// An entry whose bytes did not all come is not published either, and neither is a trailer of another bundle
// believed.
TEST(Target, IncompleteOrForeign) {
    Trees trees;
    put_file(trees.source / "f", std::string(2 * kStripeBytes, 'f'));
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.file("f");
    const wire::Manifest manifest = maker.take();
    std::vector<std::uint8_t> payload;
    const wire::Trailer trailer = rig.read_all(manifest, payload);
    payload.resize(kStripeBytes);
    EXPECT_EQ(rig.write_all(manifest, payload, trailer).reason_of(0), FailReason::integrity);
    wire::Trailer foreign = trailer;
    ++foreign.generation;
    const Outcome outcome = rig.write_all(manifest, payload, foreign);
    EXPECT_EQ(outcome.stages, std::vector<Stage>{Stage::failed});
    EXPECT_EQ(outcome.last.reason, FailReason::manifest_malformed);
    EXPECT_FALSE(exists(trees.target / "f"));
    EXPECT_TRUE(staged(trees.target.path()).empty());
}

// `assemble` without its ranges, or with an object of another size, publishes nothing.
TEST(Target, StagingMissing) {
    Trees trees;
    put_file(trees.source / "large", std::string(100'000, 'l'));
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.assemble("large", {7, 7});
    const wire::Manifest manifest = maker.take();
    EXPECT_EQ(rig.transfer(manifest).reason_of(0), FailReason::staging_missing);
    put_file(trees.target / ".longhaul/staging/o-00000000000000070000000000000007", "short");
    EXPECT_EQ(rig.transfer(manifest).reason_of(0), FailReason::staging_missing);
    EXPECT_FALSE(exists(trees.target / "large"));
    EXPECT_EQ(staged(trees.target.path()).size(), 1u);  // a failed assemble leaves o-* alone
}

// The staged object goes while the source counts on its ranges: what the next range makes anew is as long, and holds zeros
// where the others were. It is not published, and all ranges once more are.
TEST(Target, ObjectThatWasBegunAnewIsNotWhole) {
    Trees trees;
    put_file(trees.source / "large", std::string(300'000, 'l'));
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    const auto range = [&](std::uint64_t from, std::uint64_t bytes) {
        ManifestMaker maker(trees.source.path(), 2);
        maker.range("large", {7, 7}, from, bytes);
        EXPECT_EQ(rig.transfer(maker.take(), from + 1).last.failed_entries, 0u);
    };
    ManifestMaker maker(trees.source.path(), 2);
    maker.assemble("large", {7, 7});
    const wire::Manifest whole = maker.take();
    range(0, 131'072);
    ASSERT_EQ(unlink((trees.target / ".longhaul/staging/o-00000000000000070000000000000007").c_str()), 0);
    range(131'072, 300'000 - 131'072);
    EXPECT_EQ(rig.transfer(whole).reason_of(0), FailReason::staging_missing);
    EXPECT_FALSE(exists(trees.target / "large"));
    range(0, 131'072);
    EXPECT_EQ(rig.transfer(whole).last.failed_entries, 0u);
    EXPECT_EQ(describe(trees.source.path()), describe(trees.target.path()));
}

// A name that this file system does not take, beside one that it does.
TEST(Target, NameTooLong) {
    Trees trees;
    put_file(trees.source / "f", "f");
    ASSERT_EQ(symlink("t", (trees.source / "l").c_str()), 0);
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.file("f");
    maker.symlink("l");
    wire::Manifest manifest = maker.take();
    std::vector<std::uint8_t> payload;
    const wire::Trailer trailer = rig.read_all(manifest, payload);
    std::string deep;
    for (int i = 0; i < 15; ++i)
        deep += std::string(255, 'd') + "/";
    manifest.entries[0].path = deep + std::string(200, 'f');  // near 4096: still resolvable
    manifest.entries[1].target = std::string(5000, 't');      // longer than any link may be
    const Outcome outcome = rig.write_all(manifest, payload, trailer);
    EXPECT_EQ(outcome.reason_of(0), FailReason::none);
    EXPECT_EQ(outcome.reason_of(1), FailReason::target_name);
}

// Without privileges: owners stay ours, set-id bits are withheld with them, modes and times are kept, a
// directory that is closed to us is named; directories that end up without permissions do not fail what was
// put into them.
TEST(Target, Unprivileged) {
    if (geteuid() != 0) GTEST_SKIP() << "runs as another user only when started as root";
    TemporaryDirectory source, target;
    ASSERT_EQ(chmod(source.path().c_str(), 0755), 0);
    ASSERT_EQ(mkdir((source / "closing").c_str(), 0300), 0);
    put_file(source / "closing/inside", "i");
    put_file(source / "setuid", "s");
    ASSERT_EQ(chmod((source / "setuid").c_str(), 04755), 0);
    ASSERT_EQ(mkdir((target / "forbidden").c_str(), 0755), 0);  // root's
    put_file(source / "f", "f");
    ManifestMaker maker(source.path(), 2);
    maker.directory("closing");
    maker.file("closing/inside");
    maker.file("setuid");
    maker.file("f").path = "forbidden/f";
    const wire::Manifest manifest = maker.take();
    std::vector<std::uint8_t> payload;
    wire::Manifest at_source = manifest;
    at_source.entries[3].path = "f";
    wire::Trailer trailer;
    {
        Rig rig;
        rig.open(source.path(), target.path());
        trailer = rig.read_all(at_source, payload);
    }
    ASSERT_EQ(chown(target.path().c_str(), 65534, 65534), 0);
    std::filesystem::remove_all(target / ".longhaul");
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        bool good = setgid(65534) == 0 && setuid(65534) == 0;
        Rig rig;
        good = good && rig->open_store(2, target.path(), StoreRole::target).ok();
        const Outcome outcome = rig.write_all(manifest, payload, trailer);
        good =
            good && outcome.last.failed_entries == 1 && outcome.reason_of(3) == FailReason::target_permission;
        rig.storage.reset();
        std::_Exit(good && !testing::Test::HasFailure() ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    struct stat found {};
    ASSERT_EQ(stat((target / "closing").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0300u);
    EXPECT_EQ(get_file(target / "closing/inside"), "i");
    ASSERT_EQ(stat((target / "setuid").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0755u);
    EXPECT_EQ(found.st_uid, 65534u);
}

// A write error of the device itself, not foreseen by preallocation: here the limit of a file's size.
TEST(Target, WriteErrorIsNamed) {
    Trees trees;
    put_file(trees.source / "big", std::string(60'000, 'b'));
    put_file(trees.source / "small", "s");
    Rig rig;
    rig.open(trees.source.path(), trees.target.path());
    ManifestMaker maker(trees.source.path(), 2);
    maker.file("big");
    maker.file("small");
    const wire::Manifest manifest = maker.take();
    std::vector<std::uint8_t> payload;
    const wire::Trailer trailer = rig.read_all(manifest, payload);
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{16'384, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const Outcome outcome = rig.write_all(manifest, payload, trailer);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, old_handler);
    EXPECT_EQ(outcome.reason_of(0), FailReason::target_io);
    EXPECT_EQ(outcome.reason_of(1), FailReason::none);
    EXPECT_FALSE(exists(trees.target / "big"));
    EXPECT_EQ(get_file(trees.target / "small"), "s");
}

}  // namespace
}  // namespace longhaul::storage::test
