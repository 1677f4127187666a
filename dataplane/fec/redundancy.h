// How many parity symbols a stripe gets, from loss measured before FEC (transport note B4). Pure arithmetic.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longhaul::fec {

enum class Goal : std::uint8_t { throughput, balanced, latency };

// P[Bin(n, loss) > m] with n = k + m: probability that a stripe needs a repair round, for independent losses.
double stripe_failure_probability(unsigned k, unsigned m, double loss) noexcept;

// Parity symbols for a stripe in the steady state, by the goal's rule; at most 16.
unsigned steady_parity(Goal goal, unsigned k, double loss) noexcept;

// For heads, trailers and the last stripes of a bundle: the smallest m with failure probability <= budget, at least
// `least`, at most 16.
unsigned protected_parity(unsigned k, double loss, double budget, unsigned least) noexcept;

}  // namespace longhaul::fec
