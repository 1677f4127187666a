// What arrives is what was there: bytes, names, modes, owners, times; on O_DIRECT file systems and on others.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;
using wire::Stage;

const std::vector<Stage> kAllStages{Stage::durable, Stage::published};

void set_mtime(const std::string& path, std::int64_t seconds, long nanoseconds) {
    const timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

void make_varied_tree(const TemporaryDirectory& source, std::uint64_t seed) {
    Random random(seed);
    ASSERT_EQ(mkdir((source / "many").c_str(), 0755), 0);
    for (int i = 0; i < 600; ++i)
        put_file(source / ("many/f" + std::to_string(i)), random_bytes(random, random.below(3000)));
    ASSERT_EQ(mkdir((source / "edges").c_str(), 0750), 0);
    for (const std::size_t size :
         {0u, 1u, 4095u, 4096u, 4097u, 65535u, 65536u, 65537u, 90111u, 90112u, 90113u, 1u << 20, 3000001u})
        put_file(source / ("edges/size-" + std::to_string(size)), random_bytes(random, size));
    ASSERT_EQ(mkdir((source / "odd").c_str(), 0755), 0);
    put_file(source / "odd/not\xff\xfeutf8", "bytes");
    put_file(source / "odd/new\nline and 'quotes\"", "lines");
    put_file(source / ("odd/" + std::string(255, 'n')), "long name");
    put_file(source / "odd/-rf *", "dash");
    ASSERT_EQ(mkdir((source / "odd/\x01\x7f").c_str(), 0700), 0);
    put_file(source / "odd/\x01\x7f/inside", "control characters");
    ASSERT_EQ(symlink("../edges/size-1", (source / "odd/link").c_str()), 0);
    ASSERT_EQ(symlink("/nowhere/\xff", (source / "odd/dangling").c_str()), 0);
    put_file(source / "setuid", "#!/bin/true\n");
    ASSERT_EQ(chmod((source / "setuid").c_str(), 06755), 0);
    put_file(source / "unreadable", "secret");
    ASSERT_EQ(chmod((source / "unreadable").c_str(), 0400), 0);
    put_file(source / "old", "before the epoch");
    set_mtime(source / "old", -86400, 123456789);
    set_mtime(source / "odd/link", 1000000000, 987654321);
    ASSERT_EQ(mkdir((source / "empty").c_str(), 01777), 0);
    ASSERT_EQ(chmod((source / "empty").c_str(), 01777), 0);
    ASSERT_EQ(mkdir((source / "deep").c_str(), 0711), 0);
    ASSERT_EQ(mkdir((source / "deep/er").c_str(), 0555), 0);
    set_mtime(source / "deep", 1234567890, 111);
    set_mtime(source / "empty", 1234567890, 999999999);
}

struct RoundTrip : testing::TestWithParam<std::pair<const char*, bool>> {};

// A tree of every kind of thing comes out identical, whatever the order in which its stripes are written;
// large files go by O_DIRECT where it is there.
TEST_P(RoundTrip, TreeIsIdentical) {
    const auto [where, direct] = GetParam();
    TemporaryDirectory source(where), target(where);
    make_varied_tree(source, 7);
    StorageConfig config;
    config.direct = direct;
    Rig rig(config);
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.tree();
    const wire::Manifest manifest = maker.take();
    const auto before = describe(source.path());
    for (const std::uint64_t seed : {1, 2}) {  // the second time over what the first has published
        SCOPED_TRACE("seed " + std::to_string(seed) + ": unit-storage --gtest_filter=" +
                     testing::UnitTest::GetInstance()->current_test_info()->name());
        const Outcome outcome = rig.transfer(manifest, seed);
        EXPECT_EQ(outcome.stages, kAllStages);
        EXPECT_EQ(outcome.last.failed_entries, 0u);
        EXPECT_EQ(describe(target.path()), before);
        EXPECT_TRUE(staged(target.path()).empty());
    }
    if (direct) {
        EXPECT_GT(rig->stats().direct_bytes_read, 3u << 20);
        EXPECT_GT(rig->stats().direct_bytes_written, 3u << 20);
    } else {
        EXPECT_EQ(rig->stats().direct_bytes_read + rig->stats().direct_bytes_written, 0u);
    }
    EXPECT_EQ(describe(source.path()), before);
}
INSTANTIATE_TEST_SUITE_P(FileSystems, RoundTrip,
                         testing::Values(std::pair("/var/tmp", true), std::pair("/var/tmp", false),
                                         std::pair("/dev/shm", true)));

std::uint64_t allocated(const std::string& path) {
    struct stat found {};
    EXPECT_EQ(stat(path.c_str(), &found), 0);
    return static_cast<std::uint64_t>(found.st_blocks) * 512;
}

// What no range wrote is a hole of the assembled file, behind its last range as well; an object of no ranges is one hole,
// and takes the metadata of its entry and the place of what stood there.
TEST(Sparse, HolesStayHoles) {
    constexpr std::uint64_t kSize = 64u << 20;
    TemporaryDirectory source, target;
    put_file(source / "sparse", std::string(10'000, 'a'));
    const int fd = open((source / "sparse").c_str(), O_WRONLY);
    ASSERT_EQ(ftruncate(fd, kSize + 3), 0);
    const std::string more(200'000, 'b');
    ASSERT_EQ(pwrite(fd, more.data(), more.size(), 32 << 20), static_cast<ssize_t>(more.size()));
    close(fd);
    put_file(source / "hollow", "");
    ASSERT_EQ(truncate((source / "hollow").c_str(), kSize + 3), 0);
    ASSERT_EQ(chmod((source / "hollow").c_str(), 0640), 0);
    set_mtime(source / "hollow", 12345, 678);
    put_file(target / "hollow", "an older version");
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker ranges(source.path(), 2);
    ranges.range("sparse", {3, 4}, 0, 12'288);
    ranges.range("sparse", {3, 4}, 32 << 20, 200'704);
    ASSERT_EQ(rig.transfer(ranges.take()).last.failed_entries, 0u);
    ManifestMaker whole(source.path(), 2);
    whole.assemble("sparse", {3, 4}).file_size = 12'288 + 200'704;
    whole.assemble("hollow", {});
    ASSERT_EQ(rig.transfer(whole.take()).last.failed_entries, 0u);
    EXPECT_EQ(describe(target.path()), describe(source.path()));
    EXPECT_LT(allocated(target / "sparse"), 1u << 20);
    EXPECT_EQ(allocated(target / "hollow"), 0u);
    EXPECT_TRUE(staged(target.path()).size() <= 1) << "all but the mark that the object was assembled";
}

// A file system that refuses O_DIRECT is used through the page cache, and the operator hears of it once per
// store.
TEST(Fallback, RefusedDirectIsSaidOnce) {
    Mount mount("ramfs", "");
    if (!mount.ok()) GTEST_SKIP() << "mounting ramfs needs root";
    const std::string source = mount.path() + "/source", target = mount.path() + "/target";
    ASSERT_EQ(mkdir(source.c_str(), 0755), 0);
    ASSERT_EQ(mkdir(target.c_str(), 0755), 0);
    Random random(3);
    for (int i = 0; i < 4; ++i)
        put_file(source + "/f" + std::to_string(i),
                 random_bytes(random, 200000 + static_cast<std::size_t>(i)));
    Rig rig;
    rig.open(source, target);
    ManifestMaker maker(source, 2);
    maker.tree();
    const wire::Manifest manifest = maker.take();
    EXPECT_EQ(rig.transfer(manifest).last.failed_entries, 0u);
    EXPECT_EQ(rig.transfer(manifest).last.failed_entries, 0u);
    EXPECT_EQ(describe(source), describe(target));
    ASSERT_EQ(rig.said.size(), 2u);
    EXPECT_NE(rig.said[0].find(source), std::string::npos);
    EXPECT_NE(rig.said[1].find(target), std::string::npos);
    EXPECT_EQ(rig->stats().direct_bytes_written, 0u);
}

// A large object travels as ranges in several bundles, out of order, and appears only with `assemble`; that
// may be offered again after it has happened.
TEST(Ranges, AssembledFromSeveralBundles) {
    TemporaryDirectory source, target;
    constexpr std::uint64_t kSize = 300'000'123;
    constexpr std::uint64_t kRange = 64u << 20;
    put_file(source / "large", "");
    const int fd = open((source / "large").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(ftruncate(fd, static_cast<off_t>(kSize)), 0);
    Random random(11);
    for (std::uint64_t at = 0; at < kSize; at += 7'000'003) {
        const std::string island =
            random_bytes(random, static_cast<std::size_t>(std::min<std::uint64_t>(50'000, kSize - at)));
        ASSERT_EQ(pwrite(fd, island.data(), island.size(), static_cast<off_t>(at)),
                  static_cast<ssize_t>(island.size()));
    }
    ASSERT_EQ(pwrite(fd, "end", 3, static_cast<off_t>(kSize - 3)), 3);
    close(fd);
    ASSERT_EQ(chmod((source / "large").c_str(), 0640), 0);

    Rig rig;
    rig.open(source.path(), target.path());
    const wire::ObjectKey object{0xabc, 0xdef};
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t at = 0; at < kSize; at += kRange)
        offsets.push_back(at);
    std::reverse(offsets.begin(), offsets.end());
    for (const std::uint64_t at : offsets) {
        ManifestMaker maker(source.path(), 2);
        maker.range("large", object, at, std::min(kRange, kSize - at));
        const wire::Manifest manifest = maker.take();
        const Outcome outcome = rig.transfer(manifest, at + 1);
        EXPECT_EQ(outcome.stages, kAllStages);
        EXPECT_EQ(outcome.last.failed_entries, 0u);
        EXPECT_FALSE(exists(target / "large"));
    }
    EXPECT_EQ(staged(target.path()).size(), 1u);
    ManifestMaker maker(source.path(), 2);
    maker.assemble("large", object);
    const wire::Manifest manifest = maker.take();
    for (int offered = 0; offered < 2; ++offered) {
        const Outcome outcome = rig.transfer(manifest);
        EXPECT_EQ(outcome.stages, kAllStages);
        EXPECT_EQ(outcome.last.failed_entries, 0u);
        EXPECT_TRUE(describe(source.path()) == describe(target.path()));
    }
    EXPECT_GT(rig->stats().direct_bytes_written, kSize / 10 * 9);
}

// One bundle may carry the last range and its assemble; a range that fails keeps the object from being
// assembled.
TEST(Ranges, AssembleBesideItsRange) {
    TemporaryDirectory source, target;
    Random random(5);
    put_file(source / "a", random_bytes(random, 200'001));
    Rig rig;
    rig.open(source.path(), target.path());
    for (const bool broken : {true, false}) {
        ManifestMaker maker(source.path(), 2);
        maker.range("a", {1, 2}, 0, 131072);
        maker.range("a", {1, 2}, 131072, 200'001 - 131072);
        maker.assemble("a", {1, 2});
        const wire::Manifest manifest = maker.take();
        const Outcome outcome =
            rig.transfer(manifest, 1, [&](std::vector<std::uint8_t>&, wire::Trailer& trailer) {
                if (broken) trailer.verdicts[1].crc32c ^= 1;
            });
        EXPECT_EQ(outcome.reason_of(1), broken ? FailReason::integrity : FailReason::none);
        EXPECT_EQ(outcome.reason_of(2), broken ? FailReason::staging_missing : FailReason::none);
        EXPECT_EQ(exists(target / "a"), !broken);
    }
    EXPECT_EQ(describe(source.path()), describe(target.path()));
}

// Gaps in the payload and entries that have none become zeros, and nothing outside the span is written.
TEST(Reading, GapsAreZeros) {
    TemporaryDirectory source, target;
    put_file(source / "a", "abc");
    put_file(source / "b", std::string(70'000, 'b'));
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("a");
    maker.file("b");
    wire::Manifest manifest = maker.take();
    manifest.payload_bytes += 5000;
    std::vector<std::uint8_t> payload;
    const wire::Trailer trailer = rig.read_all(manifest, payload);
    std::string expected =
        "abc" + std::string(4093, '\0') + std::string(70'000, 'b') + std::string(5000, '\0');
    EXPECT_TRUE(std::string(payload.begin(), payload.end()) == expected);
    EXPECT_EQ(trailer.verdicts[0].crc32c, 0x364b3fb7u);  // CRC32C("abc")
}

// Memory outside the registered arena, and odd offsets into it, work as well: unregistered and through
// copies.
TEST(Reading, AnyMemoryAnyAlignment) {
    TemporaryDirectory source, target;
    Random random(17);
    const std::string content = random_bytes(random, 500'000);
    put_file(source / "a", content);
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("a");
    const wire::Manifest manifest = maker.take();
    std::vector<std::uint8_t> memory(content.size() + 1);
    auto reader = rig->open_reader(1, manifest);
    ASSERT_TRUE(reader.ok());
    std::vector<std::uint64_t> tokens;
    for (std::uint64_t at = 0, bytes = 0; at < content.size(); at += bytes) {
        bytes = std::min<std::uint64_t>(1 + random.below(60'000), content.size() - at);
        tokens.push_back(rig.next_token());
        reader.value()->read(at, {memory.data() + 1 + at, bytes}, tokens.back());
    }
    for (const auto token : tokens)
        rig.until([&] { return rig.seen(Event::Kind::read_done, token); }, "read_done");
    EXPECT_EQ(std::memcmp(memory.data() + 1, content.data(), content.size()), 0);

    auto writer = rig->open_writer(manifest);
    ASSERT_TRUE(writer.ok());
    tokens.clear();
    for (std::uint64_t at = 0, bytes = 0; at < content.size(); at += bytes) {
        bytes = std::min<std::uint64_t>(1 + random.below(60'000), content.size() - at);
        tokens.push_back(rig.next_token());
        writer.value()->write(at, {memory.data() + 1 + at, bytes}, tokens.back());
    }
    for (const auto token : tokens)
        rig.until([&] { return rig.seen(Event::Kind::write_done, token); }, "write_done");
    EXPECT_EQ(rig.finish(*writer.value(), reader.value()->trailer()).last.failed_entries, 0u);
    EXPECT_TRUE(get_file(target / "a") == content);
}

// Changes without payload: directories appear with their own mode and time although files were put into them,
// links are replaced, names disappear, metadata follows; the mark comes last and only when all went well.
TEST(Changes, AppliedInOrder) {
    TemporaryDirectory source, target;
    Rig rig;
    rig.open(source.path(), target.path());
    ASSERT_EQ(mkdir((target / "gone").c_str(), 0755), 0);
    put_file(target / "gone/file", "x");
    put_file(target / "was-file", "x");
    ASSERT_EQ(symlink("x", (target / "was-link").c_str()), 0);
    ASSERT_EQ(mkdir((target / "was-dir").c_str(), 0755), 0);
    put_file(target / "meta", "content stays");
    ASSERT_EQ(mkdir((source / "was-file").c_str(), 0701), 0);
    put_file(source / "was-file/inside", "y");
    ASSERT_EQ(mkdir((source / "was-link").c_str(), 0755), 0);
    put_file(source / "was-dir", "now a file");
    put_file(source / "meta", "content stays");
    ASSERT_EQ(chmod((source / "meta").c_str(), 0604), 0);
    set_mtime(source / "meta", 1111111111, 1);
    ASSERT_EQ(symlink("new", (source / "link").c_str()), 0);
    set_mtime(source / "was-file", 1222222222, 5);

    ManifestMaker maker(source.path(), 2);
    maker.mark(42);
    maker.remove("gone/file");
    maker.remove("gone");
    maker.remove("never/was/here");
    maker.directory("was-file");
    maker.file("was-file/inside");
    maker.directory("was-link");
    maker.file("was-dir");
    maker.symlink("link");
    maker.metadata("meta");
    const wire::Manifest manifest = maker.take();
    const Outcome outcome = rig.transfer(manifest);
    EXPECT_EQ(outcome.stages, kAllStages);
    EXPECT_EQ(outcome.last.failed_entries, 0u);
    EXPECT_EQ(outcome.marks, std::vector<std::int64_t>{42});
    EXPECT_EQ(describe(source.path()), describe(target.path()));

    ManifestMaker again(source.path(), 2);
    again.mark(43);
    again.file("was-dir");
    const wire::Manifest failing = again.take();
    const Outcome held = rig.transfer(failing, 1, [](std::vector<std::uint8_t>&, wire::Trailer& trailer) {
        trailer.verdicts[1] = {FailReason::source_changed, 0};
    });
    EXPECT_TRUE(held.marks.empty());
    EXPECT_EQ(held.last.failed_entries, 2u);
    EXPECT_EQ(held.reason_of(0), FailReason::source_changed);
}

}  // namespace
}  // namespace longhaul::storage::test
