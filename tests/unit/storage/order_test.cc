// Bundles published in order: staged means invisible, and the last door before the disk keeps the order whoever asks.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "drivers/storage/order.h"
#include "drivers/storage/store.h"
#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;
using wire::OrderPlace;
using wire::Stage;

// A target and bundles of it that are written and finished, but not released.
class Order : public ::testing::Test {
  protected:
    void SetUp() override {
        for (const char* name : {"one", "two", "three"})
            put_file(source_ / name, std::string("content of ") + name);
        rig_.open(source_.path(), target_.path());
    }

    wire::Manifest bundle(OrderPlace place, const std::vector<std::string>& files) {
        ManifestMaker maker(source_.path(), 2);
        for (const auto& file : files)
            maker.file(file);
        return placed(maker, place);
    }
    static wire::Manifest placed(ManifestMaker& maker, OrderPlace place) {
        static std::uint64_t ids = 1000;
        wire::Manifest manifest = maker.take();
        manifest.id = {9, ++ids};
        manifest.publish = wire::PublishRule::in_order;
        manifest.place = place;
        return manifest;
    }

    struct Staged {
        std::unique_ptr<BundleWriter> writer;
        std::uint64_t token = 0;
        OrderPlace position;
    };
    Staged stage(const wire::Manifest& manifest, FailReason first = FailReason::none) {
        std::vector<std::uint8_t> payload;
        wire::Trailer trailer = rig_.read_all(manifest, payload);
        if (first != FailReason::none) trailer.verdicts[0].reason = first;
        Staged staged;
        staged.writer = std::move(rig_->open_writer(manifest)).value();
        if (!payload.empty()) {
            std::memcpy(rig_.block(0).data(), payload.data(), payload.size());
            const auto token = rig_.next_token();
            staged.writer->write(0, rig_.block(0).first(payload.size()), token);
            rig_.until([&] { return rig_.seen(Event::Kind::write_done, token); }, "write_done");
        }
        staged.token = rig_.next_token();
        staged.writer->finish(trailer, staged.token);
        rig_.until([&] { return rig_.seen(Event::Kind::staged, staged.token); }, "staged");
        for (const auto& event : rig_.events)
            if (event.kind == Event::Kind::staged && event.token == staged.token) {
                staged.position = event.position;
                EXPECT_EQ(event.store, 2u);
            }
        return staged;
    }
    Event release(Staged& staged) {
        rig_.events.clear();
        staged.writer->release();
        Event last;
        rig_.until(
            [&] {
                for (const auto& event : rig_.events)
                    if (event.kind == Event::Kind::bundle_stage && event.token == staged.token) last = event;
                return last.status.stage == Stage::published || last.status.stage == Stage::failed;
            },
            "the last stage");
        return last;
    }
    std::vector<std::string> visible() const {
        auto names = names_in(target_.path());
        std::erase(names, ".longhaul");
        return names;
    }

    TemporaryDirectory source_, target_;
    Rig rig_;
};

// Many small files are flushed with one syncfs before they are said to be staged: nothing is visible yet.
TEST_F(Order, ManyFilesAreFlushedTogetherBeforeTheyAreStaged) {
    std::vector<std::string> names;
    for (int i = 0; i < 32; ++i) {
        names.push_back("many" + std::to_string(i));
        put_file(source_ / names.back(), std::string(2000, 'm'));
    }
    Staged first = stage(bundle({1, 1}, names));
    EXPECT_EQ(rig_->stats().file_system_flushes, 1u);
    EXPECT_EQ(rig_->stats().fdatasyncs, 0u);
    EXPECT_EQ(rig_->stats().files_published, 0u);
    EXPECT_EQ(staged(target_.path()).size(), 32u);
    EXPECT_EQ(release(first).status.stage, Stage::published);
    EXPECT_EQ(rig_->stats().files_published, 32u);
    EXPECT_EQ(staged(target_.path()), std::vector<std::string>{"order"});
    for (const std::string& name : names)
        EXPECT_EQ(get_file(target_ / name), std::string(2000, 'm'));
}

