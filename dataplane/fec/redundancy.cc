// Redundancy from measured loss: each goal weighs the cost of a parity symbol against the cost of a repair
// round.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/redundancy.h"

#include <algorithm>
#include <cmath>

#include "dataplane/base/assert.h"
#include "dataplane/fec/codec.h"

namespace longhaul::fec {
namespace {

constexpr unsigned kParityMax = kErasuresMax;
constexpr double kRepairWeight = 0.3;        // balanced: a failed stripe costs as much as 0.3 of its data
constexpr double kThroughputLossMin = 0.02;  // throughput: below, repairs alone are cheaper than any parity
constexpr double kThroughputFailure = 0.5;   // above: bound the stripes that wait in memory for a repair
constexpr double kLatencyFailure = 2e-3;

unsigned smallest_parity(unsigned k, double loss, double failure, unsigned least) noexcept {
    unsigned m = std::min(least, kParityMax);
    while (m < kParityMax && stripe_failure_probability(k, m, loss) > failure)
        ++m;
    return m;
}

// Minimises J(m) = m / k + w P_s(m). P_s falls at least as fast as a geometric series once it falls at all,
// but for heavy loss it starts flat: so all 17 values are compared.
unsigned balanced_parity(unsigned k, double loss) noexcept {
    unsigned best = 0;
    double best_cost = kRepairWeight * stripe_failure_probability(k, 0, loss);
    for (unsigned m = 1; m <= kParityMax; ++m) {
        const double parity_cost = static_cast<double>(m) / k;
        if (parity_cost >= best_cost) break;  // no larger m can be cheaper
        const double cost = parity_cost + kRepairWeight * stripe_failure_probability(k, m, loss);
        if (cost < best_cost) {
            best = m;
            best_cost = cost;
        }
    }
    return best;
}

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

unsigned steady_parity(Goal goal, unsigned k, double loss) noexcept {
    switch (goal) {
        case Goal::throughput:
            return loss > kThroughputLossMin ? smallest_parity(k, loss, kThroughputFailure, 1) : 0;
        case Goal::balanced:
            return balanced_parity(k, loss);
        case Goal::latency:
            return smallest_parity(k, loss, kLatencyFailure, 0);
    }
    return 0;
}

unsigned protected_parity(unsigned k, double loss, double budget, unsigned least) noexcept {
    return smallest_parity(k, loss, budget, least);
}

}  // namespace longhaul::fec
