// Every call of a history that the disk may fail, failed once: what was said to be durable is so all the same, what
// failed has a name, and what is offered again arrives.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/sim/storage/target.h"

namespace longhaul::storage::sim {
namespace {

constexpr unsigned kOpensMax = 2;
constexpr Survival kSurvivalsOfFaults[] = {Survival::nothing, Survival::names_only, Survival::random};

// The whole history with the given fault; returns how many calls that took.
std::uint64_t live_through(const History& history, std::uint64_t seed, std::optional<std::uint64_t> first_run,
                           const std::function<int(const SimulatedDisk::Call&)>& fault) {
    SimulatedDisk disk(Journal::ordered, SimulatedDisk::empty_image());
    disk.fault = fault;
    Expectation said(true);
    Target target(disk, said, seed, first_run);
    unsigned opens = 0;
    while (!target.open().ok())
        if (++opens == kOpensMax) {
            ADD_FAILURE() << "the store did not open although the cause was gone";
            return 0;
        }
    EXPECT_TRUE(target.apply_until_published(history, 0));
    for (const std::string& wrong : target.wrong())
        ADD_FAILURE() << wrong;
    EXPECT_EQ(said.check_complete(disk.seen()), "");
    Random random(seed);
    for (const Survival survival : kSurvivalsOfFaults)
        EXPECT_EQ(said.check(disk.crash(survival, random)), "") << "after a crash at the end";
    // A removal that failed leaves something in staging until the store is opened the next time.
    SimulatedDisk later(Journal::ordered, disk.seen());
    EXPECT_TRUE(Target(later, said, seed).open().ok());
    for (const auto& [name, inode] : find(later.seen(), ".longhaul/staging")->names)
        EXPECT_FALSE(name.starts_with("b-")) << name << " was left behind";
    return disk.calls();
}

struct Fault {
    int error;
    std::optional<std::uint64_t> first_run;  // published in order
};
class Faults : public testing::TestWithParam<Fault> {};

TEST_P(Faults, OfEveryCall) {
    const History history = make_history();
    const std::uint64_t calls = live_through(history, 1, GetParam().first_run, {});
    ASSERT_GT(calls, 500u);
    for (std::uint64_t failing = 0; failing < calls && !HasFailure(); ++failing) {
        SCOPED_TRACE("call " + std::to_string(failing) + " fails");
        live_through(history, 1, GetParam().first_run, [&](const SimulatedDisk::Call& call) {
            return call.number == failing ? GetParam().error : 0;
        });
    }
    std::printf("%lu calls\n", calls);
}

std::string name_of_fault(const testing::TestParamInfo<Fault>& fault) {
    return std::string(fault.param.error == EIO ? "EIO" : "ENOSPC") +
           (fault.param.first_run ? "InOrder" : "");
}
INSTANTIATE_TEST_SUITE_P(Errors, Faults, testing::Values(Fault{EIO, {}}, Fault{ENOSPC, {}}, Fault{EIO, 1}),
                         name_of_fault);

// Calls that fail by chance, in other orders of completion, until the disk is well again.
TEST(FaultsByChance, OfOneWhile) {
    const History history = make_history();
    constexpr std::uint64_t kSeeds = 100, kOpened = 100, kWellAgain = 500;  // calls
    for (std::uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Random random(seed);
        live_through(history, seed, std::nullopt, [&](const SimulatedDisk::Call& call) {
            return call.number > kOpened && call.number < kWellAgain && random.chance(0.02) ? EIO : 0;
        });
    }
}

}  // namespace
}  // namespace longhaul::storage::sim