// Given up while its flush is under way: nothing of it stays.
TEST_F(Order, AWriterThatGoesDuringItsFlushLeavesNothing) {
    std::vector<std::string> names;
    for (int i = 0; i < 40; ++i) {
        names.push_back("many" + std::to_string(i));
        put_file(source_ / names.back(), std::string(2000, 'm'));
    }
    for (int turns = 0; turns < 12; ++turns) {
        SCOPED_TRACE(turns);
        const wire::Manifest manifest = bundle({1, 1}, names);
        std::vector<std::uint8_t> payload;
        const wire::Trailer trailer = rig_.read_all(manifest, payload);
        auto writer = std::move(rig_->open_writer(manifest)).value();
        std::memcpy(rig_.block(0).data(), payload.data(), payload.size());
        const auto token = rig_.next_token();
        writer->write(0, rig_.block(0).first(payload.size()), token);
        rig_.until([&] { return rig_.seen(Event::Kind::write_done, token); }, "write_done");
        writer->finish(trailer, rig_.next_token());
        for (int i = 0; i < turns * turns; ++i)
            rig_.turn();
        writer.reset();
        rig_.settle();
        EXPECT_TRUE(staged(target_.path()).empty());
        EXPECT_EQ(names_in(target_.path()), std::vector<std::string>{".longhaul"});
    }
}

