// Sweeps of real trees: what cannot be read is never taken for deleted, and nothing outside the root is
// looked at.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "control/capture/holes.h"
#include "control/capture/sweep.h"
#include "control/state/schema.h"
#include "dataplane/wire/attributes.h"

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
    // Until the youngest ctime means something; the deadline is for a clock that stands still.
    static void let_ctimes_settle() {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        const auto quiet_at = std::chrono::system_clock::now() + std::chrono::nanoseconds(2 * kRacyNs);
        while (std::chrono::system_clock::now() < quiet_at && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    // What a sweep yields: path -> stands there.
    std::map<std::string, bool> look(const std::string& beneath = {}) {
        std::map<std::string, bool> found;
        const SweepSink sink = [&](std::vector<Observation>&& seen, const SweepResult&) {
            for (auto& observation : seen) {
                order.push_back(observation.path);
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
        request.threads = threads;
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
    std::size_t threads = 1;
    std::vector<std::string> order;  // in which the sweeps handed in
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

// Attributes are read of what changed; setting one is a change of metadata only, of a file or of a directory, whose ctime
// means nothing else; what does not travel is not seen. An older program's row makes no difference by itself.
TEST_F(Capture, FindsChangedAttributes) {
    write("d/f", "1");
    write("plain", "1");
    const auto give = [&](const char* path, const char* name) {
        ASSERT_EQ(setxattr((source + "/" + path).c_str(), name, "value", 5, 0), 0) << name;
    };
    give("d/f", "user.first");
    let_ctimes_settle();
    publish_all();
    EXPECT_EQ(last["d/f"].attributes, wire::write_attributes({{"user.first", "value"}}));
    EXPECT_EQ(last["plain"].print.attributes, 0u);
    EXPECT_TRUE(look().empty());

    give("d/f", "user.second");
    give("d", "user.of-a-directory");
    EXPECT_EQ(look(), (std::map<std::string, bool>{{"d", true}, {"d/f", true}}));
    for (const char* path : {"d", "d/f"}) {
        const auto record = store->object(1, path);
        EXPECT_EQ(difference(&*record, &last[path]), Difference::metadata) << path;
    }
    publish_all();
    EXPECT_TRUE(look().empty());

    auto unknown = last["plain"].print;
    unknown.attributes = kAttributesUnknown;
    store->object_published(1, "plain", unknown, "");
    store->commit();
    EXPECT_TRUE(look().empty());
    give("plain", "user.since");
    EXPECT_EQ(look().size(), 1u);
}

// A sweep reads attributes from where its thread is: of each in its own directory, also after it was beneath others, and
// the thread is where it was when the sweep has ended.
TEST_F(Capture, ReadsAttributesInEveryDirectoryAndComesBack) {
    const std::string here = fs::current_path();
    const std::vector<std::string> paths{"a", "d/a", "d/e/a", "d/e/z", "d/z", "z"};
    for (const auto& path : paths) {
        write(path, "bytes");
        if (setxattr((source + "/" + path).c_str(), "user.path", path.data(), path.size(), 0) != 0)
            GTEST_SKIP() << "this file system has no attributes";
    }
    let_ctimes_settle();
    look();
    for (const auto& path : paths)
        EXPECT_NE(last.at(path).attributes.find(path), std::string::npos) << path;
    EXPECT_EQ(fs::current_path(), here);
    last.clear();
    look("d/e");
    EXPECT_NE(last.at("d/e/z").attributes.find("d/e/z"), std::string::npos);
    EXPECT_EQ(fs::current_path(), here);
}

// Whatever the shape of the tree, threads that share it find what one finds, each of it once, and a directory before what
// is in it: what is new, what has changed, what has gone with its directory or without.
TEST_F(Capture, ThreadsFindWhatOneFinds) {
    const auto add = [&](const std::string& path) { std::ofstream(source + "/" + path) << path; };
    for (const char* wide :
         {"wide", "wide!", "wide/deep/er"}) {  // '!' sorts between a directory and what is in it
        fs::create_directories(source + "/" + wide);
        for (int i = 0; i < 1500; ++i)
            add(std::string(wide) + "/f" + std::to_string(i));
    }
    for (int d = 0; d < 300; ++d) {
        const std::string directory = "wide/deep/many-" + std::to_string(d);
        fs::create_directories(source + "/" + directory + "/sub");
        for (int i = 0; i < 4; ++i)
            add(directory + (i % 2 == 0 ? "/f" : "/sub/f") + std::to_string(i));
    }
    let_ctimes_settle();
    publish_all();
    ASSERT_GT(result.objects, 6000u);
    ASSERT_TRUE(look().empty());
    for (int d = 0; d < 300; d += 3)
        fs::remove_all(source + "/wide/deep/many-" + std::to_string(d) + (d % 2 == 0 ? "" : "/sub"));
    for (int i = 0; i < 1500; i += 7) {
        fs::remove(source + "/wide/f" + std::to_string(i));
        add("wide!/new-" + std::to_string(i));
        fs::resize_file(source + "/wide/deep/er/f" + std::to_string(i), 1);
    }
    let_ctimes_settle();
    for (const char* beneath : {"", "wide"}) {
        threads = 1;
        order.clear();
        const auto alone = look(beneath);
        const auto looked_at = result.objects;
        const std::size_t handed_in = order.size();
        EXPECT_GT(alone.size(), *beneath == '\0' ? 1000u : 700u);
        for (int round = 0; round < 5; ++round) {
            threads = 4;
            order.clear();
            EXPECT_EQ(look(beneath), alone);
            EXPECT_EQ(order.size(), handed_in);
            EXPECT_TRUE(result.clean) << result.problem;
            EXPECT_EQ(result.objects, looked_at);
        }
    }
    fs::remove_all(base + "/state.sqlite");  // everything is new to it: what is in a directory comes after it
    store = std::move(StateStore::open(base + "/new.sqlite")).value();
    order.clear();
    const auto all = look();
    EXPECT_EQ(order.size(), all.size());
    std::set<std::string> met{""};
    for (const auto& path : order) {
        const auto slash = path.rfind('/');
        EXPECT_TRUE(met.contains(slash == std::string::npos ? "" : path.substr(0, slash))) << path;
        met.insert(path);
    }
}

// More than may travel: the object is named, the sweep proves nothing, and nothing is taken for deleted.
TEST_F(Capture, TooManyAttributesAreNamed) {
    source = "/dev/shm/longhaul-capture-" + std::to_string(getpid());
    fs::create_directory(source);
    write("heavy", "1");
    bool refused = false;
    for (int i = 0; i < 3 && !refused; ++i)
        refused = setxattr((source + "/heavy").c_str(), ("user." + std::to_string(i)).c_str(),
                           std::string(60'000, 'x').data(), 60'000, 0) != 0;
    if (!refused) {
        EXPECT_TRUE(look().empty());
        EXPECT_FALSE(result.clean);
        EXPECT_NE(result.problem.find("heavy"), std::string::npos) << result.problem;
        EXPECT_NE(result.problem.find("128 KiB"), std::string::npos) << result.problem;
    }
    fs::remove_all(source);
    if (refused) GTEST_SKIP() << "this kernel's tmpfs keeps no attributes of this size";
}

// Holes of a sparse file are found in whole blocks; a dense file has none, and of another version nothing is claimed.
TEST_F(Capture, FindsHoles) {
    constexpr std::uint64_t kMebibyte = 1 << 20;
    write("dense", std::string(kMebibyte, 'd'));
    const auto sparse = [&](const std::string& name, std::uint64_t size,
                            const std::vector<std::uint64_t>& data) {
        const int fd = open((source + "/" + name).c_str(), O_WRONLY | O_CREAT, 0644);
        ASSERT_EQ(ftruncate(fd, static_cast<off_t>(size)), 0);
        for (const std::uint64_t at : data)
            ASSERT_EQ(pwrite(fd, "data", 4, static_cast<off_t>(at)), 4);
        close(fd);
    };
    sparse("middle", 10 * kMebibyte, {0, 5 * kMebibyte + 10});
    sparse("hollow", 3 * kMebibyte + 5, {});
    sparse("tail", 2 * kMebibyte + 100, {2 * kMebibyte + 50});
    look();
    const auto covered = [&](const char* path) {
        std::uint64_t bytes = 0;
        for (const RangeRecord& hole : last[path].holes) {
            EXPECT_EQ(hole.offset % 4096, 0u) << path;
            bytes += hole.length;
        }
        return bytes;
    };
    EXPECT_TRUE(last["dense"].holes.empty());
    if (covered("hollow") == 0) GTEST_SKIP() << "this file system does not tell holes";
    EXPECT_EQ(covered("hollow"), 3 * kMebibyte + 5);
    EXPECT_GE(covered("middle"), 10 * kMebibyte - 2 * 65'536);
    EXPECT_EQ(last["middle"].holes.size(), 2u);
    EXPECT_LT(covered("tail"), 2 * kMebibyte + 50);
    EXPECT_GE(covered("tail"), 2 * kMebibyte - 65'536);

    const int fd = open((source + "/middle").c_str(), O_RDONLY);
    auto other = last["middle"].print;
    EXPECT_EQ(holes_of(fd, other).size(), 2u);
    other.ctime_ns += 1;
    EXPECT_TRUE(holes_of(fd, other).empty());
    close(fd);
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
