// Congestion modes and faults on the virtual clock: every figure within what is accepted, every byte once and right.
// `sim-modes --name X` replays one scenario and prints it second by second.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "tests/sim/mode_scenarios.h"

namespace longhaul::sim {
namespace {

constexpr std::uint64_t kSeed = 11;

void expect_accepted(const PathScenario& scenario, const PathRecord& record) {
    std::printf("%s:\n", scenario.plan.name.c_str());
    for (const Accepted& accepted : scenario.accepted) {
        const double value = accepted.measure(record);
        std::printf("  %-48s %10.3f\n", accepted.what.c_str(), value);
        EXPECT_GE(value, accepted.least) << scenario.plan.name << ": " << accepted.what;
        EXPECT_LE(value, accepted.most) << scenario.plan.name << ": " << accepted.what;
    }
    for (const std::string& broken : record.broken)
        ADD_FAILURE() << scenario.plan.name << ": " << broken;
    if (::testing::Test::HasFailure())
        std::printf("replay with: tests/sim/sim-modes --name %s\n", scenario.plan.name.c_str());
}

class Path : public ::testing::TestWithParam<PathScenario> {};
TEST_P(Path, IsWithinWhatIsAccepted) {
    expect_accepted(GetParam(), run(GetParam().plan, kSeed));
}
constexpr auto kName = [](const auto& parameter) { return parameter.param.plan.name; };
INSTANTIATE_TEST_SUITE_P(Modes, Path, ::testing::ValuesIn(mode_scenarios()), kName);
INSTANTIATE_TEST_SUITE_P(Faults, Path, ::testing::ValuesIn(fault_scenarios()), kName);

int replay(const PathScenario& scenario, std::size_t every) {
    const PathRecord record = run(scenario.plan, kSeed);
    const auto& samples = record.samples();
    for (std::size_t i = every; i < samples.size(); i += every) {
        const TimeNs to = i * PathRecord::kSampleEvery, from = (i - every) * PathRecord::kSampleEvery;
        std::printf("%7.2f s", static_cast<double>(to) / 1e9);
        for (std::size_t k = 0; k < samples[i].session_bytes.size(); ++k)
            std::printf("  session %5.1f Mbit/s (paced %5.1f, %s)", record.session(k, from, to, 1'000'000),
                        static_cast<double>(samples[i].pace_bps[k]) / 1e6, samples[i].phase[k].c_str());
        for (std::size_t k = 0; k < samples[i].competitor_bytes.size(); ++k)
            std::printf("  tcp %5.1f", record.competitor(k, from, to, 1'000'000));
        std::printf("  queue %5.1f ms\n", static_cast<double>(record.queue_mean(from, to)) / 1e6);
    }
    std::printf("lost %llu, brakes %llu\n", static_cast<unsigned long long>(record.lost_packets),
                static_cast<unsigned long long>(record.brakes));
    for (const Accepted& accepted : scenario.accepted)
        std::printf("  %-48s %10.3f\n", accepted.what.c_str(), accepted.measure(record));
    for (const std::string& broken : record.broken)
        std::printf("  BROKEN %s\n", broken.c_str());
    return record.broken.empty() ? 0 : 1;
}

}  // namespace
}  // namespace longhaul::sim

int main(int argc, char** argv) {
    using namespace longhaul::sim;
    ::testing::InitGoogleTest(&argc, argv);
    std::size_t every = 100;
    for (int i = 1; i + 1 < argc; ++i)
        if (std::strcmp(argv[i], "--every") == 0) every = static_cast<std::size_t>(std::atoi(argv[i + 1]));
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], "--name") != 0) continue;
        for (const auto& list : {mode_scenarios(), fault_scenarios()})
            for (const PathScenario& scenario : list)
                if (scenario.plan.name == argv[i + 1]) return replay(scenario, every);
        std::fprintf(stderr, "no scenario is called %s\n", argv[i + 1]);
        return 2;
    }
    return RUN_ALL_TESTS();
}
