// Sweeps of trees that nobody would make on purpose: deeper than a path can be, wider than a listing should be.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "control/capture/sweep.h"
#include "control/state/state_store.h"

namespace longhaul::control {
namespace {

namespace fs = std::filesystem;

struct HostileTree : testing::Test {
    void SetUp() override {
        std::string pattern = fs::temp_directory_path().string() + "/longhaul-hostile-XXXXXX";
        base = mkdtemp(pattern.data());
        source = base + "/source";
        fs::create_directory(source);
        store = std::move(StateStore::open(base + "/state.sqlite")).value();
    }
    void TearDown() override {
        store.reset();
        // Walks with descriptors; fs::remove_all has one open for every level.
        EXPECT_EQ(std::system(("rm -rf '" + base + "'").c_str()), 0);
    }
    SweepResult look() {
        SweepRequest request;
        request.root = source;
        request.state_path = store->path();
        request.dataset = 1;
        const std::atomic<bool> stop{false};
        found.clear();
        most = 0;
        return sweep(
            request,
            [&](std::vector<Observation>&& seen, const SweepResult&) {
                most = std::max(most, seen.size());
                for (const auto& observation : seen)
                    found.insert(observation.path);
                return true;
            },
            stop);
    }

    std::string base, source;
    std::unique_ptr<StateStore> store;
    std::set<std::string> found;
    std::size_t most = 0;
};

// A tree of 4,000 levels: down to where paths end every directory is found, what lies below is named with what to do about
// it, nothing is claimed to be complete, and its neighbours are found as ever.
TEST_F(HostileTree, FourThousandLevels) {
    constexpr std::size_t kLevels = 4000;
    int directory = open(source.c_str(), O_RDONLY | O_DIRECTORY);
    for (std::size_t i = 0; i < kLevels; ++i) {
        ASSERT_EQ(mkdirat(directory, "d", 0755), 0);
        const int next = openat(directory, "d", O_RDONLY | O_DIRECTORY);
        close(directory);
        directory = next;
    }
    close(directory);
    for (const char* name : {"a-neighbour", "z-neighbour"})
        std::ofstream(source + "/" + name) << name;
    const SweepResult result = look();
    EXPECT_EQ(result.objects, (wire::kPathBytesMax + 1) / 2 + 2);
    EXPECT_FALSE(result.clean);
    EXPECT_TRUE(result.readable);
    EXPECT_NE(result.problem.find("longer than 4095 bytes"), std::string::npos) << result.problem;
    EXPECT_TRUE(found.contains("a-neighbour"));
    EXPECT_TRUE(found.contains("z-neighbour"));
}

// One directory with very many entries: each is found once, in batches. LONGHAUL_ENTRIES=1000000 for the full width.
TEST_F(HostileTree, ADirectoryOfVeryManyEntries) {
    const char* wanted = std::getenv("LONGHAUL_ENTRIES");
    const std::size_t entries = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 20'000;
    const int directory = open(source.c_str(), O_RDONLY | O_DIRECTORY);
    for (std::size_t i = 0; i < entries; ++i) {
        const int file =
            openat(directory, ("f" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
        ASSERT_GE(file, 0);
        close(file);
    }
    close(directory);
    const SweepResult result = look();
    EXPECT_TRUE(result.clean) << result.problem;
    EXPECT_EQ(result.objects, entries);
    EXPECT_EQ(found.size(), entries);
    EXPECT_LE(most, 512u);
}

// Names that look like something else: each is one object, and comes back from the key it is stored under.
TEST_F(HostileTree, NamesThatLookLikeSomethingElse) {
    const std::set<std::string> names = {"...",
                                         "..x",
                                         " ",
                                         "\n",
                                         "\x01",
                                         "\xff\xfe",
                                         "\xc3",
                                         "-rf *",
                                         "a\\b",
                                         "con",
                                         ".longhaulx",
                                         "~",
                                         "%00",
                                         "\x7f",
                                         std::string(255, 'n'),
                                         std::string(254, '\xff') + "x"};
    for (const auto& name : names)
        std::ofstream(source + "/" + name) << "1";
    const SweepResult result = look();
    EXPECT_TRUE(result.clean) << result.problem;
    EXPECT_EQ(found, names);
    for (const auto& name : names)
        EXPECT_EQ(path_of_key(key_of_path("d/" + name + "/" + name)), "d/" + name + "/" + name);
}

}  // namespace
}  // namespace longhaul::control
