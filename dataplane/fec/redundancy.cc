// Redundancy from measured loss: each goal weighs the cost of a parity symbol against the cost of a repair
// round.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/redundancy.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "dataplane/base/assert.h"

namespace longhaul::fec {
namespace {

constexpr unsigned kParityMax = kErasuresMax;
constexpr double kRepairWeight = 0.3;        // balanced: a failed stripe costs as much as 0.3 of its data
constexpr double kThroughputLossMin = 0.02;  // throughput: below, repairs alone are cheaper than any parity
constexpr double kThroughputFailure = 0.5;   // above: bound the stripes that wait in memory for a repair
constexpr double kLatencyFailure = 2e-3;

constexpr double kUseless =
    0.5;  // bursts: 16 rows that leave more than this share of the failures help little
constexpr double kBurstsFrom = 1.5;  // mean run; below, losses count as single ones
constexpr unsigned kDepthMin = 8, kDepthMax = 512;
constexpr double kBurstsDeep = 4,
                 kBurstsLeast = 2;  // depth over mean run: wanted, and below which it does harm

// Where even the most parity leaves the larger part of the failures, bursts are longer than the stripe can cover:
// then the failures have to be repaired, and rows are only paid for.
unsigned smallest_parity(const ParityFailures& failures, double budget, unsigned least) noexcept {
    unsigned m = std::min(least, kParityMax);
    const double best = failures[kParityMax];
    if (best > budget && best > kUseless * failures[0] && failures[0] < kUseless) return m;
    while (m < kParityMax && failures[m] > budget)
        ++m;
    return m;
}

// Minimises J(m) = m / k + w P_s(m).
unsigned balanced_parity(unsigned k, const ParityFailures& failures) noexcept {
    unsigned best = 0;
    double best_cost = kRepairWeight * failures[0];
    for (unsigned m = 1; m <= kParityMax; ++m) {
        const double cost = static_cast<double>(m) / k + kRepairWeight * failures[m];
        if (cost < best_cost) {
            best = m;
            best_cost = cost;
        }
    }
    return best;
}

// The chain seen every `depth` packets: share of time in the bad state as before, correlation (1 - a - b)^depth.
struct Chain {
    double to_bad = 0, stay_bad = 0;
    explicit Chain(const LossModel& model) noexcept {
        const double leave = 1 / std::max(model.burst, 1 / (1 - model.share));
        const double enter = model.share * leave / (1 - model.share);
        const double kept = std::pow(std::max(0.0, 1 - enter - leave), std::max(model.depth, 1u));
        to_bad = model.share * (1 - kept);
        stay_bad = model.share + (1 - model.share) * kept;
    }
};

}  // namespace

double stripe_failure_probability(unsigned k, unsigned m, double loss) noexcept {
    LH_ASSERT(k >= 1);
    if (!(loss > 0)) return 0;
    if (loss >= 1) return 1;
    const unsigned n = k + m;
    const double log_odds = std::log(loss) - std::log1p(-loss);
    // ln P[Bin(n, p) = m + 1]: by logarithms, because (1 - p)^n alone may underflow.
    double log_term = n * std::log1p(-loss);
    for (unsigned i = 0; i <= m; ++i)
        log_term += std::log(static_cast<double>(n - i) / (i + 1)) + log_odds;
    double sum = 0;
    for (unsigned i = m + 1; i <= n; ++i) {
        sum += std::exp(log_term);
        if (i < n) log_term += std::log(static_cast<double>(n - i) / (i + 1)) + log_odds;
    }
    return std::min(sum, 1.0);
}

ParityFailures failures_by_parity(unsigned k, const LossModel& model) noexcept {
    LH_ASSERT(k >= 1);
    ParityFailures failures{};
    if (!(model.share > 0)) return failures;
    if (model.share >= 1) {
        failures.fill(1);
        return failures;
    }
    const Chain chain(model);
    // By number of losses so far and state of the channel at the last symbol; more than 16 losses leave the table.
    std::array<double, kParityMax + 1> good{}, bad{};
    good[0] = 1 - model.share;
    bad[1] = model.share;
    for (unsigned n = 1;; ++n) {
        if (n >= k) {
            double survives = 0;
            for (unsigned lost = 0; lost <= n - k; ++lost)
                survives += good[lost] + bad[lost];
            failures[n - k] = std::max(0.0, 1 - survives);
            if (n == k + kParityMax) return failures;
        }
        for (unsigned lost = kParityMax + 1; lost-- > 0;) {
            const double from_good = lost > 0 ? good[lost - 1] : 0, from_bad = lost > 0 ? bad[lost - 1] : 0;
            good[lost] = good[lost] * (1 - chain.to_bad) + bad[lost] * (1 - chain.stay_bad);
            bad[lost] = from_good * chain.to_bad + from_bad * chain.stay_bad;
        }
    }
}

unsigned steady_parity(Goal goal, unsigned k, double loss, const ParityFailures& failures) noexcept {
    switch (goal) {
        case Goal::throughput:
            return loss > kThroughputLossMin ? smallest_parity(failures, kThroughputFailure, 1) : 0;
        case Goal::balanced:
            return balanced_parity(k, failures);
        case Goal::latency:
            return smallest_parity(failures, kLatencyFailure, 0);
    }
    return 0;
}

unsigned steady_parity(Goal goal, unsigned k, double loss) noexcept {
    return steady_parity(goal, k, loss, failures_by_parity(k, {loss, 1, 1}));
}

unsigned protected_parity(const ParityFailures& failures, double budget, unsigned least) noexcept {
    return smallest_parity(failures, budget, least);
}

unsigned protected_parity(unsigned k, double loss, double budget, unsigned least) noexcept {
    return smallest_parity(failures_by_parity(k, {loss, 1, 1}), budget, least);
}

unsigned interleave_depth(double burst) noexcept {
    if (burst < kBurstsFrom || kBurstsLeast * burst > kDepthMax) return 1;
    const auto wanted = static_cast<unsigned>(std::ceil(kBurstsDeep * burst));
    return std::clamp(std::bit_ceil(wanted), kDepthMin, kDepthMax);
}

double events_upper(double events, double z) noexcept {
    const double n = events + 1;
    return n * std::pow(1 - 1 / (9 * n) + z / (3 * std::sqrt(n)), 3);
}

double events_lower(double events, double z) noexcept {
    if (events <= 0) return 0;
    const double root = 1 - 1 / (9 * events) - z / (3 * std::sqrt(events));
    return root > 0 ? events * root * root * root : 0;
}

}  // namespace longhaul::fec
