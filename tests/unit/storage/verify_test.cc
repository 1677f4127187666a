// What both ends read and compare: `verify` entries against a target that others have touched.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <functional>

#include "dataplane/wire/attributes.h"
#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;

constexpr std::size_t kLargeBytes = (3u << 20) + 4097;

struct Verifying : testing::Test {
    TemporaryDirectory source, target;
    Rig rig;

    void SetUp() override {
        Random random(7);
        put_file(source / "large", random_bytes(random, kLargeBytes));
        put_file(source / "small", "content");
        put_file(source / "empty", "");
        rig.open(source.path(), target.path());
        ManifestMaker maker(source.path(), 2);
        for (const char* name : {"large", "small", "empty"})
            maker.file(name);
        ASSERT_EQ(rig.transfer(maker.take()).last.failed_entries, 0u);
    }
    void as_verify(wire::Entry& entry, const struct stat& found) const {
        entry.kind = wire::EntryKind::verify;
        entry.size = 0;
        if (S_ISREG(found.st_mode)) entry.size = entry.file_size = static_cast<std::uint64_t>(found.st_size);
        if (S_ISDIR(found.st_mode)) entry.compared = wire::EntryKind::directory;
        if (!S_ISLNK(found.st_mode)) return;
        entry.compared = wire::EntryKind::symlink;
        entry.target = "text";
    }
    // The target's answer for one object, or for a stretch of a file.
    FailReason verify(const std::string& path, std::uint64_t offset = 0, std::uint64_t length = 0,
                      const std::function<void(wire::Entry&)>& change = {}) {
        ManifestMaker maker(source.path(), 2);
        wire::Entry& entry = maker.metadata(path);
        struct stat found {};
        EXPECT_EQ(lstat((source / path).c_str(), &found), 0) << path;
        as_verify(entry, found);
        entry.file_offset = offset;
        entry.size = length == 0 ? entry.file_size - offset : length;
        if (change) change(entry);
        const Outcome outcome = rig.transfer(maker.take());
        EXPECT_EQ(outcome.last.stage, wire::Stage::published);
        return outcome.reason_of(0);
    }
    // One byte, with the dates as they were.
    void rot(const std::string& path, off_t at) const {
        struct stat before {};
        ASSERT_EQ(lstat((target / path).c_str(), &before), 0);
        const int fd = open((target / path).c_str(), O_RDWR);
        char byte = 0;
        ASSERT_EQ(pread(fd, &byte, 1, at), 1);
        byte = static_cast<char>(byte ^ 1);
        ASSERT_EQ(pwrite(fd, &byte, 1, at), 1);
        const timespec times[2] = {before.st_atim, before.st_mtim};
        ASSERT_EQ(futimens(fd, times), 0);
        close(fd);
    }
};

TEST_F(Verifying, WhatIsTheSameIs) {
    const auto before = describe(target.path());
    const auto written = rig->stats().bytes_written;
    for (const char* name : {"large", "small", "empty"})
        EXPECT_EQ(verify(name), FailReason::none) << name;
    EXPECT_EQ(verify("large", 1 << 20, 1 << 20), FailReason::none);
    EXPECT_EQ(describe(target.path()), before);
    EXPECT_EQ(rig->stats().bytes_written, written);
    EXPECT_EQ(rig->stats().bytes_verified, 2 * (kLargeBytes + 7 + (1 << 20)));  // at both ends
    EXPECT_TRUE(staged(target.path()).empty());
}

// No date and no size gives a flipped bit away; it is found in the stretch where it is, and in no other.
TEST_F(Verifying, OneBitIsFound) {
    rot("large", (2 << 20) + 5);
    EXPECT_EQ(verify("large"), FailReason::integrity);
    EXPECT_EQ(verify("large", 0, 2 << 20), FailReason::none);
    EXPECT_EQ(verify("large", 2 << 20, 4096), FailReason::integrity);
    rot("large", (2 << 20) + 5);
    EXPECT_EQ(verify("large"), FailReason::none);
    rot("large", kLargeBytes - 1);
    EXPECT_EQ(verify("large"), FailReason::integrity);
    rot("small", 0);
    EXPECT_EQ(verify("small"), FailReason::integrity);
}

