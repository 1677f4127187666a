// Interval arithmetic on four timestamps.
// SPDX-License-Identifier: Apache-2.0
#include "control/rpo/clock_offset.h"

#include <fmt/format.h>

#include <cmath>

namespace longhaul::control {

namespace {

constexpr WallNs kExchangeMax = 20'000'000'000;
constexpr WallNs kTimeMax = 9'000'000'000'000'000'000;  // year 2255: differences of two such do not overflow
constexpr double kSetSaid_s = 600;                      // how long a clock that was set is worth a word

}  // namespace

double ClockEstimate::uncertainty_s(WallNs now) const {
    const double age_s = std::abs(static_cast<double>(now - measured_at)) / 1e9;
    return static_cast<double>(uncertainty_ns) / 1e9 + PeerClock::kDrift * age_s;
}

Result<ClockEstimate> estimate_clock(const PeerReport& exchange) {
    for (const WallNs time : {exchange.asked, exchange.heard, exchange.received, exchange.answered})
        if (time <= 0 || time > kTimeMax)
            return Error{ErrorCode::protocol_error, "a time of the exchange is out of range"};
    const WallNs here = exchange.heard - exchange.asked, there = exchange.answered - exchange.received;
    if (here < 0 || there < 0 || there > here + here / 1000 + 1'000'000)
        return Error{ErrorCode::protocol_error,
                     "the peer spent more time than the exchange took: a clock was set"};
    if (here > kExchangeMax)
        return Error{ErrorCode::unavailable, "the exchange took too long to measure a clock by"};
    const std::int64_t low = exchange.answered - exchange.heard, high = exchange.received - exchange.asked;
    ClockEstimate out;
    out.offset_ns = low + (high - low) / 2;
    out.uncertainty_ns = std::abs(high - low) / 2 + 1;
    out.measured_at = exchange.heard;
    return out;
}

void PeerClock::add(const ClockEstimate& fresh) {
    compared_at_ = fresh.measured_at;
    if (!best_) {
        best_ = fresh;
        return;
    }
    const double apart_s = std::abs(static_cast<double>(fresh.offset_ns - best_->offset_ns)) / 1e9;
    const double kept_s = best_->uncertainty_s(fresh.measured_at),
                 fresh_s = fresh.uncertainty_s(fresh.measured_at);
    if (apart_s > kept_s + fresh_s) set_at_ = fresh.measured_at;
    best_ = fresh;
}

std::string PeerClock::undated(WallNs heard, WallNs now) const {
    if (!best_) return {};
    const WallNs compared = compared_at_.value_or(best_->measured_at);
    const double silence_s = static_cast<double>(now - compared) / 1e9;
    if (heard <= compared || silence_s <= kSilence_s) return {};
    return fmt::format(
        "a watermark came, and the source's clock was last compared with ours before it, {:.0f} s ago",
        silence_s);
}

std::string PeerClock::problem(WallNs now) const {
    if (!best_) return "its clock has not been measured";
    const double offset_s = static_cast<double>(best_->offset_ns) / 1e9;
    const double uncertainty_s = best_->uncertainty_s(now);
    const double silence_s = static_cast<double>(now - compared_at_.value_or(best_->measured_at)) / 1e9;
    if (silence_s > kSilence_s)
        return fmt::format("the source's clock was last compared with ours {:.0f} s ago", silence_s);
    if (std::abs(offset_s) > kOffsetMax_s)
        return fmt::format("the source's clock is {:.1f} s {} ours (within {:.3f} s): let both follow NTP",
                           std::abs(offset_s), offset_s > 0 ? "ahead of" : "behind", uncertainty_s);
    if (set_at_ && static_cast<double>(now - *set_at_) / 1e9 < kSetSaid_s)
        return fmt::format("the source's clock was set within the last {:.0f} min", kSetSaid_s / 60);
    if (uncertainty_s > kProofUncertainty_s)
        return fmt::format("the source's clock is only known within {:.1f} s", uncertainty_s);
    return {};
}

}  // namespace longhaul::control
