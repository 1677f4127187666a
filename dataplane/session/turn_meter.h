// Whether a stripe that is short has had all its turns. Stripes in their first pass take turns, and how long a turn lasts
// is the sender's affair: a worker that is not let run stops all of them, and then none is late. So turns are counted in
// symbols that came, not in time: a stripe is passed over when several turns' worth of other stripes' symbols have come
// since its own last one, or when a ping says that its first pass is over.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/session/stripe_table.h"

namespace longhaul::session {

class TurnMeter {
  public:
    // A symbol of the stripe's first pass has come.
    void came(OpenStripe& stripe) noexcept {
        ++symbols_;
        if (stripe.turn_seen != 0 && stripe.epoch == 0) learn(symbols_ - stripe.turn_seen);
        stripe.turn_seen = symbols_;
    }
    // The stripe was begun, as later ones show, and nothing of it has come: its turns count from here.
    void begun(OpenStripe& stripe) const noexcept {
        if (stripe.turn_seen == 0) stripe.turn_seen = symbols_;
    }
    // The first pass of every stripe below is over.
    void over_below(std::uint64_t number) noexcept { over_below_ = std::max(over_below_, number); }
    std::uint64_t over_below() const noexcept { return over_below_; }

    bool passed_over(const OpenStripe& stripe) const noexcept {
        if (stripe.number < over_below_ || stripe.epoch != 0) return true;
        return symbols_ - stripe.turn_seen > kTurnsMissed * (turn_ + kFraction - 1) / kFraction;
    }

  private:
    // Several symbols of one stripe may be lost before it is late.
    static constexpr std::uint64_t kTurnsMissed = 4;
    static constexpr std::uint64_t kFraction = 64;
    // Up soon, when more begin to take turns; down slowly. A symbol that was lost or overtaken is one long turn.
    static constexpr std::uint64_t kUp = 4, kDown = 64;

    void learn(std::uint64_t symbols) noexcept {
        const std::uint64_t turn = symbols * kFraction;
        turn_ = turn > turn_ ? turn_ + (turn - turn_) / kUp : turn_ - (turn_ - turn) / kDown;
    }

    std::uint64_t symbols_ = 0;       // of first passes
    std::uint64_t turn_ = kFraction;  // symbols from one of a stripe's to its next, in 1/kFraction
    std::uint64_t over_below_ = 0;
};

}  // namespace longhaul::session
