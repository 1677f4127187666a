// How far another site's clock is from ours, as an interval that certainly holds it.
//
// One exchange says: they received it after we asked, and answered before we heard. So their clock minus ours
// lies between answered - heard and received - asked, however lopsided the way was. The middle is the estimate,
// half the width its uncertainty, which grows with the age of the measurement.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "control/core.h"

namespace longhaul::control {

struct ClockEstimate {
    std::int64_t offset_ns = 0;  // theirs minus ours
    std::int64_t uncertainty_ns = 0;
    WallNs measured_at = 0;  // ours

    double uncertainty_s(WallNs now) const;  // with the drift since
};

// Refuses what no clock can have shown: an answer before the question, a way longer than kExchangeMax.
Result<ClockEstimate> estimate_clock(const PeerReport& exchange);

class PeerClock {
  public:
    static constexpr double kDrift = 200e-6;          // of two cheap oscillators against each other
    static constexpr double kProofUncertainty_s = 1;  // above this a lag is an estimate
    static constexpr double kSilence_s = 60;    // a clock that was not compared for longer may have been set
    static constexpr double kOffsetMax_s = 60;  // further apart, somebody has to look after NTP

    PeerClock() = default;
    explicit PeerClock(const ClockEstimate& remembered) : best_(remembered) {}

    // The last one counts, tighter or not: a step smaller than the uncertainties would make an older one wrong. Disjoint
    // from the one before: the clock was set.
    void add(const ClockEstimate& fresh);
    const std::optional<ClockEstimate>& best() const { return best_; }
    std::string problem(WallNs now) const;  // why a lag by this clock is no proof; empty: it is one
    // Why a watermark that came at `heard` cannot be dated at all: nobody has asked since what clock it was read from,
    // which may have been set meanwhile. Empty: it can.
    std::string undated(WallNs heard, WallNs now) const;

  private:
    std::optional<ClockEstimate> best_;
    std::optional<WallNs> set_at_, compared_at_;
};

}  // namespace longhaul::control
