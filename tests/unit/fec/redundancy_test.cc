// The redundancy rules against closed forms and the tables of the transport note.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/redundancy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace longhaul::fec {
namespace {

// Proves: the failure probability is the binomial tail, at both ends of its range.
TEST(Redundancy, FailureProbabilityIsTheBinomialTail) {
    for (const double loss : {1e-6, 1e-3, 0.1, 0.5, 0.9}) {
        EXPECT_NEAR(stripe_failure_probability(64, 0, loss), 1 - std::pow(1 - loss, 64), 1e-12);
        const double two_more = 1 - std::pow(1 - loss, 66) - 66 * loss * std::pow(1 - loss, 65) -
                                66 * 65 / 2.0 * loss * loss * std::pow(1 - loss, 64);
        EXPECT_NEAR(stripe_failure_probability(64, 2, loss), two_more, 1e-12);
    }
    // C(66,3) p^3: a tail far below what 1 - sum could show.
    EXPECT_NEAR(stripe_failure_probability(64, 2, 1e-7) / 4.576e-17, 1, 1e-3);
    EXPECT_EQ(stripe_failure_probability(64, 2, 0), 0);
    EXPECT_EQ(stripe_failure_probability(64, 2, -1), 0);
    EXPECT_EQ(stripe_failure_probability(64, 2, 1), 1);
    EXPECT_EQ(stripe_failure_probability(64, 2, std::numeric_limits<double>::quiet_NaN()), 0);
    EXPECT_NEAR(stripe_failure_probability(128, 0, 0.9999999), 1, 1e-12);
}

// Proves: the formula is what happens: 200 000 simulated stripes agree within four standard deviations.
TEST(Redundancy, FailureProbabilityMatchesSimulation) {
    std::mt19937_64 random(31);
    constexpr unsigned k = 32, m = 2, kTrials = 200000;
    constexpr double loss = 0.02;
    std::bernoulli_distribution lose(loss);
    unsigned failed = 0;
    for (unsigned trial = 0; trial < kTrials; ++trial) {
        unsigned lost = 0;
        for (unsigned i = 0; i < k + m; ++i)
            lost += lose(random) ? 1 : 0;
        failed += lost > m ? 1 : 0;
    }
    const double expected = stripe_failure_probability(k, m, loss);
    EXPECT_NEAR(failed / double{kTrials}, expected, 4 * std::sqrt(expected * (1 - expected) / kTrials));
}

// Proves: the balanced goal steps at the losses the transport note computed (B4).
TEST(Redundancy, BalancedThresholds) {
    const auto parity = [](double loss) { return steady_parity(Goal::balanced, 64, loss); };
    EXPECT_EQ(parity(0), 0u);
    EXPECT_EQ(parity(7e-4), 0u);
    EXPECT_EQ(parity(1e-3), 1u);
    EXPECT_EQ(parity(5e-3), 1u);
    EXPECT_EQ(parity(7e-3), 2u);
    EXPECT_EQ(parity(1.2e-2), 2u);
    EXPECT_EQ(parity(1.5e-2), 3u);
    EXPECT_EQ(parity(2.2e-2), 3u);
    EXPECT_GE(parity(3e-2), 4u);
}

// Proves: the balanced goal really is the minimum of its cost, for every k and many losses.
TEST(Redundancy, BalancedIsTheCheapest) {
    for (unsigned k = 1; k <= 128; ++k) {
        for (double loss = 1e-5; loss < 0.6; loss *= 1.7) {
            const auto cost = [&](unsigned m) {
                return double(m) / k + 0.3 * stripe_failure_probability(k, m, loss);
            };
            const double chosen = cost(steady_parity(Goal::balanced, k, loss));
            for (unsigned m = 0; m <= 16; ++m)
                ASSERT_LE(chosen, cost(m) + 1e-15) << "k=" << k << " loss=" << loss;
        }
    }
}

// Proves: the throughput goal pays nothing until repairs stop being cheaper, then the least that bounds
// memory.
TEST(Redundancy, ThroughputPaysLate) {
    EXPECT_EQ(steady_parity(Goal::throughput, 64, 1e-3), 0u);
    EXPECT_EQ(steady_parity(Goal::throughput, 64, 0.02), 0u);
    EXPECT_EQ(steady_parity(Goal::throughput, 64, 0.021), 1u);
    const unsigned heavy = steady_parity(Goal::throughput, 64, 0.08);
    EXPECT_LE(stripe_failure_probability(64, heavy, 0.08), 0.5);
    EXPECT_GT(stripe_failure_probability(64, heavy - 1, 0.08), 0.5);
}

// Proves: the latency goal keeps repair rounds below 2 in 1000 stripes as long as 16 parities can.
TEST(Redundancy, LatencyBoundsRepairRounds) {
    EXPECT_EQ(steady_parity(Goal::latency, 64, 2e-5), 0u);
    EXPECT_EQ(steady_parity(Goal::latency, 64, 2e-4), 1u);
    EXPECT_EQ(steady_parity(Goal::latency, 64, 1.5e-3), 2u);
    for (double loss = 1e-5; loss < 0.05; loss *= 1.5) {
        const unsigned m = steady_parity(Goal::latency, 64, loss);
        EXPECT_LE(stripe_failure_probability(64, m, loss), 2e-3);
        if (m > 0) {
            EXPECT_GT(stripe_failure_probability(64, m - 1, loss), 2e-3);
        }
    }
    EXPECT_EQ(steady_parity(Goal::latency, 64, 0.5), 16u);
}

// Proves: protection honours budget, floor and ceiling.
TEST(Redundancy, ProtectionHonoursBudgetFloorAndCeiling) {
    EXPECT_EQ(protected_parity(64, 0, 1e-6, 2), 2u);
    const unsigned m = protected_parity(64, 1e-2, 1e-6, 2);
    EXPECT_LE(stripe_failure_probability(64, m, 1e-2), 1e-6);
    EXPECT_GT(stripe_failure_probability(64, m - 1, 1e-2), 1e-6);
    EXPECT_EQ(protected_parity(64, 0.9, 1e-6, 2), 16u);
    EXPECT_EQ(protected_parity(64, 0, 1e-6, 99), 16u);
}

// Proves: the smallest parity for a budget is the one the transport note tabulates (section 1.3).
TEST(Redundancy, MinimalParityMatchesTheTables) {
    constexpr double losses[] = {1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 5e-2};
    struct Line {
        unsigned k;
        double budget;
        unsigned parity[7];
    };
    constexpr Line lines[] = {{16, 1e-3, {0, 1, 1, 2, 2, 3, 5}},
                              {32, 1e-3, {0, 1, 1, 2, 3, 4, 7}},
                              {64, 1e-3, {0, 1, 2, 3, 4, 6, 11}},
                              {64, 1e-6, {1, 2, 3, 5, 7, 10, 16}}};
    for (const Line& line : lines) {
        for (std::size_t i = 0; i < 7; ++i) {
            EXPECT_EQ(protected_parity(line.k, losses[i], line.budget, 0), line.parity[i])
                << "k=" << line.k << " loss=" << losses[i] << " budget=" << line.budget;
        }
    }
}

// Proves: more loss never means less parity.
TEST(Redundancy, RisesWithLoss) {
    for (const Goal goal : {Goal::throughput, Goal::latency}) {
        unsigned before = 0;
        for (double loss = 1e-6; loss < 0.5; loss *= 1.1) {
            const unsigned m = steady_parity(goal, 64, loss);
            EXPECT_GE(m, before);
            before = m;
        }
    }
}

// Proves: under independent losses the chain is the binomial tail, for every m at once and at any depth.
TEST(Redundancy, TheChainOfIndependentLossesIsTheBinomialTail) {
    for (const unsigned k : {1u, 16u, 64u, 128u}) {
        for (const double loss : {1e-4, 1e-2, 0.2}) {
            for (const unsigned depth : {1u, 32u}) {
                const ParityFailures failures = failures_by_parity(k, {loss, 1, depth});
                for (unsigned m = 0; m <= 16; ++m)
                    ASSERT_NEAR(failures[m], stripe_failure_probability(k, m, loss), 1e-12)
                        << k << " " << m << " " << loss << " " << depth;
            }
        }
    }
}

// Proves: the table of bursts against depth in the transport note (1.3): RS(64,4), p = 1e-3, within its rounding.
TEST(Redundancy, BurstsAgainstDepthMatchTheTable) {
    struct Line {
        double burst;
        unsigned depth;
        double failure;
    };
    constexpr Line lines[] = {{8, 1, 5e-3},    {8, 8, 7e-4},    {8, 32, 1e-7},
                              {64, 1, 2e-3},   {64, 8, 5e-3},   {64, 32, 4e-3},
                              {64, 128, 3e-5}, {64, 512, 1e-8}, {512, 512, 8e-4}};
    for (const Line& line : lines) {
        const double failure = failures_by_parity(64, {1e-3, line.burst, line.depth})[4];
        EXPECT_LT(std::abs(std::log10(failure / line.failure)), 0.35)
            << "bursts of " << line.burst << ", depth " << line.depth << ": " << failure;
    }
}

// Proves: the chain is what happens to interleaved stripes: 100 000 simulated ones agree within four deviations.
TEST(Redundancy, TheChainMatchesSimulation) {
    std::mt19937_64 random(77);
    std::uniform_real_distribution<double> unit;
    constexpr unsigned k = 16, m = 2, depth = 8, kGroups = 12500;
    constexpr double share = 0.02, burst = 6, leave = 1 / burst, enter = share * leave / (1 - share);
    bool bad = false;
    unsigned failed = 0;
    for (unsigned group = 0; group < kGroups; ++group) {
        unsigned lost[depth] = {};
        for (unsigned i = 0; i < (k + m) * depth; ++i) {
            bad = bad ? unit(random) >= leave : unit(random) < enter;
            lost[i % depth] += bad ? 1 : 0;
        }
        for (const unsigned of_stripe : lost)
            failed += of_stripe > m ? 1 : 0;
    }
    const double expected = failures_by_parity(k, {share, burst, depth})[m];
    // Stripes of one group fail together: at worst the groups are the independent trials.
    EXPECT_NEAR(failed / double{kGroups * depth}, expected, 4 * std::sqrt(expected / kGroups));
}

// Proves: turns for bursts only, four bursts wide and a power of two, none where 512 would be half an interleave; rows
// that bursts make useless are not paid for.
TEST(Redundancy, DepthFollowsBursts) {
    EXPECT_EQ(interleave_depth(1), 1u);
    EXPECT_EQ(interleave_depth(1.4), 1u);
    EXPECT_EQ(interleave_depth(2), 8u);
    EXPECT_EQ(interleave_depth(8), 32u);
    EXPECT_EQ(interleave_depth(64), 256u);
    EXPECT_EQ(interleave_depth(200), 512u);
    EXPECT_EQ(interleave_depth(257), 1u);
    const ParityFailures hopeless = failures_by_parity(64, {1e-3, 500, 1});
    EXPECT_EQ(protected_parity(hopeless, 1e-6, 2), 2u);
    const ParityFailures hopeful = failures_by_parity(64, {1e-3, 8, 32});
    EXPECT_GT(protected_parity(hopeful, 1e-6, 2), 2u);
}

// Proves: the bounds of a count are those of the Poisson distribution, within two per cent of the exact values.
TEST(Redundancy, BoundsOfACountArePoissons) {
    EXPECT_NEAR(events_upper(0, 1.645), 3.00, 0.06);
    EXPECT_NEAR(events_upper(1, 1.645), 4.74, 0.06);
    EXPECT_NEAR(events_upper(10, 1.645), 16.96, 0.1);
    EXPECT_NEAR(events_lower(10, 1.645), 5.43, 0.1);
    EXPECT_NEAR(events_lower(100, 1.645), 84.1, 0.5);
    EXPECT_EQ(events_lower(0, 1.645), 0);
}

}  // namespace
}  // namespace longhaul::fec
