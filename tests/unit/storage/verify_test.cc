// What both ends read and compare: `verify` entries against a target that others have touched.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

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
    // The target's answer for one file, or for a stretch of it.
    FailReason verify(const std::string& path, std::uint64_t offset = 0, std::uint64_t length = 0,
                      const std::function<void(wire::Entry&)>& change = {}) {
        ManifestMaker maker(source.path(), 2);
        wire::Entry& entry = maker.metadata(path);
        struct stat found {};
        EXPECT_EQ(lstat((source / path).c_str(), &found), 0) << path;
        entry.kind = wire::EntryKind::verify;
        entry.file_size = static_cast<std::uint64_t>(found.st_size);
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
