// A source that changes while it is read: the entry becomes zeros and a named reason, all others arrive.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;

struct Harm {
    const char* name;
    std::function<void(const std::string& path)> act;
    FailReason reason;
};

std::ostream& operator<<(std::ostream& out, const Harm& harm) {
    return out << harm.name;
}

const Harm kHarms[] = {
    {"vanished", [](const std::string& path) { ::unlink(path.c_str()); }, FailReason::source_vanished},
    {"truncated", [](const std::string& path) { EXPECT_EQ(::truncate(path.c_str(), 10), 0); },
     FailReason::source_changed},
    {"grown", [](const std::string& path) { EXPECT_EQ(::truncate(path.c_str(), 400'000), 0); },
     FailReason::source_changed},
    {"replaced by a directory",
     [](const std::string& path) {
         ::unlink(path.c_str());
         ::mkdir(path.c_str(), 0755);
     },
     FailReason::source_changed},
    {"replaced by a link",
     [](const std::string& path) {
         ::unlink(path.c_str());
         EXPECT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
     },
     FailReason::source_changed},
    {"replaced by a fifo",
     [](const std::string& path) {
         ::unlink(path.c_str());
         ::mkfifo(path.c_str(), 0644);
     },
     FailReason::source_changed},
    {"rewritten with the old mtime",
     [](const std::string& path) {
         struct stat before {};
         ::stat(path.c_str(), &before);
         put_file(path, std::string(static_cast<std::size_t>(before.st_size), '!'));
         const timespec times[2] = {before.st_atim, before.st_mtim};
         ::utimensat(AT_FDCWD, path.c_str(), times, 0);
     },
     FailReason::source_changed},
};

struct HarmBeforeRead : testing::TestWithParam<std::tuple<Harm, std::size_t>> {};

// Harm between walk and read, for packed and for O_DIRECT sizes.
TEST_P(HarmBeforeRead, IsNamedAndTheRestArrives) {
    const auto& [harm, size] = GetParam();
    TemporaryDirectory source, target;
    put_file(source / "a", std::string(50'000, 'a'));
    put_file(source / "harmed", std::string(size, 'h'));
    put_file(source / "z", std::string(150'000, 'z'));
    Rig rig;
    rig.open(source.path(), target.path());
    put_file(target / "harmed", "the older version stays");
    ManifestMaker maker(source.path(), 2);
    maker.file("a");
    maker.file("harmed");
    maker.file("z");
    const wire::Manifest manifest = maker.take();
    harm.act(source / "harmed");
    std::vector<std::uint8_t> payload;
    const wire::Trailer trailer = rig.read_all(manifest, payload);
    EXPECT_EQ(trailer.verdicts[1].reason, harm.reason);
    const auto& entry = manifest.entries[1];
    for (std::uint64_t i = 0; i < entry.size; ++i)
        ASSERT_EQ(payload[entry.payload_offset + i], 0);
    const Outcome outcome = rig.write_all(manifest, payload, trailer);
    EXPECT_EQ(outcome.last.stage, wire::Stage::published);
    EXPECT_EQ(outcome.last.failed_entries, 1u);
    EXPECT_EQ(outcome.reason_of(1), harm.reason);
    EXPECT_EQ(get_file(target / "a"), std::string(50'000, 'a'));
    EXPECT_EQ(get_file(target / "z"), std::string(150'000, 'z'));
    EXPECT_EQ(get_file(target / "harmed"), "the older version stays");
    EXPECT_TRUE(staged(target.path()).empty());
}
INSTANTIATE_TEST_SUITE_P(All, HarmBeforeRead,
                         testing::Combine(testing::ValuesIn(kHarms), testing::Values(20'000u, 300'000u)));

// Harm after the first bytes were read: found by the check after the last byte at the latest.
TEST(HarmDuringRead, IsFoundAfterTheLastByte) {
    for (const Harm& harm : {kHarms[1], kHarms[2], kHarms[6]}) {
        SCOPED_TRACE(harm.name);
        TemporaryDirectory source, target;
        put_file(source / "harmed", std::string(3 * kStripeBytes, 'h'));
        Rig rig;
        rig.open(source.path(), target.path());
        ManifestMaker maker(source.path(), 2);
        maker.file("harmed");
        const wire::Manifest manifest = maker.take();
        auto reader = rig->open_reader(1, manifest);
        ASSERT_TRUE(reader.ok());
        for (std::uint64_t i = 0; i < 3; ++i) {
            if (i == 1) harm.act(source / "harmed");
            reader.value()->read(i * kStripeBytes, rig.block(i).first(kStripeBytes), i + 1);
            rig.until([&] { return rig.seen(Event::Kind::read_done, i + 1); }, "read_done");
        }
        EXPECT_EQ(reader.value()->trailer().verdicts[0].reason, FailReason::source_changed);
        EXPECT_EQ(rig.block(0)[0], 'h');  // it had left before
    }
}

// A file swapped by rename for one of the same size and times is another file, even when no ctime is known
// and its descriptor was lent to others meanwhile.
TEST(HarmDuringRead, SwappedFileIsNoticedOnReopen) {
    TemporaryDirectory source, target;
    put_file(source / "swapped", std::string(2 * kStripeBytes, 'o'));
    put_file(source / "other", std::string(2 * kStripeBytes, 'n'));
    for (const char* name : {"swapped", "other"}) {
        const timespec times[2] = {{0, UTIME_OMIT}, {1'000'000'000, 7}};
        ASSERT_EQ(utimensat(AT_FDCWD, (source / name).c_str(), times, 0), 0);
    }
    for (int i = 0; i < 2; ++i)
        put_file(source / ("busy" + std::to_string(i)), std::string(2 * kStripeBytes, 'b'));
    StorageConfig config;
    config.files_open_max = 2;
    Rig rig(config);
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("swapped").ctime_ns = 0;
    for (int i = 0; i < 2; ++i)
        maker.file("busy" + std::to_string(i));
    const wire::Manifest manifest = maker.take();
    auto reader = rig->open_reader(1, manifest);
    ASSERT_TRUE(reader.ok());
    const auto read = [&](std::uint64_t stripe) {
        reader.value()->read(stripe * kStripeBytes, rig.block(stripe).first(kStripeBytes), stripe + 1);
        rig.until([&] { return rig.seen(Event::Kind::read_done, stripe + 1); }, "read_done");
    };
    for (const std::uint64_t stripe : {0, 2, 4})
        read(stripe);  // the third open takes the first's descriptor
    ASSERT_EQ(rename((source / "other").c_str(), (source / "swapped").c_str()), 0);
    for (const std::uint64_t stripe : {1, 3, 5})
        read(stripe);
    EXPECT_EQ(reader.value()->trailer().verdicts[0].reason, FailReason::source_changed);
    EXPECT_EQ(reader.value()->trailer().verdicts[1].reason, FailReason::none);
}

// Nothing beneath a symlink, and nothing above the root, is ever read.
TEST(SourcePaths, NeverLeaveTheStore) {
    TemporaryDirectory source, target, outside;
    put_file(outside / "secret", "secret");
    put_file(source / "file", "plain!");
    ASSERT_EQ(symlink(outside.path().c_str(), (source / "door").c_str()), 0);
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("file");
    maker.file("file");
    wire::Manifest manifest = maker.take();
    manifest.entries[0].path = "door/secret";
    manifest.entries[1].path = "../" + outside.path().substr(outside.path().rfind('/') + 1) + "/secret";
    std::vector<std::uint8_t> payload;
    const wire::Trailer trailer = rig.read_all(manifest, payload);
    EXPECT_EQ(trailer.verdicts[0].reason, FailReason::source_changed);
    EXPECT_EQ(trailer.verdicts[1].reason, FailReason::source_permission);
    EXPECT_EQ(std::string(payload.begin(), payload.end()), std::string(12, '\0'));
}

}  // namespace
}  // namespace longhaul::storage::test
