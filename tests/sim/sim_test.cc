// Named and random scenarios. `sim --seed N` replays one random scenario and prints its figures; `sim --name
// X` one of the named ones; `--seeds N` (or SIM_SEEDS) sets how many random ones run.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/world.h"

namespace longhaul::sim {
namespace {

constexpr std::uint64_t kNamedSeed = 7;
std::uint64_t random_seeds = 120;

void expect_unbroken(const Scenario& scenario, std::uint64_t seed, const std::string& replay) {
    const Outcome outcome = run(scenario, seed);
    std::printf("%s:\n%s", scenario.name.c_str(), outcome.text().c_str());
    for (const std::string& broken : outcome.broken)
        ADD_FAILURE() << scenario.name << ": " << broken;
    if (!outcome.broken.empty())
        std::printf("seed %llu; replay with: %s\n", static_cast<unsigned long long>(seed), replay.c_str());
}

// Each named situation keeps every invariant and meets its bounds on completion time, goodput and brakes.
class NamedScenario : public ::testing::TestWithParam<Scenario> {};
TEST_P(NamedScenario, HoldsItsBounds) {
    expect_unbroken(GetParam(), kNamedSeed, "tests/sim/sim --name " + GetParam().name);
}
INSTANTIATE_TEST_SUITE_P(Sim, NamedScenario, ::testing::ValuesIn(named_scenarios()),
                         [](const auto& parameter) {
                             std::string name = parameter.param.name;
                             for (char& c : name)
                                 if (c == '.') c = '_';
                             return name;
                         });

// Any mixture of losses, outages, sizes, cancellations and small pools: bytes once each and right, every
// bundle settles, every block comes home.
TEST(RandomScenarios, EverySessionEnds) {
    for (std::uint64_t seed = 1; seed <= random_seeds; ++seed) {
        const Outcome outcome = run(random_scenario(seed), seed);
        for (const std::string& broken : outcome.broken)
            ADD_FAILURE() << "seed " << seed << ": " << broken << "\n  replay with: tests/sim/sim --seed "
                          << seed;
    }
}

// The same seed gives the same run, event for event: otherwise a failure could not be replayed.
TEST(RandomScenarios, AreDeterministic) {
    const Outcome once = run(random_scenario(3), 3);
    const Outcome again = run(random_scenario(3), 3);
    EXPECT_EQ(once.events, again.events);
    EXPECT_EQ(once.completed_at, again.completed_at);
    EXPECT_EQ(once.sender[0].packets, again.sender[0].packets);
}

// Eight of 32 lanes are hashed onto a member of a bundle of links that loses 30 %. They carry less at once, leave it one by
// one, and the link carries nearly what it would without. Where no lane may change its port they go on losing.
TEST(Lanes, LeaveABadMember) {
    Scenario scenario = on_link("bad-member", 200'000'000, 50 * kMillisecond);
    scenario.lanes = 32;
    scenario.bad_member_loss = 0.3;
    send_bundles(scenario, 80, 2u << 20);
    scenario.measure_from = 4 * kSecond;
    scenario.measure_until = 6 * kSecond;
    const auto outcome = [&](unsigned bad_lanes, bool rehash) {
        scenario.bad_lanes = bad_lanes;
        scenario.rehash = rehash;
        const Outcome seen = run(scenario, kNamedSeed);
        for (const std::string& broken : seen.broken)
            ADD_FAILURE() << broken;
        std::printf("%s, %u bad lanes, rehash %d: %.1f Mbit/s from 4 to 6 s, %llu packets lost\n",
                    scenario.name.c_str(), bad_lanes, rehash, static_cast<double>(seen.measured_bytes) * 4e-6,
                    static_cast<unsigned long long>(seen.sender[0].lost_packets));
        return seen;
    };
    const Outcome clean = outcome(0, true), left = outcome(8, true), stuck = outcome(8, false);
    EXPECT_GT(left.measured_bytes, clean.measured_bytes / 100 * 90);
    EXPECT_LT(left.sender[0].lost_packets, stuck.sender[0].lost_packets / 2);
}

void print_setting(const Scenario& scenario) {
    const auto ms = [](TimeNs time) { return static_cast<double>(time) / 1e6; };
    std::printf("  lanes %u, k %u, parity %d, blocks %u send %u receive, read-ahead %u, write %.1f ms\n",
                scenario.lanes, scenario.stripe_symbols,
                scenario.fixed_parity ? static_cast<int>(*scenario.fixed_parity) : -1, scenario.send_blocks,
                scenario.receive_blocks, scenario.read_ahead_blocks, ms(scenario.write_latency));
    for (const auto& link : scenario.link)
        std::printf(
            "  link %.1f Mbit/s, %.1f ms, jitter %.1f ms, queue %llu, loss %.4f in bursts of %.1f, reorder "
            "%.3f, "
            "duplicate %.3f, corrupt %.4f\n",
            static_cast<double>(link.rate_bps) / 1e6, ms(link.delay), ms(link.jitter),
            static_cast<unsigned long long>(link.queue_bytes), link.loss, link.burst, link.reorder,
            link.duplicate, link.corrupt);
    for (const Change& change : scenario.changes)
        std::printf("  at %.1f ms change %d, direction %u, value %llu\n", ms(change.at),
                    static_cast<int>(change.kind), change.direction,
                    static_cast<unsigned long long>(change.value));
}

int replay(const Scenario& scenario, std::uint64_t seed) {
    print_setting(scenario);
    const Outcome outcome = run(scenario, seed);
    std::printf("%s\n%s", scenario.name.c_str(), outcome.text().c_str());
    for (const std::string& broken : outcome.broken)
        std::printf("  BROKEN %s\n", broken.c_str());
    return outcome.broken.empty() ? 0 : 1;
}

}  // namespace
}  // namespace longhaul::sim

int main(int argc, char** argv) {
    using namespace longhaul::sim;
    ::testing::InitGoogleTest(&argc, argv);
    if (const char* seeds = std::getenv("SIM_SEEDS")) random_seeds = std::strtoull(seeds, nullptr, 10);
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], "--seeds") == 0) random_seeds = std::strtoull(argv[i + 1], nullptr, 10);
        if (std::strcmp(argv[i], "--seed") == 0) {
            const std::uint64_t seed = std::strtoull(argv[i + 1], nullptr, 10);
            return replay(random_scenario(seed), seed);
        }
        if (std::strcmp(argv[i], "--name") == 0) {
            for (const Scenario& scenario : named_scenarios())
                if (scenario.name == argv[i + 1]) return replay(scenario, kNamedSeed);
            std::fprintf(stderr, "no scenario is called %s\n", argv[i + 1]);
            return 2;
        }
    }
    return RUN_ALL_TESTS();
}