TEST_F(Verifying, WhatIsGoneOrOfAnotherSizeIsFound) {
    put_file(target / "small", "content and more");
    EXPECT_EQ(verify("small"), FailReason::integrity);
    put_file(target / "empty", "not empty");
    EXPECT_EQ(verify("empty"), FailReason::integrity);
    ASSERT_EQ(truncate((target / "large").c_str(), 1 << 20), 0);
    EXPECT_EQ(verify("large", 2 << 20, 4096), FailReason::integrity);
    ASSERT_EQ(unlink((target / "small").c_str()), 0);
    EXPECT_EQ(verify("small"), FailReason::target_missing);
    ASSERT_EQ(symlink("empty", (target / "small").c_str()), 0);  // never followed
    EXPECT_EQ(verify("small"), FailReason::target_missing);
    ASSERT_EQ(unlink((target / "empty").c_str()), 0);
    ASSERT_EQ(mkfifo((target / "empty").c_str(), 0600), 0);  // nor waited for
    EXPECT_EQ(verify("empty"), FailReason::target_missing);
}

void set_mtime(const std::string& path, long nanoseconds) {
    const timespec times[2] = {{0, UTIME_OMIT}, {1'000'000'000, nanoseconds}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

struct VerifyingMetadata : Verifying {
    const std::string attributes = wire::write_attributes({{"user.k", "v"}});

    void SetUp() override {
        Verifying::SetUp();
        ASSERT_EQ(mkdir((source / "d").c_str(), 0750), 0);
        put_file(source / "d/f", "content");
        ASSERT_EQ(symlink("text", (source / "d/l").c_str()), 0);
        for (const char* path : {"d/f", "d"})
            ASSERT_EQ(setxattr((source / path).c_str(), "user.k", "v", 1, 0), 0);
        for (const char* path : {"d/f", "d/l", "d"})
            set_mtime(source / path, 123'456'789);
        ManifestMaker maker(source.path(), 2);
        maker.directory("d").attributes = attributes;
        maker.file("d/f").attributes = attributes;
        maker.symlink("d/l");
        ASSERT_EQ(rig.transfer(maker.take()).last.failed_entries, 0u);
    }
    FailReason compare(const std::string& path, const std::function<void(wire::Entry&)>& change = {}) {
        return verify(path, 0, 0, [&](wire::Entry& entry) {
            if (entry.compared != wire::EntryKind::symlink)
                entry.attributes_digest = wire::attributes_digest(attributes);
            if (change) change(entry);
        });
    }
};

TEST_F(VerifyingMetadata, WhatIsTheSameIs) {
    const auto before = describe(target.path());
    for (const char* path : {"d", "d/f", "d/l"})
        EXPECT_EQ(compare(path), FailReason::none) << path;
    EXPECT_EQ(describe(target.path()), before);
    EXPECT_TRUE(staged(target.path()).empty());
}

// Each by its name; the tree stays as others left it, and nothing is left in staging.
TEST_F(VerifyingMetadata, WhatDiffersIsNamed) {
    for (const char* path : {"d", "d/f"}) {
        const std::string there = target / path;
        ASSERT_EQ(chmod(there.c_str(), 0701), 0);
        EXPECT_EQ(compare(path), FailReason::other_mode) << path;
        ASSERT_EQ(chmod(there.c_str(), std::string(path) == "d" ? 0750 : 0644), 0);
        ASSERT_EQ(setxattr(there.c_str(), "user.k", "w", 1, 0), 0);
        EXPECT_EQ(compare(path), FailReason::other_attributes) << path;
        ASSERT_EQ(removexattr(there.c_str(), "user.k"), 0);
        EXPECT_EQ(compare(path), FailReason::other_attributes) << path;
        ASSERT_EQ(setxattr(there.c_str(), "user.k", "v", 1, 0), 0);
        EXPECT_EQ(compare(path), FailReason::none) << path;
    }
    for (const char* path : {"d/f", "d/l", "d"}) {
        set_mtime(target / path, 123'456'788);
        const auto before = describe(target.path());
        EXPECT_EQ(compare(path), FailReason::other_mtime) << path;
        EXPECT_EQ(describe(target.path()), before);
        if (geteuid() != 0) continue;
        ASSERT_EQ(lchown((target / path).c_str(), 12, 34), 0);
        EXPECT_EQ(compare(path), FailReason::other_owner) << path;
    }
    EXPECT_TRUE(staged(target.path()).empty());
}

// Of directories, the root ("") among them, both ends list what is in them.
struct VerifyingNames : VerifyingMetadata {
    FailReason names(const std::string& path) {
        return compare(path.empty() ? "." : path, [&](wire::Entry& entry) {
            entry.path = path;
            entry.size = 1;
            entry.attributes_digest = path.empty() ? 0 : entry.attributes_digest;
        });
    }
};

TEST_F(VerifyingNames, WhatOthersPutThereOrTookIsFound) {
    EXPECT_EQ(names(""), FailReason::none) << "the target's own directory is not in the way";
    EXPECT_EQ(names("d"), FailReason::none);
    ASSERT_EQ(mkdir((target / "lost+found").c_str(), 0700), 0);
    EXPECT_EQ(names(""), FailReason::none);
    const auto dates = [&] { set_mtime(target / "d", 123'456'789); };
    put_file(target / "d/extra", "");
    dates();
    EXPECT_EQ(compare("d"), FailReason::none) << "nothing else gives it away";
    EXPECT_EQ(names("d"), FailReason::target_names);
    EXPECT_EQ(names(""), FailReason::none);
    ASSERT_EQ(rename((target / "d/extra").c_str(), (target / "extra").c_str()), 0);
    EXPECT_EQ(names("d"), FailReason::other_mtime);
    EXPECT_EQ(names(""), FailReason::target_names);
    ASSERT_EQ(unlink((target / "extra").c_str()), 0);
    EXPECT_EQ(names(""), FailReason::none);
    ASSERT_EQ(rename((target / "d/l").c_str(), (target / "d/m").c_str()), 0);
    EXPECT_EQ(names("d"), FailReason::target_names) << "before the mtime, which is another as well";
    ASSERT_EQ(rename((target / "d/m").c_str(), (target / "d/l").c_str()), 0);
    dates();
    EXPECT_EQ(names("d"), FailReason::none);
}

// What does not travel is no name of the source; what came since the walk makes its directory another version.
TEST_F(VerifyingNames, OfTheSourceThoseOfTheEntrysVersionThatTravel) {
    ASSERT_EQ(mkfifo((source / "d/fifo").c_str(), 0600), 0);
    ASSERT_EQ(mkdir((source / ".longhaul").c_str(), 0700), 0);
    set_mtime(source / "d", 123'456'789);
    EXPECT_EQ(names("d"), FailReason::none);
    EXPECT_EQ(names(""), FailReason::none);
    const auto later = [&](wire::Entry& entry, const std::string& path) {
        entry.path = path;
        entry.size = 1;
        put_file(source / (path.empty() ? "new" : path + "/new"), "");
    };
    EXPECT_EQ(compare("d", [&](wire::Entry& entry) { later(entry, "d"); }), FailReason::source_changed);
    EXPECT_EQ(compare(".", [&](wire::Entry& entry) { later(entry, ""); }), FailReason::source_changed);
}

// Who changes the bytes changes the mtime as well: it is the bytes that have to travel.
TEST_F(VerifyingMetadata, BytesComeBeforeTheRest) {
    put_file(target / "d/f", "Content");
    EXPECT_EQ(compare("d/f"), FailReason::integrity);
    ASSERT_EQ(unlink((target / "d/l").c_str()), 0);
    EXPECT_EQ(compare("d/l"), FailReason::target_missing);
    ASSERT_EQ(symlink("other text", (target / "d/l").c_str()), 0);
    EXPECT_EQ(compare("d/l"), FailReason::integrity);
    ASSERT_EQ(rename((target / "d").c_str(), (target / "e").c_str()), 0);
    EXPECT_EQ(compare("d"), FailReason::target_missing);
    put_file(target / "d", "");
    EXPECT_EQ(compare("d"), FailReason::target_missing);
    // A large file's metadata is compared once, with its last stretch.
    ASSERT_EQ(chmod((target / "large").c_str(), 0600), 0);
    EXPECT_EQ(verify("large", 0, 4096), FailReason::none);
    EXPECT_EQ(verify("large", 2 << 20), FailReason::other_mode);
}

TEST_F(VerifyingMetadata, AnotherVersionAtTheSourceSaysNothing) {
    EXPECT_EQ(compare("d", [](wire::Entry& entry) { ++entry.mtime_ns; }), FailReason::source_changed);
    EXPECT_EQ(compare("d", [](wire::Entry& entry) { entry.mode ^= 1; }), FailReason::source_changed);
    EXPECT_EQ(compare("d", [](wire::Entry& entry) { ++entry.attributes_digest; }),
              FailReason::source_changed);
    EXPECT_EQ(compare("d/l", [](wire::Entry& entry) { entry.target = "other"; }), FailReason::source_changed);
    EXPECT_EQ(compare("d/l", [](wire::Entry& entry) { entry.path = "gone"; }), FailReason::source_vanished);
    ASSERT_EQ(unlink((source / "d/l").c_str()), 0);
    put_file(source / "d/l", "");
    EXPECT_EQ(compare("d/l",
                      [](wire::Entry& entry) {
                          entry.compared = wire::EntryKind::symlink;
                          entry.target = "text";
                          entry.attributes_digest = 0;
                      }),
              FailReason::source_changed);
}

// Killed in the middle of it, its trial object is swept up with the rest of staging.
TEST_F(VerifyingMetadata, ACutOffComparisonLeavesNothing) {
    rig.storage.reset();
    ASSERT_EQ(mkdir((target / ".longhaul/staging/7/b-left").c_str(), 0700), 0);
    Rig again;
    again.open(source.path(), target.path());
    EXPECT_TRUE(staged(target.path()).empty());
}

// What this target could never have given to an object is no difference; what it could is.
TEST_F(VerifyingMetadata, WithoutPrivilegesOwnersAreNotCompared) {
    if (geteuid() != 0) GTEST_SKIP() << "runs as another user only when started as root";
    TemporaryDirectory other;
    put_file(source / "setuid", "s");
    ASSERT_EQ(chmod((source / "setuid").c_str(), 04755), 0);
    std::vector<wire::Manifest> manifests;
    std::vector<wire::Trailer> trailers;
    std::vector<std::uint8_t> payload, nothing;
    ManifestMaker publish(source.path(), 2), compare_both(source.path(), 2);
    publish.directory("d");
    publish.file("setuid");
    manifests.push_back(publish.take());
    trailers.push_back(rig.read_all(manifests[0], payload));
    for (const char* path : {"d", "setuid"}) {
        struct stat found {};
        ASSERT_EQ(lstat((source / path).c_str(), &found), 0);
        ASSERT_TRUE(std::string(path) != "d" || removexattr((source / path).c_str(), "user.k") == 0);
        as_verify(compare_both.metadata(path), found);
    }
    manifests.push_back(compare_both.take());
    trailers.push_back(rig.read_all(manifests[1], nothing));
    ASSERT_EQ(chown(other.path().c_str(), 65534, 65534), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        bool good = setgid(65534) == 0 && setuid(65534) == 0;
        Rig plain;
        good = good && plain->open_store(2, other.path(), StoreRole::target).ok();
        good = good && plain.write_all(manifests[0], payload, trailers[0]).last.failed_entries == 0;
        good = good && plain.write_all(manifests[1], {}, trailers[1]).last.failed_entries == 0;
        good = good && chmod((other / "setuid").c_str(), 0700) == 0;
        ++manifests[1].generation;
        ++trailers[1].generation;
        const Outcome outcome = plain.write_all(manifests[1], {}, trailers[1]);
        good = good && outcome.reason_of(0) == FailReason::none &&
               outcome.reason_of(1) == FailReason::other_mode;
        plain.storage.reset();
        std::_Exit(good && !testing::Test::HasFailure() ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

// A source that is not what the entry says is no word about the target.
TEST_F(Verifying, AnotherVersionAtTheSourceSaysNothing) {
    EXPECT_EQ(verify("small", 0, 0, [](wire::Entry& entry) { entry.mtime_ns -= 1; }),
              FailReason::source_changed);
    EXPECT_EQ(verify("small", 0, 0, [](wire::Entry& entry) { entry.ctime_ns -= 1; }),
              FailReason::source_changed);
    EXPECT_EQ(verify("large", 0, 0, [](wire::Entry& entry) { entry.path = "gone"; }),
              FailReason::source_vanished);
}

// A bundle whose end goes away under way, on either side: nothing waits for it, and storage comes to rest.
TEST_F(Verifying, MayBeAbandoned) {
    ManifestMaker maker(source.path(), 2);
    wire::Entry& entry = maker.metadata("large");
    entry.kind = wire::EntryKind::verify;
    entry.file_size = entry.size = kLargeBytes;
    const wire::Manifest manifest = maker.take();
    auto reader = std::move(rig->open_reader(1, manifest)).value();
    reader->read_to_verify(rig.next_token());
    reader.reset();
    auto writer = std::move(rig->open_writer(manifest)).value();
    writer->finish(empty_trailer(manifest), rig.next_token());
    writer.reset();
    rig.settle();
    EXPECT_EQ(verify("large"), FailReason::none);
}

// Beside other entries of a bundle: a difference fails alone, what travels arrives, and a mark is held back.
TEST_F(Verifying, FailsAloneButHoldsAMark) {
    rot("large", 9);
    put_file(source / "new", "travels");
    ManifestMaker maker(source.path(), 2);
    maker.file("new");
    wire::Entry& entry = maker.metadata("large");
    entry.kind = wire::EntryKind::verify;
    entry.file_size = entry.size = kLargeBytes;
    maker.mark(5);
    const Outcome outcome = rig.transfer(maker.take());
    EXPECT_EQ(outcome.reason_of(0), FailReason::none);
    EXPECT_EQ(outcome.reason_of(1), FailReason::integrity);
    EXPECT_EQ(get_file(target / "new"), "travels");
    EXPECT_TRUE(outcome.marks.empty());
}

}  // namespace
}  // namespace longhaul::storage::test
