// Sweeps of real trees: what cannot be read is never taken for deleted, and nothing outside the root is
// looked at.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "control/capture/sweep.h"
#include "control/state/schema.h"

namespace longhaul::control {
namespace {

namespace fs = std::filesystem;

class Capture : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = fs::temp_directory_path().string() + "/longhaul-capture-XXXXXX";
        base = mkdtemp(pattern.data());
        chmod(base.c_str(), 0755);
        source = base + "/source";
        fs::create_directory(source);
        store = std::move(StateStore::open(base + "/state.sqlite")).value();
    }
    void TearDown() override {
        store.reset();
        fs::remove_all(base);
    }
    void write(const std::string& path, const std::string& bytes) {
        fs::create_directories(fs::path(source + "/" + path).parent_path());
        std::ofstream(source + "/" + path) << bytes;
    }
    // What a sweep yields: path -> stands there.
    std::map<std::string, bool> look(const std::string& beneath = {}) {
        std::map<std::string, bool> found;
        const SweepSink sink = [&](std::vector<Observation>&& seen, const SweepResult&) {
            for (auto& observation : seen) {
                found[observation.path] = observation.now.has_value();
                if (observation.now) last[observation.path] = *observation.now;
            }
            return true;
        };
        SweepRequest request;
        request.root = source;
        request.state_path = store->path();
        request.dataset = 1;
        request.root_before = root;
        request.objects_before = store->published_totals(1).objects;
        request.beneath = beneath;
        const std::atomic<bool> stop{false};
        result = sweep(request, sink, stop);
        return found;
    }
    void publish_all() {
        for (const auto& [path, there] : look())
            if (there) store->object_published(1, path, last[path].print, last[path].link);
        store->commit();
        root = result.root;
    }

    std::string base, source;
    std::unique_ptr<StateStore> store;
    SweepResult result;
    RootIdentity root;
    std::map<std::string, Observed> last;
};

// Every object is yielded once, in an order that visits a directory before its content; then nothing is left
// to do.
TEST_F(Capture, YieldsDifferencesOnly) {
    for (const char* path : {"a", "a.txt", "b/c", "b/c.d/e", "b-/x", "b0"})
        write(path, path);
    fs::create_symlink("nowhere", source + "/s");
    fs::create_directory(source + "/.longhaul");
    EXPECT_EQ(look().size(), 10u);
    EXPECT_TRUE(result.clean) << result.problem;
    publish_all();
    EXPECT_TRUE(look().empty());
    write("b/c", "more bytes");
    fs::remove_all(source + "/b/c.d");
    const auto found = look();
    EXPECT_EQ(found, (std::map<std::string, bool>{
                         {"b", true}, {"b/c", true}, {"b/c.d", false}, {"b/c.d/e", false}}));
}

