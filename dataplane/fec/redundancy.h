// How many parity symbols a stripe gets, and how many stripes take turns, from loss measured before FEC (transport
// note B4, 1.2). Pure arithmetic.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/fec/codec.h"

namespace longhaul::fec {

enum class Goal : std::uint8_t { throughput, balanced, latency };

// Loss as Gilbert and Elliott describe it: a bad state that loses everything, entered now and then.
struct LossModel {
    double share = 0;  // of packets, 0..1
    double burst = 1;  // mean packets per loss event; what independent loss has by chance is 1 / (1 - share)
    unsigned depth =
        1;  // stripes in turn: two symbols of one stripe have this distance in the order of sending
};

// P[Bin(n, loss) > m] with n = k + m: probability that a stripe needs a repair round, for independent losses.
double stripe_failure_probability(unsigned k, unsigned m, double loss) noexcept;

// The same for every m at once, under the model: [m] is the probability that more than m of k + m symbols are lost.
// Exact but for rounding (1e-15); some 80 x 17 steps.
using ParityFailures = std::array<double, kErasuresMax + 1>;
ParityFailures failures_by_parity(unsigned k, const LossModel& model) noexcept;

// Parity symbols for a stripe in the steady state, by the goal's rule; at most 16.
unsigned steady_parity(Goal goal, unsigned k, double loss, const ParityFailures& failures) noexcept;
unsigned steady_parity(Goal goal, unsigned k, double loss) noexcept;  // independent losses

// For heads, trailers and the last stripes of a flow: the smallest m with failure probability <= budget, at least
// `least`, at most 16. Where bursts outlast the stripe and no m meets the budget, no more than helps.
unsigned protected_parity(const ParityFailures& failures, double budget, unsigned least) noexcept;
unsigned protected_parity(unsigned k, double loss, double budget, unsigned least) noexcept;

// Stripes that take turns so that a burst of this mean length takes few symbols of each: a power of two, four bursts
// wide, 8..512. 1 where losses are single, and where even 512 is less than two bursts: half an interleave is worse than
// none, because it spreads the burst over more stripes than it can save.
unsigned interleave_depth(double burst) noexcept;

// Bounds of the number of events to expect, given that `events` were seen: Wilson and Hilferty's cube root for the
// Poisson distribution. z = 1.645: one in twenty lies beyond.
double events_upper(double events, double z) noexcept;
double events_lower(double events, double z) noexcept;

}  // namespace longhaul::fec
