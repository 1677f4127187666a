// Every moment at which the target of a history may lose its power: what was said to be durable is there, whole, and
// nothing else looks as if it were; and a restarted target takes the rest of the history to its end.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/storage/target.h"

namespace longhaul::storage::sim {
namespace {

constexpr Survival kSurvivalsOfCrashes[] = {
    Survival::nothing, Survival::names_only, Survival::content_only, Survival::everything,
    Survival::random,  Survival::random,     Survival::random};

constexpr std::uint64_t kCrashPointsPerRestart = 3;

std::uint64_t seed_of_this_run() {
    const char* seed = std::getenv("SIM_SEED");
    return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

struct Promise {
    Journal journal;
    bool in_order;  // of publication; on the journal that keeps the order of names only
};

class Crashes : public testing::TestWithParam<Promise> {
  protected:
    static constexpr std::uint64_t kRunsBeforeRestart = 1000;  // more than one life takes

    struct Crashed {
        Image image;
        Expectation said;
        std::size_t waves_published;
    };

    // As after a reboot: staging is clean, and what is left of the history arrives.
    void restart(Crashed crashed) {
        SimulatedDisk disk(GetParam().journal, std::move(crashed.image));
        Expectation& said = crashed.said;
        Target target(disk, said, random_.next(), first_run(kRunsBeforeRestart));
        ASSERT_TRUE(target.open().ok());
        ASSERT_EQ(said.check(disk.seen()), "") << "after the restart";
        for (const auto& [name, inode] : find(disk.seen(), ".longhaul/staging")->names)
            ASSERT_FALSE(name.starts_with("b-")) << name << " was left behind";
        ASSERT_TRUE(target.apply_until_published(history_, crashed.waves_published));
        ASSERT_EQ(said.check_complete(disk.seen()), "");
        ASSERT_EQ(said.check_complete(disk.crash(Survival::nothing, random_)), "");
    }

    static std::optional<std::uint64_t> first_run(std::uint64_t run) {
        return GetParam().in_order ? std::optional(run) : std::nullopt;
    }

    void crash_here(const SimulatedDisk& disk, const Expectation& said) {
        ++crash_points_;
        for (const Survival survival : kSurvivalsOfCrashes) {
            const Image image = disk.crash(survival, random_);
            ASSERT_EQ(said.check(image), "")
                << "crash point " << crash_points_ << ", survival " << int(survival) << ", wave "
                << waves_published_ << "; again: SIM_SEED=" << seed_of_this_run();
            if (GetParam().in_order) {
                ASSERT_EQ(said.check_order(image), "")
                    << "crash point " << crash_points_ << ", survival " << int(survival);
            }
        }
        if (random_.below(kCrashPointsPerRestart) != 0) return;
        // One of the images is started again, once nothing of the crashed one is on the stack: both
        // would want the same tree's turn to publish.
        const Survival survival = kSurvivalsOfCrashes[random_.below(std::size(kSurvivalsOfCrashes))];
        to_restart_.push_back({disk.crash(survival, random_), said, waves_published_});
    }

    void restart_all() {
        for (Crashed& crashed : to_restart_)
            if (!HasFatalFailure()) restart(std::move(crashed));
        to_restart_.clear();
    }

    const History history_ = make_history();
    Random random_{seed_of_this_run()};
    std::vector<Crashed> to_restart_;
    std::size_t waves_published_ = 0;
    std::uint64_t crash_points_ = 0;
};

TEST_P(Crashes, AtEveryMoment) {
    SimulatedDisk disk(GetParam().journal, SimulatedDisk::empty_image());
    Expectation said(GetParam().journal == Journal::ordered);
    Target target(disk, said, seed_of_this_run(), first_run(1));
    disk.before_change = [&] {
        waves_published_ = target.waves_published();
        if (!HasFatalFailure()) crash_here(disk, said);
    };
    target.between_turns = [&] { restart_all(); };
    ASSERT_TRUE(target.open().ok());
    ASSERT_TRUE(target.apply_until_published(history_, 0));
    waves_published_ = history_.size();
    crash_here(disk, said);
    restart_all();
    EXPECT_EQ(said.check_complete(disk.seen()), "");
    RecordProperty("crash_points", static_cast<int>(crash_points_));
    std::printf("%lu crash points, %zu images each\n", crash_points_, std::size(kSurvivalsOfCrashes));
    EXPECT_GT(crash_points_, 300u);
}

std::string name_of(const testing::TestParamInfo<Promise>& promise) {
    if (promise.param.in_order) return "PublishedInOrder";
    return promise.param.journal == Journal::ordered ? "OrderedJournal" : "NoJournal";
}
INSTANTIATE_TEST_SUITE_P(Journals, Crashes,
                         testing::Values(Promise{Journal::ordered, false}, Promise{Journal::none, false},
                                         Promise{Journal::ordered, true}),
                         name_of);

}  // namespace
}  // namespace longhaul::storage::sim
