// How many parity rows a stripe leaves with, and how many stripes take turns: the goal's rule over the measured loss,
// raised at once and lowered only after ten calm seconds; more for what nobody follows, because a tail that is short
// costs a round trip. Decided anew at most a few times a second; asking is a look into a table.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

#include "dataplane/base/time.h"
#include "dataplane/fec/redundancy.h"
#include "dataplane/session/loss_meter.h"

namespace longhaul::session {

class ParityChoice {
  public:
    ParityChoice(fec::Goal goal, std::optional<unsigned> fixed, unsigned k_full) noexcept
        : goal_(goal), fixed_(fixed), k_full_(k_full) {
        decide(0);
    }

    void set(fec::Goal goal, std::optional<unsigned> fixed) noexcept {
        goal_ = goal;
        fixed_ = fixed;
        rows_ = {};
        decide(decided_);
    }

    // What has been measured by now; `lost`: since the last time.
    void learn(const LossMeter::Estimate& loss, std::uint64_t lost, TimeNs now) noexcept {
        if (lost > 0 || last_loss_ == kNever) last_loss_ = now;
        off_ = now - last_loss_ >= kCleanFor;
        const bool worse = loss.upper > kWorse * loss_.upper;
        if (now - decided_ < (worse ? kHaste : kInterval)) return;
        loss_ = loss;
        decide(now);
    }

    // What was learned lately was about congestion: back to this, at once.
    void forget(const LossMeter::Estimate& loss, TimeNs now) noexcept {
        loss_ = loss;
        rows_ = {};
        depth_ = {1, kNever};
        decide(now);
    }

    // The lanes that carry stripes from now on: their symbols take turns on them.
    void spread_over(unsigned lanes) noexcept { lanes_ = lanes; }

    // Bulk payload with more behind it.
    unsigned steady(unsigned k) const noexcept {
        if (fixed_) return std::min(*fixed_, kRowsMax);
        if (k == k_full_) return rows_.held;
        return steady_wanted(k);
    }

    // Heads and trailers: everything else waits for them. `last`: nothing follows that would show them missing.
    unsigned guarded(unsigned k, bool last, unsigned depth) const noexcept {
        if (fixed_) return std::min(*fixed_, kRowsMax);
        if (off_ && !last) return std::max(steady(k), lane_rows(k));
        return std::max(
            {steady(k), lane_rows(k), fec::protected_parity(failures(k, depth), kBudget, last ? 2 : 1)});
    }

    // One of the last `stripes` of what nobody follows: all of them together are short once in a million times.
    unsigned tail(unsigned k, std::uint64_t stripes, unsigned depth) noexcept {
        if (fixed_) return std::min(*fixed_, kRowsMax);
        const double budget = kBudget / static_cast<double>(std::max<std::uint64_t>(stripes, 1));
        const bool guess = k == k_full_ && unknown();
        tail_rows_ =
            std::max({steady(k), lane_rows(k),
                      fec::protected_parity(guess ? guessed(depth) : failures(k, depth), budget, 2)});
        return tail_rows_;
    }

    // Stripes in turn where there is parity to gain from it.
    unsigned depth() const noexcept { return depth_.held; }
    // Long-run loss to allow for when a repair is sent.
    double repair_loss() const noexcept { return loss_.share; }
    fec::Goal goal() const noexcept { return goal_; }

    // For the operator: what was decided, and from what.
    const LossMeter::Estimate& decided_from() const noexcept { return loss_; }
    unsigned tail_rows() const noexcept { return tail_rows_; }
    bool off() const noexcept { return off_ && rows_.held == 0; }

  private:
    static constexpr unsigned kRowsMax = fec::kErasuresMax;
    static constexpr double kBudget = 1e-6;
    static constexpr double kWorse = 1.5;
    static constexpr TimeNs kInterval = 250 * kMillisecond, kHaste = 10 * kMillisecond;
    static constexpr TimeNs kCalm = 10 * kSecond;      // B4: raise at once, lower after this
    static constexpr TimeNs kCleanFor = 60 * kSecond;  // B4.5: no redundancy but for tails
    static constexpr double kLossGuessed = 1e-4, kBurstGuessed = 64;
    static constexpr unsigned kDepths = 10;  // 1, 2, 4 .. 512
    static constexpr unsigned kLaneRowsFree = 2,
                              kLaneRowsShare = 4;  // at most 2 rows, or a quarter of the data

