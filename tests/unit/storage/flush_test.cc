// What a target flushes before it publishes: each file by itself, or all bundles that wait with one syncfs; and that a
// flush which fails publishes nothing.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/storage/flusher.h"
#include "drivers/storage/publisher.h"
#include "drivers/storage/store.h"
#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

wire::Manifest files(const TemporaryDirectory& source, int count) {
    Random random(static_cast<std::uint64_t>(count));
    ManifestMaker maker(source.path(), 2);
    for (int i = 0; i < count; ++i) {
        const std::string name = "f" + std::to_string(i);
        put_file(source / name, random_bytes(random, i == 0 ? 0 : 2000));  // an empty one is staged, too
        maker.file(name);
    }
    return maker.take();
}

TEST(Flush, FewFilesOneByOne) {
    TemporaryDirectory source, target;
    Rig rig;
    const wire::Manifest manifest = files(source, 31);
    rig.open(source.path(), target.path());
    EXPECT_EQ(rig.transfer(manifest).last.failed_entries, 0u);
    EXPECT_EQ(rig->stats().fdatasyncs, 31u);
    EXPECT_EQ(rig->stats().file_system_flushes, 0u);
}

TEST(Flush, ManyFilesTogether) {
    TemporaryDirectory source, target;
    Rig rig;
    const wire::Manifest manifest = files(source, 32);
    rig.open(source.path(), target.path());
    EXPECT_EQ(rig.transfer(manifest).last.failed_entries, 0u);
    EXPECT_EQ(rig->stats().file_system_flushes, 1u);
    EXPECT_EQ(rig->stats().fdatasyncs, 1u);  // the empty one, which is created by being flushed
    EXPECT_EQ(rig->stats().files_published, 32u);
    EXPECT_EQ(describe(source.path()), describe(target.path()));
    EXPECT_TRUE(staged(target.path()).empty());
}

// Bundles of one staged file each, "one" and "two" for the target's root, on their way through both threads.
struct Staged {
    TemporaryDirectory target;
    std::shared_ptr<Store> store;
    std::vector<std::shared_ptr<FlushJob>> flushes;
    std::vector<std::shared_ptr<PublishJob>> jobs;
    std::vector<std::string> done;

    explicit Staged(int staging_flags) {
        auto opened = open_store_directory(linux_disk(), 2, target.path(), StoreRole::target, 3600, false);
        EXPECT_TRUE(opened.ok());
        store = std::move(opened).value();
        store->staging = UniqueFd(linux_disk(), ::open((target / ".longhaul/staging").c_str(),
                                                       staging_flags | O_DIRECTORY | O_CLOEXEC));
        EXPECT_TRUE(store->staging);
        for (const std::string name : {"one", "two"}) {
            put_file(target / (".longhaul/staging/b-" + name), "12345");
            wire::Manifest manifest;
            wire::Entry entry;
            entry.kind = wire::EntryKind::file;
            entry.path = name;
            entry.size = 5;
            entry.mode = 0644;
            entry.uid = ::geteuid();
            entry.gid = ::getegid();
            manifest.entries.push_back(entry);
            auto flush = std::make_shared<FlushJob>();
            flush->store = store;
            flush->manifest = std::make_shared<const wire::Manifest>(manifest);
            flush->staged = {"b-" + name};
            flush->reasons = {wire::FailReason::none};
            auto job = std::make_shared<PublishJob>();
            job->store = store;
            job->manifest = flush->manifest;
            job->staged = flush->staged;
            job->flushed_together = true;
            job->done = [this, name](PublishJob&) { done.push_back(name); };
            flush->done = [this, job](FlushJob& flushed) {
                job->reasons = flushed.reasons;
                jobs.push_back(job);
            };
            flushes.push_back(std::move(flush));
        }
    }
    void publish_all() {
        Flusher flusher(Helping::on_its_thread);
        for (const auto& flush : flushes)
            flusher.start(flush);
        flusher.finish_all();
        flusher.collect();
        ASSERT_EQ(jobs.size(), flushes.size());
        Publisher publisher(Helping::on_its_thread);
        for (const auto& job : jobs)
            publisher.start(job);
        publisher.finish_all();
        publisher.collect();
    }
};