TEST_F(Order, StagedIsInvisibleUntilReleased) {
    auto first = stage(bundle({1, 1}, {"one", "two"}));
    EXPECT_EQ(first.position, OrderPlace{});
    EXPECT_TRUE(visible().empty());
    const auto event = release(first);
    EXPECT_EQ(event.status.stage, Stage::published);
    EXPECT_TRUE(event.place_taken);
    EXPECT_EQ(visible(), (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(get_file(target_ / "one"), "content of one");
    auto second = stage(bundle({1, 2}, {"three"}));
    EXPECT_EQ(second.position, (OrderPlace{1, 1}));
    EXPECT_EQ(release(second).status.stage, Stage::published);
}

// Whoever releases the second before the first is refused, nothing of it is seen, and it can come again.
TEST_F(Order, TheDoorKeepsTheOrder) {
    auto second = stage(bundle({1, 2}, {"two"}));
    auto refused = release(second);
    EXPECT_EQ(refused.status.stage, Stage::failed);
    EXPECT_EQ(refused.status.reason, FailReason::superseded);
    EXPECT_FALSE(refused.place_taken);
    EXPECT_TRUE(visible().empty());
    EXPECT_EQ(rig_->stats().order_refusals, 1u);
    auto first = stage(bundle({1, 1}, {"one"}));
    EXPECT_TRUE(release(first).place_taken);
    auto again = stage(bundle({1, 1}, {"three"}));  // the same place twice
    EXPECT_EQ(release(again).status.stage, Stage::failed);
    auto later = stage(bundle({2, 2}, {"three"}));  // a new run begins with 1
    EXPECT_EQ(release(later).status.stage, Stage::failed);
    auto run = stage(bundle({2, 1}, {"two"}));
    EXPECT_TRUE(release(run).place_taken);
    auto old = stage(bundle({1, 2}, {"three"}));  // of the run before
    EXPECT_EQ(release(old).status.stage, Stage::failed);
    EXPECT_EQ(visible(), (std::vector<std::string>{"one", "two"}));
    rig_.settle();
    EXPECT_EQ(staged(target_.path()), (std::vector<std::string>{"order"}));
}

// The first hard failure hides what is behind it and leaves the place free; what the source replaced or lost meanwhile
// is passed over.
TEST_F(Order, AHardFailureStopsThere) {
    auto blocked = stage(bundle({1, 1}, {"one", "two"}), FailReason::source_io);
    auto event = release(blocked);
    EXPECT_EQ(event.status.stage, Stage::published);
    EXPECT_FALSE(event.place_taken);
    EXPECT_EQ(event.status.failed_entries, 2u);
    ASSERT_EQ(event.status.failures.size(), 2u);
    EXPECT_EQ(event.status.failures[1].reason, FailReason::cancelled);
    EXPECT_TRUE(visible().empty());
    for (const auto reason : {FailReason::source_changed, FailReason::source_vanished}) {
        static std::uint64_t run = 1;
        ++run;
        auto passed = stage(bundle({run, 1}, {"one", "two"}), reason);
        event = release(passed);
        EXPECT_TRUE(event.place_taken);
        EXPECT_EQ(event.status.failed_entries, 1u);
        EXPECT_EQ(visible(), (std::vector<std::string>{"two"}));
    }
}

// A directory that the target cannot remove yet does not hold up what follows.
TEST_F(Order, ARemovalMayFail) {
    std::filesystem::create_directories(target_ / "full");
    put_file(target_ / "full/foreign", "x");
    ManifestMaker maker(source_.path(), 2);
    maker.remove("full");
    maker.file("one");
    auto staged = stage(placed(maker, {1, 1}));
    const auto event = release(staged);
    EXPECT_TRUE(event.place_taken);
    EXPECT_EQ(event.status.failed_entries, 1u);
    EXPECT_TRUE(exists(target_ / "one"));
}

// The mode of a file changes in its turn: not when something before it has failed.
TEST_F(Order, MetadataWaitsForItsTurn) {
    auto first = stage(bundle({1, 1}, {"one"}));
    ASSERT_TRUE(release(first).place_taken);
    struct stat before {
    }, after{};
    ASSERT_EQ(stat((target_ / "one").c_str(), &before), 0);
    ManifestMaker maker(source_.path(), 2);
    maker.file("two");
    maker.metadata("one").mode = 0600;
    auto second = stage(placed(maker, {1, 2}), FailReason::source_io);
    EXPECT_FALSE(release(second).place_taken);
    ASSERT_EQ(stat((target_ / "one").c_str(), &after), 0);
    EXPECT_EQ(before.st_mode, after.st_mode);
}

// A bundle that is let go before its turn leaves nothing, and its place is free.
TEST_F(Order, DiscardedBeforeItsTurn) {
    auto first = stage(bundle({1, 1}, {"one"}));
    first.writer.reset();
    rig_.settle();
    EXPECT_TRUE(visible().empty());
    EXPECT_TRUE(staged(target_.path()).empty());
    auto again = stage(bundle({1, 1}, {"one"}));
    EXPECT_TRUE(release(again).place_taken);
}

// The place survives the process; a file that is damaged says "nothing is known" and a new run may begin.
TEST_F(Order, ThePlaceSurvivesAndDamageIsNoticed) {
    auto first = stage(bundle({7, 1}, {"one"}));
    ASSERT_TRUE(release(first).place_taken);
    first.writer.reset();
    {
        Rig other;
        ASSERT_TRUE(other->open_store(2, target_.path(), StoreRole::target).ok());
        const UniqueFd staging(linux_disk(),
                               ::open((target_ / ".longhaul/staging").c_str(), O_RDONLY | O_DIRECTORY));
        EXPECT_EQ(read_order(linux_disk(), staging.get()), (OrderPlace{7, 1}));
        std::fstream file(target_ / ".longhaul/staging/order", std::ios::in | std::ios::out);
        file.seekp(3);
        file.put('x');
        file.close();
        EXPECT_EQ(read_order(linux_disk(), staging.get()), OrderPlace{});
    }
    auto next = stage(bundle({8, 1}, {"two"}));
    EXPECT_TRUE(release(next).place_taken);
}

// A store that closes while a bundle waits: it fails, nothing becomes visible.
TEST_F(Order, ClosedWhileStaged) {
    auto first = stage(bundle({1, 1}, {"one"}));
    rig_->close_store(2);
    const auto event = release(first);
    EXPECT_EQ(event.status.reason, FailReason::store_closed);
    EXPECT_TRUE(visible().empty());
}

}  // namespace
}  // namespace longhaul::storage::test