    struct Held {
        unsigned held = 0;
        TimeNs lower_since = kNever;
        void want(unsigned wanted, TimeNs now) noexcept {
            const bool lower = wanted < held;
            if (lower && lower_since == kNever) {
                lower_since = now;
            } else if (!lower || now - lower_since >= kCalm) {
                held = wanted;
                lower_since = kNever;
            }
        }
    };

    void decide(TimeNs now) noexcept {
        decided_ = now;
        known_ = 0;
        if (std::exchange(guessing_, unknown()) && !guessing_)
            depth_ = {1, kNever};  // what is known counts at once
        depth_.want(fec::interleave_depth(guessing_ ? kBurstGuessed : loss_.burst), now);
        rows_.want(steady_wanted(k_full_), now);
    }

    // The upper bound guards against rounds of repair. Throughput does not mind them: parity only where it surely pays.
    unsigned steady_wanted(unsigned k) const noexcept {
        if (goal_ == fec::Goal::throughput) return fec::steady_parity(goal_, k, loss_.lower);
        return fec::steady_parity(goal_, k, loss_.upper, failures(k, depth()));
    }

    // The first burst on a path is one that nobody has seen coming. Where latency is the goal a tail is prepared for it
    // until a loss shows what the path's are like, or a minute passes without one.
    bool unknown() const noexcept { return goal_ == fec::Goal::latency && loss_.share == 0 && !off_; }
    const fec::ParityFailures& guessed(unsigned depth) const noexcept {
        const unsigned exponent = exponent_of(depth);
        if ((guesses_known_ >> exponent & 1) == 0) {
            guesses_[exponent] =
                fec::failures_by_parity(k_full_, {kLossGuessed, kBurstGuessed, 1u << exponent});
            guesses_known_ |= 1u << exponent;
        }
        return guesses_[exponent];
    }

    static unsigned exponent_of(unsigned depth) noexcept {
        return std::min<unsigned>(std::bit_width(std::max(depth, 1u)) - 1u, kDepths - 1);
    }
    fec::ParityFailures failures(unsigned k, unsigned depth) const noexcept {
        const unsigned exponent = exponent_of(depth);
        const fec::LossModel model{loss_.upper, loss_.burst, 1u << exponent};
        if (k != k_full_) return fec::failures_by_parity(k, model);
        if ((known_ >> exponent & 1) == 0) {
            table_[exponent] = fec::failures_by_parity(k, model);
            known_ |= 1u << exponent;
        }
        return table_[exponent];
    }

    // Where latency is the goal, what is waited for survives the death of a lane without a repair (B4.3): m rows outlast
    // any one of L lanes if each carries at most m of k + m symbols. Few lanes ask for more rows than that is worth.
    unsigned lane_rows(unsigned k) const noexcept {
        if (goal_ != fec::Goal::latency || lanes_ < 2) return 0;
        const unsigned rows = (k + lanes_ - 2) / (lanes_ - 1);
        return rows <= std::max(kLaneRowsFree, k / kLaneRowsShare) && rows <= kRowsMax ? rows : 0;
    }

    fec::Goal goal_;
    std::optional<unsigned> fixed_;
    unsigned k_full_;
    LossMeter::Estimate loss_;
    Held rows_, depth_{1, kNever};
    unsigned tail_rows_ = 0, lanes_ = 1;
    bool off_ = false, guessing_ = false;
    TimeNs decided_ = 0, last_loss_ = kNever;
    mutable std::array<fec::ParityFailures, kDepths> table_{};    // of full stripes, by the depth's exponent
    mutable std::array<fec::ParityFailures, kDepths> guesses_{};  // the same before any loss
    mutable unsigned guesses_known_ = 0;
    mutable unsigned known_ = 0;  // which of them hold for this decision
};

}  // namespace longhaul::session