// Metadata too: what the publisher finds is ready, and only renamed.
TEST(Flush, ComesBeforeTheRenameAndIsShared) {
    Staged staged(O_RDONLY);
    staged.publish_all();
    EXPECT_EQ(staged.done, (std::vector<std::string>{"one", "two"}));
    std::uint64_t flushes = 0;
    for (const auto& flush : staged.flushes) {
        EXPECT_TRUE(flush->flushed);
        EXPECT_EQ(flush->reasons[0], wire::FailReason::none);
        flushes += flush->file_system_flushes;
    }
    for (const auto& job : staged.jobs)
        EXPECT_EQ(job->reasons[0], wire::FailReason::none);
    EXPECT_GE(flushes, 1u);
    EXPECT_LE(flushes, 2u);
    EXPECT_EQ(get_file(staged.target / "one"), "12345");
    EXPECT_EQ(get_file(staged.target / "two"), "12345");
    struct stat found {};
    ASSERT_EQ(::stat((staged.target / "one").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0644u);
}

// Of another size than its entry says, or gone: named before anything is renamed.
TEST(Flush, AFileThatIsNotWhatItShouldBeFailsAlone) {
    Staged staged(O_RDONLY);
    put_file(staged.target / ".longhaul/staging/b-one", "123456");
    staged.publish_all();
    EXPECT_EQ(staged.jobs[0]->reasons[0], wire::FailReason::integrity);
    EXPECT_FALSE(exists(staged.target / "one"));
    EXPECT_EQ(get_file(staged.target / "two"), "12345");
}

// A descriptor that names the directory and cannot be flushed: renames would work.
TEST(Flush, ThatFailsPublishesNothing) {
    Staged staged(O_PATH);
    staged.publish_all();
    EXPECT_EQ(staged.done.size(), 2u);
    for (const auto& job : staged.jobs) {
        EXPECT_NE(job->reasons[0], wire::FailReason::none);
        EXPECT_EQ(job->files_published, 0u);
    }
    EXPECT_FALSE(exists(staged.target / "one"));
    EXPECT_FALSE(exists(staged.target / "two"));
    EXPECT_TRUE(storage::test::staged(staged.target.path()).empty());
    EXPECT_GE(staged.store->flush_failures, 1u);
}

// The kernel tells of a lost page once. Whoever heard of it failed; the bundles that were open then must not believe
// the flush that follows, and those that began later may.
TEST(Flush, AfterOneThatFailedOpenBundlesFail) {
    Staged staged(O_RDONLY);
    staged.store->flush_failures = 1;
    staged.flushes[1]->flush_failures = 1;
    staged.publish_all();
    EXPECT_EQ(staged.jobs[0]->reasons[0], wire::FailReason::target_io);
    EXPECT_FALSE(exists(staged.target / "one"));
    EXPECT_EQ(staged.jobs[1]->reasons[0], wire::FailReason::none);
    EXPECT_EQ(get_file(staged.target / "two"), "12345");
}

TEST(Flush, SlowOnesAreAvoidedForAWhile) {
    TemporaryDirectory source, target;
    const wire::Manifest manifest = files(source, 40);
    auto opened = open_store_directory(linux_disk(), 2, target.path(), StoreRole::target, 3600, false);
    ASSERT_TRUE(opened.ok());
    opened.value()->flush_singly = 2;
    for (const bool together : {false, false, true, true})
        EXPECT_EQ(may_flush_together(manifest, *opened.value()), together);
    wire::Manifest few = manifest;
    few.entries.resize(31);
    EXPECT_FALSE(may_flush_together(few, *opened.value()));
}

}  // namespace
}  // namespace longhaul::storage::test
