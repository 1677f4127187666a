// Opening, closing, aborting, and many bundles at once inside small limits.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;
using wire::Stage;

// Opening twice changes nothing; another directory under the same number, a missing directory and a file are
// refused with a text that says what to change.
TEST(Stores, OpenAndClose) {
    TemporaryDirectory a, b;
    put_file(a / "file", "x");
    Rig rig;
    EXPECT_TRUE(rig->open_store(1, a.path(), StoreRole::source).ok());
    EXPECT_TRUE(rig->open_store(1, a.path() + "/", StoreRole::source).ok());
    EXPECT_FALSE(exists(a / ".longhaul"));  // a source is left as it is
    const auto other = rig->open_store(1, b.path(), StoreRole::source);
    ASSERT_FALSE(other.ok());
    EXPECT_EQ(other.error().code, ErrorCode::already_exists);
    EXPECT_NE(other.error().text.find(a.path()), std::string::npos);
    const auto missing = rig->open_store(3, a / "missing", StoreRole::target);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_FALSE(rig->open_store(3, a / "file", StoreRole::target).ok());
    EXPECT_TRUE(rig->open_store(1, b.path(), StoreRole::target).ok());  // a number has two roles
    EXPECT_TRUE(rig->has_store(1, StoreRole::source));
    EXPECT_TRUE(rig->has_store(1, StoreRole::target));
    EXPECT_FALSE(rig->has_store(3, StoreRole::target));
    struct stat found {};
    ASSERT_EQ(stat((b / ".longhaul/staging").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0700u);
    rig->close_store(1);
    EXPECT_FALSE(rig->has_store(1, StoreRole::source));
    EXPECT_FALSE(rig->has_store(1, StoreRole::target));
    wire::Manifest manifest;
    manifest.store = 1;
    const auto reader = rig->open_reader(1, manifest);
    const auto writer = rig->open_writer(manifest);
    ASSERT_FALSE(reader.ok());
    ASSERT_FALSE(writer.ok());
    EXPECT_EQ(reader.error().text.find("store_unknown"), 0u);
    EXPECT_EQ(writer.error().text.find("store_unknown"), 0u);
}

// The directory that a store was first opened on is known again; another in its place is refused, and what comes for the
// store meanwhile is not put into a directory that has lost its name.
TEST(Stores, TheDirectoryIsKnownByItsMark) {
    TemporaryDirectory source, base;
    put_file(source / "one", "first");
    const std::string target = base / "replica";
    std::filesystem::create_directory(target);
    Rig rig;
    rig.open(source.path(), target);
    const auto send = [&] {
        ManifestMaker maker(source.path(), 2);
        maker.file("one");
        maker.mark(5);
        return rig.transfer(maker.take());
    };
    ASSERT_EQ(send().last.failed_entries, 0u);
    EXPECT_EQ(get_file(target + "/.longhaul/store"), "2\n");

    std::filesystem::rename(target, base / "away");
    const auto refuse = [&](const char* what) {
        put_file(source / "one", "second");
        const Outcome outcome = send();
        EXPECT_EQ(outcome.last.stage, Stage::failed) << what;
        EXPECT_EQ(outcome.last.reason, FailReason::store_gone) << what;
        EXPECT_TRUE(outcome.marks.empty()) << what;
        EXPECT_EQ(get_file(base / "away/one"), "first") << what;
    };
    refuse("nothing stands there");
    std::filesystem::create_directory(target);
    refuse("another directory stands there");
    const auto other = rig->open_store(2, target, StoreRole::target, true);
    ASSERT_FALSE(other.ok());
    EXPECT_EQ(other.error().code, ErrorCode::not_found);
    EXPECT_NE(other.error().text.find("not the directory that the replica was put into"), std::string::npos);
    EXPECT_FALSE(exists(target + "/.longhaul")) << "it was touched";

    std::filesystem::remove(target);
    std::filesystem::rename(base / "away", target);
    ASSERT_TRUE(rig->open_store(2, target, StoreRole::target, true).ok());
    ASSERT_EQ(send().last.failed_entries, 0u);
    EXPECT_EQ(get_file(target + "/one"), "second");

    rig->close_store(2);  // another store may be begun there, by who says that it is new
    EXPECT_FALSE(rig->open_store(3, target, StoreRole::target, true).ok());
    EXPECT_TRUE(rig->open_store(3, target, StoreRole::target).ok());
    EXPECT_EQ(get_file(target + "/.longhaul/store"), "3\n");
}

// A symlink where our private directory should be is not entered.
TEST(Stores, StagingIsNeverASymlink) {
    TemporaryDirectory target, outside;
    ASSERT_EQ(symlink(outside.path().c_str(), (target / ".longhaul").c_str()), 0);
    Rig rig;
    EXPECT_FALSE(rig->open_store(2, target.path(), StoreRole::target).ok());
    EXPECT_TRUE(names_in(outside.path()).empty());
}

// Opening removes what a crash left of bundles and keeps objects, whatever date their content has (their age is tried in
// tests/sim/storage); it removes nothing of another worker that has the store open.
TEST(Stores, LeftoversAreRemoved) {
    TemporaryDirectory target;
    std::filesystem::create_directories(target / ".longhaul/staging/3");
    const auto plant = [&] {
        for (const char* name : {"3/b-1-1-0.1", "b-2-1-0.1", "o-1", "d-1"})
            put_file(target / (std::string(".longhaul/staging/") + name), "x");
        const timespec old[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
        for (const char* name : {"o-1", "d-1"})
            ASSERT_EQ(
                utimensat(AT_FDCWD, (target / (std::string(".longhaul/staging/") + name)).c_str(), old, 0),
                0);
    };
    plant();
    Rig rig;
    ASSERT_TRUE(rig->open_store(2, target.path(), StoreRole::target).ok());
    EXPECT_EQ(staged(target.path()), (std::vector<std::string>{"d-1", "o-1"}));
    plant();
    Rig second;
    ASSERT_TRUE(second->open_store(2, target.path(), StoreRole::target).ok());
    EXPECT_EQ(staged(target.path()), (std::vector<std::string>{"b-1-1-0.1", "b-2-1-0.1", "d-1", "o-1"}));
}

// A writer destroyed before finish leaves no staged file of its own and keeps the ranges of objects.
TEST(Abort, WriterBeforeFinish) {
    TemporaryDirectory source, target;
    put_file(source / "large", std::string(200'000, 'l'));
    put_file(source / "small", std::string(1000, 's'));
    put_file(source / "object", std::string(100'000, 'o'));
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("large");
    maker.file("small");
    maker.range("object", {1, 1}, 0, 100'000);
    const wire::Manifest manifest = maker.take();
    for (const bool in_flight : {false, true}) {
        auto opened = rig->open_writer(manifest);
        ASSERT_TRUE(opened.ok());
        auto writer = std::move(opened).value();
        std::uint64_t token = 0;
        for (std::uint64_t at = 0; at < manifest.payload_bytes; at += kStripeBytes) {
            token = rig.next_token();
            writer->write(at,
                          rig.block(at / kStripeBytes)
                              .first(std::min<std::uint64_t>(kStripeBytes, manifest.payload_bytes - at)),
                          token);
        }
        if (in_flight)
            rig->submit();
        else
            rig.until(
                [&] {
                    return rig->stats().operations_in_flight == 0 && rig.seen(Event::Kind::write_done, token);
                },
                "writes");
        writer.reset();
        rig.events.clear();
        rig.settle();
        EXPECT_TRUE(rig.events.empty());
        for (const std::string& name : staged(target.path()))
            EXPECT_TRUE(name.starts_with("o-")) << name;
        EXPECT_EQ(names_in(target.path()), std::vector<std::string>{".longhaul"});
    }
    EXPECT_EQ(rig.transfer(manifest).last.failed_entries, 0u);  // and the same bundle can be offered again
    EXPECT_EQ(get_file(target / "large"), std::string(200'000, 'l'));
}

// A writer destroyed while its bundle is flushed or published: each file is whole or absent, staging ends
// empty.
TEST(Abort, WriterDuringFinish) {
    for (int turns = 0; turns < 12; ++turns) {
        SCOPED_TRACE(turns);
        TemporaryDirectory source, target;
        for (int i = 0; i < 40; ++i)
            put_file(source / ("f" + std::to_string(i)), std::string(3000, static_cast<char>('a' + i % 26)));
        Rig rig;
        rig.open(source.path(), target.path());
        ManifestMaker maker(source.path(), 2);
        maker.tree();
        const wire::Manifest manifest = maker.take();
        std::vector<std::uint8_t> payload;
        const wire::Trailer trailer = rig.read_all(manifest, payload);
        auto opened = rig->open_writer(manifest);
        ASSERT_TRUE(opened.ok());
        auto writer = std::move(opened).value();
        std::vector<std::uint64_t> tokens;
        for (std::uint64_t at = 0; at < payload.size(); at += kStripeBytes) {
            const std::uint64_t bytes = std::min<std::uint64_t>(kStripeBytes, payload.size() - at);
            std::memcpy(rig.block(at / kStripeBytes).data(), payload.data() + at, bytes);
            tokens.push_back(rig.next_token());
            writer->write(at, rig.block(at / kStripeBytes).first(bytes), tokens.back());
        }
        for (const auto token : tokens)
            rig.until([&] { return rig.seen(Event::Kind::write_done, token); }, "write_done");
        writer->finish(trailer, 999'999);
        for (int i = 0; i < turns * turns; ++i)
            rig.turn();
        writer.reset();
        rig.settle();
        EXPECT_TRUE(staged(target.path()).empty());
        for (const std::string& name : names_in(target.path())) {
            if (name != ".longhaul") {
                EXPECT_EQ(get_file(target / name), get_file(source / name));
            }
        }
    }
}

// A reader destroyed with reads in flight: no event comes, and its memory is never written again.
TEST(Abort, ReaderInFlight) {
    TemporaryDirectory source, target;
    Random random(31);
    for (int i = 0; i < 8; ++i)
        put_file(source / ("f" + std::to_string(i)), random_bytes(random, 1u << 20));
    StorageConfig config;
    config.queue_depth = 8;
    config.files_open_max = 3;
    Rig rig(config);
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.tree();
    const wire::Manifest manifest = maker.take();
    for (int turns = 0; turns < 10; ++turns) {
        auto opened = rig->open_reader(1, manifest);
        ASSERT_TRUE(opened.ok());
        auto reader = std::move(opened).value();
        for (std::size_t i = 0; i < rig.blocks(); ++i)
            reader->read(i * kStripeBytes, rig.block(i).first(kStripeBytes), i);
        for (int i = 0; i < turns; ++i)
            rig.turn();
        reader.reset();
        for (std::size_t i = 0; i < rig.blocks(); ++i)
            std::memset(rig.block(i).data(), 0x5a, Rig::kStride);
        rig.events.clear();
        rig.settle();
        EXPECT_TRUE(rig.events.empty() || turns > 0);
        for (std::size_t i = 0; i < rig.blocks(); ++i) {
            for (const std::uint8_t byte : rig.block(i))
                ASSERT_EQ(byte, 0x5a);
        }
        EXPECT_EQ(rig->stats().operations_in_flight, 0u);
    }
    std::vector<std::uint8_t> payload;
    for (const auto& verdict : rig.read_all(manifest, payload).verdicts)
        EXPECT_EQ(verdict.reason, FailReason::none);
}

// The storage itself may be destroyed with everything in work: it waits, and readers and writers may go
// afterwards.
TEST(Abort, StorageFirst) {
    TemporaryDirectory source, target;
    put_file(source / "f", std::string(1u << 20, 'f'));
    std::unique_ptr<BundleReader> reader;
    std::unique_ptr<BundleWriter> writer;
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("f");
    const wire::Manifest manifest = maker.take();
    reader = std::move(rig->open_reader(1, manifest)).value();
    writer = std::move(rig->open_writer(manifest)).value();
    for (std::size_t i = 0; i < 8; ++i) {
        reader->read(i * kStripeBytes, rig.block(i).first(kStripeBytes), i);
        writer->write(i * kStripeBytes, rig.block(20 + i).first(kStripeBytes), 100 + i);
    }
    rig->submit();
    rig.storage.reset();
    reader.reset();
    writer.reset();
    EXPECT_TRUE(staged(target.path()).empty());
}

// Bundles on a closed store end as failed(store_closed), readers with that verdict.
TEST(Stores, ClosedUnderBundles) {
    TemporaryDirectory source, target;
    put_file(source / "f", std::string(3 * kStripeBytes, 'f'));
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("f");
    const wire::Manifest manifest = maker.take();
    auto reader = std::move(rig->open_reader(1, manifest)).value();
    auto writer = std::move(rig->open_writer(manifest)).value();
    const auto step = [&](std::uint64_t stripe) {
        reader->read(stripe * kStripeBytes, rig.block(0).first(kStripeBytes), 2 * stripe + 1);
        writer->write(stripe * kStripeBytes, rig.block(1).first(kStripeBytes), 2 * stripe + 2);
        rig.until(
            [&] {
                return rig.seen(Event::Kind::read_done, 2 * stripe + 1) &&
                       rig.seen(Event::Kind::write_done, 2 * stripe + 2);
            },
            "both");
    };
    step(0);
    rig->close_store(1);
    rig->close_store(2);
    step(1);
    step(2);
    const wire::Trailer trailer = reader->trailer();
    EXPECT_EQ(trailer.verdicts[0].reason, FailReason::store_closed);
    const Outcome outcome = rig.finish(*writer, trailer);
    EXPECT_EQ(outcome.stages, std::vector<Stage>{Stage::failed});
    EXPECT_EQ(outcome.last.reason, FailReason::store_closed);
    EXPECT_EQ(names_in(target.path()), std::vector<std::string>{".longhaul"});
    EXPECT_TRUE(staged(target.path()).empty());
}

// Four bundles read and written at once, interleaved, with a queue of 4 and 4 open files for hundreds of
// them.
TEST(Limits, ManyBundlesFewDescriptors) {
    TemporaryDirectory source, target;
    Random random(41);
    StorageConfig config;
    config.queue_depth = 4;
    config.files_open_max = 4;
    Rig rig(config);
    rig.open(source.path(), target.path());
    constexpr std::size_t kBundles = 4;
    std::vector<wire::Manifest> manifests;
    for (std::size_t b = 0; b < kBundles; ++b) {
        const std::string name = "bundle" + std::to_string(b);
        ASSERT_EQ(mkdir((source / name).c_str(), 0755), 0);
        ManifestMaker maker(source.path(), 2);
        maker.directory(name);
        for (int i = 0; i < 120; ++i) {
            put_file(source / (name + "/f" + std::to_string(i)),
                     random_bytes(random, i % 30 == 0 ? 150'000 : random.below(4000)));
            maker.file(name + "/f" + std::to_string(i));
        }
        manifests.push_back(maker.take());
    }
    for (std::size_t b = 0; b < kBundles; ++b) {  // files in it moved its mtime after the entry was made
        struct stat found {};
        ASSERT_EQ(stat((source / ("bundle" + std::to_string(b))).c_str(), &found), 0);
        manifests[b].entries[0].mtime_ns =
            found.st_mtim.tv_sec * std::int64_t{1'000'000'000} + found.st_mtim.tv_nsec;
    }
    struct Work {
        std::unique_ptr<BundleReader> reader;
        std::unique_ptr<BundleWriter> writer;
        std::uint64_t stripes = 0;
    };
    std::vector<Work> works(kBundles);
    std::size_t block = 0;
    std::vector<std::tuple<std::size_t, std::uint64_t, std::size_t, std::uint64_t>>
        pieces;  // bundle, offset, block, bytes
    for (std::size_t b = 0; b < kBundles; ++b) {
        works[b].reader = std::move(rig->open_reader(1, manifests[b])).value();
        works[b].writer = std::move(rig->open_writer(manifests[b])).value();
        for (std::uint64_t at = 0; at < manifests[b].payload_bytes; at += kStripeBytes, ++block)
            pieces.emplace_back(b, at, block,
                                std::min<std::uint64_t>(kStripeBytes, manifests[b].payload_bytes - at));
    }
    ASSERT_LE(block, rig.blocks());
    std::stable_sort(pieces.begin(), pieces.end(),
                     [](const auto& a, const auto& b) { return std::get<1>(a) < std::get<1>(b); });
    for (const auto& [b, at, index, bytes] : pieces)
        works[b].reader->read(at, rig.block(index).first(bytes), index);
    for (const auto& piece : pieces)
        rig.until([&] { return rig.seen(Event::Kind::read_done, std::get<2>(piece)); }, "read_done");
    std::reverse(pieces.begin(), pieces.end());
    for (const auto& [b, at, index, bytes] : pieces)
        works[b].writer->write(at, rig.block(index).first(bytes), index);
    for (const auto& piece : pieces)
        rig.until([&] { return rig.seen(Event::Kind::write_done, std::get<2>(piece)); }, "write_done");
    for (std::size_t b = 0; b < kBundles; ++b)
        works[b].writer->finish(works[b].reader->trailer(), 1000 + b);
    const auto published = [&](std::uint64_t token) {
        return std::any_of(rig.events.begin(), rig.events.end(), [&](const Event& event) {
            return event.kind == Event::Kind::bundle_stage && event.token == token &&
                   event.status.stage == Stage::published && event.status.failed_entries == 0;
        });
    };
    for (std::size_t b = 0; b < kBundles; ++b)
        rig.until([&] { return published(1000 + b); }, "published");
    EXPECT_EQ(describe(source.path()), describe(target.path()));
    EXPECT_TRUE(staged(target.path()).empty());
    EXPECT_GE(rig->stats().file_system_flushes, 1u);
    EXPECT_LE(rig->stats().file_system_flushes, 2 * kBundles);  // their data; their two directories
    EXPECT_EQ(rig->stats().files_published, kBundles * 120);
}

// No more than files_open_max files are open at any turn, seen from outside: /proc/self/fd.
TEST(Limits, OpenFilesAreBounded) {
    TemporaryDirectory source, target;
    for (int i = 0; i < 200; ++i)
        put_file(source / ("f" + std::to_string(i)), std::string(2000, 'x'));
    StorageConfig config;
    config.files_open_max = 5;
    Rig rig(config);
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.tree();
    const wire::Manifest manifest = maker.take();
    const auto open_now = [] { return names_in("/proc/self/fd").size(); };
    const std::size_t before = open_now();
    auto reader = std::move(rig->open_reader(1, manifest)).value();
    for (std::uint64_t at = 0, i = 0; at < manifest.payload_bytes; at += kStripeBytes, ++i)
        reader->read(
            at, rig.block(i).first(std::min<std::uint64_t>(kStripeBytes, manifest.payload_bytes - at)), i);
    std::size_t most = 0;
    rig.until(
        [&] {
            most = std::max(most, open_now());
            return rig->idle();
        },
        "idle");
    EXPECT_LE(most, before + 5);
    EXPECT_EQ(open_now(), before);  // every file is closed after its last byte
    for (const auto& verdict : reader->trailer().verdicts)
        EXPECT_EQ(verdict.reason, FailReason::none);
}

// A thousand failures: all are counted, the first 64 are listed.
TEST(Limits, FailuresListed) {
    TemporaryDirectory source, target;
    put_file(source / "f", "f");
    Rig rig;
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    for (int i = 0; i < 1000; ++i)
        maker.file("f");
    const Outcome outcome =
        rig.transfer(maker.take(), 1, [](std::vector<std::uint8_t>&, wire::Trailer& trailer) {
            for (auto& verdict : trailer.verdicts)
                verdict = {FailReason::source_io, 0};
        });
    EXPECT_EQ(outcome.last.stage, Stage::published);
    EXPECT_EQ(outcome.last.failed_entries, 1000u);
    EXPECT_EQ(outcome.last.failures.size(), wire::kFailuresListed);
    EXPECT_EQ(names_in(target.path()), std::vector<std::string>{".longhaul"});
}

}  // namespace
}  // namespace longhaul::storage::test
