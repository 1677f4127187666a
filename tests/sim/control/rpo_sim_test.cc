// Property: at every moment of days of virtual time the reported RPO lag is at least what would be lost, and at most
// the proof interval and the stated transfer time more; a breach is raised while more than twice the target would be
// lost; every minute is accounted for; at the source and, by a clock that is wrong, at the target.
//
// LONGHAUL_SEED=n replays one seed, LONGHAUL_SEEDS=count plays so many from there, LONGHAUL_HOURS sets their length.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/sim/control/world.h"

namespace longhaul::control::sim {
namespace {

std::uint64_t number(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(RpoSim, TheLagIsNeverBelowTheLossAndNeverFarAboveIt) {
    const bool chosen = std::getenv("LONGHAUL_SEED") != nullptr;
    const auto first = number("LONGHAUL_SEED", 1),
               count = number("LONGHAUL_SEEDS", chosen ? 1 : number("SIM_SEEDS", 200));
    const auto hours = static_cast<double>(number("LONGHAUL_HOURS", 3));
    Totals totals;
    for (std::uint64_t seed = first; seed < first + count && !HasFailure(); ++seed)
        World(seed, hours, totals).run();
    std::printf(
        "%llu seeds, %.0f virtual days, %llu ticks, judged %llu at the source and %llu at the target; %llu "
        "changes, "
        "%llu cuts, %llu clocks set, %llu breaches, %llu bundles in order; largest excess %.2f of the "
        "bound\n",
        static_cast<unsigned long long>(count), totals.virtual_days,
        static_cast<unsigned long long>(totals.ticks), static_cast<unsigned long long>(totals.source_judged),
        static_cast<unsigned long long>(totals.target_judged),
        static_cast<unsigned long long>(totals.changes), static_cast<unsigned long long>(totals.cuts),
        static_cast<unsigned long long>(totals.clocks_set), static_cast<unsigned long long>(totals.breaches),
        static_cast<unsigned long long>(totals.in_order), totals.excess_max_s);
    if (count < 20) return;
    EXPECT_GT(totals.breaches, 0u) << "nothing was tried";
    EXPECT_GT(totals.in_order, 0u) << "nothing was published in order";
    EXPECT_GT(totals.files_compared, 0u) << "both ends were never compared";
    EXPECT_GT(totals.files_read_back, 0u) << "nothing was ever read back";
    EXPECT_GT(totals.target_judged, totals.ticks / 4) << "the target hardly ever knew anything";
}

}  // namespace
}  // namespace longhaul::control::sim
