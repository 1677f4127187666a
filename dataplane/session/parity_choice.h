// How many parity rows a stripe leaves with: the goal's rule over the measured loss, raised at once and
// lowered only after ten calm seconds; more for what nobody follows, because a tail that is short costs a
// round trip.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "dataplane/base/time.h"
#include "dataplane/fec/redundancy.h"

namespace longhaul::session {

// Loss over packets before FEC: the plain average at first, then an average with a memory of 2^16 packets.
class LossAverage {
  public:
    void add(std::uint64_t delivered, std::uint64_t lost) noexcept {
        const double packets = static_cast<double>(delivered + lost);
        if (packets <= 0) return;
        weight_ = std::min(weight_ + packets, kMemoryPackets);
        value_ += (static_cast<double>(lost) / packets - value_) * std::min(1.0, packets / weight_);
    }
    double value() const noexcept { return value_; }

  private:
    static constexpr double kMemoryPackets = 65536;
    double value_ = 0, weight_ = 0;
};

class ParityChoice {
  public:
    ParityChoice(fec::Goal goal, std::optional<unsigned> fixed, unsigned k_full)
        : goal_(goal), fixed_(fixed), k_full_(k_full) {}

    void set(fec::Goal goal, std::optional<unsigned> fixed) noexcept {
        goal_ = goal;
        fixed_ = fixed;
        steady_ = 0;
        lower_since_ = kNever;
    }

    // Bulk payload with more behind it.
    unsigned steady(unsigned k, double loss, TimeNs now) noexcept {
        if (fixed_) return std::min(*fixed_, kRowsMax);
        if (k != k_full_) return fec::steady_parity(goal_, k, loss);
        const unsigned wanted = fec::steady_parity(goal_, k, loss);
        const bool lower = wanted < steady_;
        if (lower && lower_since_ == kNever) {
            lower_since_ = now;
        } else if (!lower || now - lower_since_ >= kCalm) {
            steady_ = wanted;
            lower_since_ = kNever;
        }
        return steady_;
    }

    // Heads, trailers, tails: missed at most once in a million.
    unsigned guarded(unsigned k, double loss, bool last, TimeNs now) noexcept {
        if (fixed_) return std::min(*fixed_, kRowsMax);
        const unsigned guard = fec::protected_parity(k, std::max(loss, kLossAssumed), kBudget, last ? 2 : 1);
        return std::max(guard, steady(k, loss, now));
    }

  private:
    static constexpr unsigned kRowsMax = fec::kErasuresMax;
    static constexpr double kBudget = 1e-6;
    static constexpr double kLossAssumed = 1e-4;  // a path that has shown none yet
    static constexpr TimeNs kCalm = 10 * kSecond;

    fec::Goal goal_;
    std::optional<unsigned> fixed_;
    unsigned k_full_;
    unsigned steady_ = 0;
    TimeNs lower_since_ = kNever;
};

}  // namespace longhaul::session