// A directory that may not be read: its content stays what it was, the sweep is not clean and says which.
TEST_F(Capture, AnUnreadableDirectoryDeletesNothing) {
    write("closed/deep/kept", "1");
    write("open", "2");
    publish_all();
    ASSERT_EQ(geteuid(), 0u)
        << "this test changes its file system identity and needs root, like the whole suite";
    chmod((source + "/closed").c_str(), 0700);
    for (const auto& entry : fs::directory_iterator(base))
        chmod(entry.path().c_str(), entry.is_directory() ? 0755 : 0666);
    publish_all();
    setfsuid(65'534);  // of this thread only
    const auto found = look();
    setfsuid(0);
    EXPECT_TRUE(found.empty());
    EXPECT_FALSE(result.clean);
    EXPECT_TRUE(result.readable);
    EXPECT_NE(result.problem.find("closed"), std::string::npos);
}

// A sweep beneath one path finds what differs there, and nothing of what sorts or lies beside it.
TEST_F(Capture, SweepsBeneathOnePathOnly) {
    for (const char* path : {"a", "d/old", "d/kept", "d/sub/file", "d.x", "d-/y", "d0", "e"})
        write(path, path);
    publish_all();
    for (const char* path : {"a", "d/kept", "d/new/file", "d.x", "d-/y", "d0", "e"})
        write(path, std::string("other ") + path);
    for (const char* path : {"d/old", "e"})
        fs::remove(source + "/" + path);
    fs::remove_all(source + "/d/sub");
    EXPECT_EQ(look("d"), (std::map<std::string, bool>{{"d", true},
                                                      {"d/kept", true},
                                                      {"d/new", true},
                                                      {"d/new/file", true},
                                                      {"d/old", false},
                                                      {"d/sub", false},
                                                      {"d/sub/file", false}}));
    fs::remove_all(source + "/d");
    EXPECT_EQ(look("d").size(), 5u) << "recorded there, and gone with it";
    EXPECT_EQ(look("e"), (std::map<std::string, bool>{{"e", false}}));
    EXPECT_TRUE(look("never").empty());
    root.inode += 1;
    EXPECT_TRUE(look("d").empty()) << "another root: nothing is taken for removed";
    EXPECT_FALSE(result.clean);
}

// Sockets, devices and fifos are named and do not fail the sweep. Symlinks are objects, never ways.
TEST_F(Capture, NamesWhatItCannotReplicate) {
    write("outside-is-not-seen", "1");
    ASSERT_EQ(mkfifo((source + "/pipe").c_str(), 0600), 0);
    fs::create_directory_symlink(base, source + "/out");
    const auto found = look();
    EXPECT_EQ(found.size(), 2u);
    EXPECT_TRUE(result.clean);
    EXPECT_EQ(result.unsupported, std::vector<std::string>{"pipe"});
}

// A single path is looked at beneath the root only, and not at all when the root is another one.
TEST_F(Capture, LooksAgainBeneathTheRootOnly) {
    write("d/f", "1");
    fs::create_directory_symlink(base, source + "/out");
    const auto tree = Tree::open(source);
    const auto seen =
        look_again(source, tree.value().identity(), {"d/f", "d/g", "out/state.sqlite", "../state.sqlite"});
    ASSERT_EQ(seen.size(), 3u) << "the way out of the root is an error, not an answer";
    EXPECT_TRUE(seen[0].now);
    EXPECT_FALSE(seen[1].now);
    EXPECT_FALSE(seen[2].now);
    EXPECT_TRUE(look_again(source, {1, 1}, {"d/f"}).empty());
}

// A state file of the first version is brought up to date: what it did not know has its default, and what is
// written afterwards comes back whole.
TEST_F(Capture, StateOfAnOlderProgramIsMigrated) {
    const std::string path = base + "/older.sqlite";
    {
        auto database = Database::open(path, false);
        ASSERT_TRUE(migrate(database.value(), 1).ok());
        ASSERT_TRUE(database.value()
                        .try_execute(
                            "INSERT INTO datasets (name,source,target_site,target_directory,mode,consistency,"
                            "rpo_target_s,traffic,rescan_s,link,target_store,created) "
                            "VALUES ('old','posix:/a','west','posix:/b',0,0,300,'bulk',10,'',1,1)")
                        .ok());
    }
    auto migrated = StateStore::open(path);
    ASSERT_TRUE(migrated.ok()) << migrated.error().text;
    EXPECT_EQ(migrated.value()->datasets().at(0).spec.weight, 1);
    DatasetRecord record;
    record.spec.name = "new";
    record.spec.weight = 3;
    record.spec.floor_bps = 5;
    record.spec.cap_bps = 6;
    record.spec.expect_change_bps = 7;
    record.spec.expect_burst_bytes = 8;
    migrated.value()->dataset_add(record);
    const auto spec = migrated.value()->datasets().at(1).spec;
    EXPECT_EQ(spec.weight, 3);
    EXPECT_EQ(spec.floor_bps, 5u);
    EXPECT_EQ(spec.cap_bps, 6u);
    EXPECT_EQ(spec.expect_change_bps, 7u);
    EXPECT_EQ(spec.expect_burst_bytes, 8u);
}

// A state file of a newer program is refused, not damaged.
TEST_F(Capture, StateOfANewerProgramIsRefused) {
    const std::string path = base + "/newer.sqlite";
    {
        auto database = Database::open(path, false);
        ASSERT_TRUE(database.value().try_execute("PRAGMA user_version = 99").ok());
    }
    const auto opened = StateStore::open(path);
    ASSERT_FALSE(opened.ok());
    EXPECT_NE(opened.error().text.find("99"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::control
