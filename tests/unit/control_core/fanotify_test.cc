// On the real kernel, in a mount namespace of its own: what changes is heard and published without a sweep, what cannot be
// heard is said to be lost, and a source that is unmounted is neither kept busy nor believed.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <thread>

#include "control/capture/fanotify_feed.h"
#include "tests/unit/control_core/site.h"

namespace longhaul::control {
namespace {

namespace fs = std::filesystem;

// What is mounted from here on is seen by this thread and those that it starts. Empty: done; else why not.
std::string own_mounts() {
    static const std::string problem = [] {
        if (unshare(CLONE_NEWNS) != 0) return std::string("no mount namespace: ") + std::strerror(errno);
        if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
            return std::string("mounts cannot be made private: ") + std::strerror(errno);
        return std::string();
    }();
    return problem;
}

void put(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

// A tmpfs at `source`, with a group or a whole control process over it.
class OnTmpfs : public test::Site {
  protected:
    void SetUp() override {
        Site::SetUp();
        if (const auto problem = own_mounts(); !problem.empty()) GTEST_SKIP() << problem;
        ASSERT_TRUE(mount_source()) << std::strerror(errno);
        config.make_feed = [](const std::string& directory, std::function<void()> wake) {
            return std::make_shared<FanotifyFeed>(directory, std::move(wake));
        };
    }
    void TearDown() override {
        if (ports) ports->attach(nullptr);
        core.reset();
        while (umount2(source.c_str(), MNT_DETACH) == 0) {
        }
        Site::TearDown();
    }
    bool mount_source() {
        return mount("longhaul-test", source.c_str(), "tmpfs", 0, "mode=0755,size=64m") == 0;
    }

    std::unique_ptr<FanotifyGroup> open_group() {
        auto opened = FanotifyGroup::open(source);
        EXPECT_TRUE(opened.ok()) << opened.error().text;
        return opened ? std::move(opened).value() : nullptr;
    }
    // Everything heard by now, by path; of several events of one path the strongest words.
    std::map<std::string, Heard> heard(FanotifyGroup& group, std::string* lost = nullptr) {
        std::map<std::string, Heard> all;
        for (bool more = true; more;) {
            const auto batch = group.read();
            more = batch.more;
            if (lost != nullptr && !batch.lost.empty()) *lost = batch.lost;
            for (const auto& one : batch.paths) {
                auto& known = all.try_emplace(one.path, one).first->second;
                known.whole |= one.whole;
                known.still_written &= one.still_written;
            }
        }
        return all;
    }

    // The replica, once a first sweep has been proven; from then on sweeps are counted.
    void seed() {
        start();
        create();
        ASSERT_TRUE(converged());
        ASSERT_EQ(view().capture.kind, "fanotify") << view().capture.reason;
        sweeps_before = view().sweeps;
        proven = *rpo().watermarks.w_pub;
    }
    DatasetView view() const { return core->dataset("lake").value(); }
    ::testing::AssertionResult followed() {
        if (!eventually([&] { return differences().empty(); }))
            return ::testing::AssertionFailure() << differences();
        if (view().sweeps != sweeps_before) return ::testing::AssertionFailure() << "it took a sweep";
        if (*rpo().watermarks.w_pub != proven)
            return ::testing::AssertionFailure() << "a hint proved something";
        return ::testing::AssertionSuccess();
    }

    std::uint64_t sweeps_before = 0;
    WallNs proven = 0;
};

// Each kind of change names its path of now; what moved whole says so; a file whose writer is at it is still written.
TEST_F(OnTmpfs, EachKindOfChangeIsHeard) {
    fs::create_directories(at("d/moves/deep"));
    put(at("d/old"), "1");
    const auto group = open_group();
    ASSERT_TRUE(group);
    put(at("made"), "1");
    fs::create_directory(at("new"));
    fs::create_symlink("nowhere", at("new/link"));
    fs::rename(at("d/old"), at("d/renamed"));
    fs::rename(at("d/moves"), at("moved"));
    put(at("moved/deep/inside"), "2");
    chmod(at("new").c_str(), 0700);
    const int open_file = open(at("open").c_str(), O_CREAT | O_WRONLY, 0644);
    ASSERT_EQ(::write(open_file, "x", 1), 1);
    auto all = heard(*group);
    for (const char* path : {"made", "new", "new/link", "d/old", "d/renamed", "d/moves", "moved",
                             "moved/deep/inside", "open", "d"})
        EXPECT_TRUE(all.contains(path)) << path;
    EXPECT_FALSE(all["made"].still_written);
    EXPECT_TRUE(all["open"].still_written);
    EXPECT_TRUE(all["moved"].whole && all["d/moves"].whole);
    EXPECT_FALSE(all["new"].whole);
    ::close(open_file);
    fs::remove_all(at("moved"));
    all = heard(*group);
    EXPECT_TRUE(all["moved"].whole);
    EXPECT_FALSE(all["open"].still_written);
}

// What changes elsewhere on the file system, or in our own private directory, is nobody's hint.
TEST_F(OnTmpfs, WhatLiesElsewhereIsNotHinted) {
    fs::create_directories(at("inside"));
    fs::create_directories(at("outside"));
    auto opened = FanotifyGroup::open(at("inside"));
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    put(at("outside/file"), "1");
    put(at("insider"), "1");
    fs::create_directories(at("inside/.longhaul"));
    put(at("inside/.longhaul/file"), "1");
    EXPECT_TRUE(heard(*opened.value()).empty());
    fs::rename(at("outside"), at("inside/came"));
    EXPECT_TRUE(heard(*opened.value())["came"].whole);
    fs::rename(at("inside/came"), at("went"));
    EXPECT_TRUE(heard(*opened.value())["came"].whole);
}

// Nobody reads while more happens than the kernel's queue holds: that is a loss, and afterwards it listens as before.
TEST_F(OnTmpfs, AnOverflowIsSaid) {
    std::size_t limit = 0;
    std::ifstream("/proc/sys/fs/fanotify/max_queued_events") >> limit;
    ASSERT_GT(limit, 0u);
    if (limit > 100'000) GTEST_SKIP() << "fs.fanotify.max_queued_events is " << limit;
    const auto group = open_group();
    ASSERT_TRUE(group);
    for (std::size_t i = 0; i <= limit; ++i)
        ASSERT_EQ(mknod(at("f" + std::to_string(i)).c_str(), S_IFREG | 0644, 0), 0);
    std::string lost;
    heard(*group, &lost);
    EXPECT_NE(lost.find("overflowed"), std::string::npos) << lost;
    lost.clear();
    put(at("after"), "1");
    EXPECT_TRUE(heard(*group, &lost).contains("after"));
    EXPECT_EQ(lost, "");
}

// A watched source is not busy. Once it is gone the mark is, too, also when the same place is mounted again.
TEST_F(OnTmpfs, AWatchedSourceCanBeUnmounted) {
    const auto group = open_group();
    ASSERT_TRUE(group);
    EXPECT_TRUE(group->marked());
    put(at("file"), "1");
    EXPECT_FALSE(heard(*group).empty());
    ASSERT_EQ(umount(source.c_str()), 0) << std::strerror(errno);
    EXPECT_FALSE(group->marked());
    ASSERT_TRUE(mount_source());
    EXPECT_FALSE(group->marked());
}

// What stands in the way is said in words: no such directory, a file system without handles, no capability.
TEST_F(OnTmpfs, WhyThereAreOnlySweepsIsSaid) {
    const auto reason = [](const std::string& directory) {
        const auto opened = FanotifyGroup::open(directory);
        return opened ? std::string() : opened.error().text;
    };
    EXPECT_NE(reason(at("missing")).find("cannot be opened"), std::string::npos);
    EXPECT_NE(reason("/proc").find("no identity or no file handles"), std::string::npos) << reason("/proc");
    std::string without;
    std::thread([&] {  // capabilities are a thread's own
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        __user_cap_data_struct none[2] = {};
        if (syscall(SYS_capset, &header, none) == 0) without = reason(source);
    })
        .join();
    EXPECT_NE(without.find("CAP_SYS_ADMIN"), std::string::npos) << without;
}

// The whole of control, with a period of an hour: everything is at the target soon, without a sweep, and no watermark
// moves; the sweep that is asked for proves it.
TEST_F(OnTmpfs, ChangesArriveWithoutASweep) {
    write("kept", "1");
    write("tree/a/one", "1");
    write("tree/b", "2");
    write("gone/by/rm", "3");
    ASSERT_NO_FATAL_FAILURE(seed());
    advance(10);
    write("kept", "longer than before");
    write("fresh/deep/file", "new");
    fs::create_symlink("kept", at("link"));
    ASSERT_TRUE(followed());
    fs::rename(at("kept"), at("renamed"));
    fs::rename(at("tree"), at("moved"));  // its content brings no events
    fs::remove_all(at("gone"));
    ASSERT_TRUE(followed());
    chmod(at("renamed").c_str(), 0600);
    chmod(at("moved/a").c_str(), 0700);
    write("moved/a/two", "2");
    put(at("moved/passing"), "");
    fs::remove(at("moved/passing"));  // leaves nothing but a directory's mtime
    ASSERT_TRUE(followed());
    fs::remove(at("moved/b"));
    fs::create_directory(at("moved/b"));  // another kind of object
    write("moved/b/inside", "3");
    ASSERT_TRUE(followed());
    const auto capture = view().capture;
    EXPECT_GT(capture.events, 0u);
    EXPECT_GT(capture.hints, 0u);
    EXPECT_EQ(capture.losses, 0u);
    ASSERT_TRUE(converged());
    EXPECT_EQ(view().sweeps, sweeps_before + 1);
    EXPECT_GT(*rpo().watermarks.w_pub, proven);
}

// A directory that is moved in from elsewhere on the file system, and one that is moved out: by one event each.
TEST_F(OnTmpfs, DirectoriesThatMoveInAndOutComeAndGoWhole) {
    const std::string above = source;
    fs::create_directories(above + "/lake");
    fs::create_directories(above + "/aside/deep/er");
    put(above + "/aside/deep/er/file", "1");
    source = above + "/lake";
    ASSERT_NO_FATAL_FAILURE(seed());
    fs::rename(above + "/aside", at("came"));
    ASSERT_TRUE(followed());
    ASSERT_TRUE(ports->tree().contains("came/deep/er/file"));
    fs::rename(at("came"), above + "/aside");
    ASSERT_TRUE(followed());
    EXPECT_TRUE(ports->tree().empty());
    core.reset();
    source = above;
}

// Unmounted: nothing is taken for deleted, the lag is unknown, says why and grows. Mounted again, it recovers by itself,
// though the next sweep was an hour away.
TEST_F(OnTmpfs, AnUnmountedSourceIsUnknownUntilItIsBack) {
    const std::string lake = base + "/lake";
    fs::create_directories(lake);
    const auto bind = [&] { return mount(lake.c_str(), source.c_str(), nullptr, MS_BIND, nullptr) == 0; };
    ASSERT_TRUE(bind());
    write("a", "1");
    write("b/c", "2");
    ASSERT_NO_FATAL_FAILURE(seed());
    const auto tree = ports->tree();
    EXPECT_TRUE(eventually([&] { return ports->stores_open().empty(); })) << "an idle source is let go of";
    ASSERT_TRUE(eventually([&] { return umount(source.c_str()) == 0; })) << std::strerror(errno);
    ASSERT_TRUE(eventually([&] { return rpo().quality == "unknown"; }));
    EXPECT_EQ(rpo().state, "UNKNOWN");
    EXPECT_NE(view().problem, "");
    const double before = *rpo().rpo_lag_s;
    advance(600);
    EXPECT_NEAR(*rpo().rpo_lag_s, before + 600, 1);
    EXPECT_EQ(*rpo().watermarks.w_pub, proven);
    EXPECT_EQ(ports->tree().size(), tree.size()) << "nothing was taken for deleted";
    ASSERT_TRUE(bind());
    put(at("written-before-anybody-looked"), "3");
    ASSERT_TRUE(eventually([&] { return rpo().quality == "proven" && differences().empty(); }))
        << rpo().quality_reason << " " << differences();
    EXPECT_TRUE(eventually([&] { return *rpo().watermarks.w_pub > proven; }));
    EXPECT_EQ(view().problem, "");
    EXPECT_GE(view().capture.losses, 2u);
    EXPECT_EQ(view().capture.kind, "fanotify") << view().capture.reason;
    write("b/heard-again", "4");
    EXPECT_TRUE(eventually([&] { return differences().empty(); })) << differences();
}

// A source on a file system of its own that is really gone, with its mark, and comes back empty: the mark is missed, the
// replica is kept, and the reason says what to do.
TEST_F(OnTmpfs, ASourceThatComesBackEmptyDeletesNothing) {
    write("a", "1");
    write("b", "2");
    ASSERT_NO_FATAL_FAILURE(seed());
    ASSERT_TRUE(eventually([&] { return umount(source.c_str()) == 0; })) << std::strerror(errno);
    // These take the numbers of devices that are free now, which would be the source's again; other tests free some too.
    std::vector<std::string> others;
    for (int i = 0; i < 16; ++i) {
        others.push_back(base + "/other" + std::to_string(i));
        fs::create_directory(others.back());
        ASSERT_EQ(mount("longhaul-other", others.back().c_str(), "tmpfs", 0, nullptr), 0);
    }
    ASSERT_TRUE(mount_source());
    const bool unknown = eventually([&] { return rpo().quality == "unknown"; });
    for (const std::string& other : others)
        umount2(other.c_str(), MNT_DETACH);
    ASSERT_TRUE(unknown);
    EXPECT_NE(view().problem.find("is another one than before"), std::string::npos) << view().problem;
    EXPECT_EQ(ports->tree().size(), 2u);
}

}  // namespace
}  // namespace longhaul::control
