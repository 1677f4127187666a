// CUBIC, reduced to what a competitor feels of it.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/competitors.h"

#include <algorithm>
#include <cmath>

namespace longhaul::sim {
namespace {

constexpr double kCubic = 0.4, kBeta = 0.7;  // RFC 9438
constexpr std::uint64_t kReorder = 3;

}  // namespace

TimeNs CubicFlow::next() const {
    if (!started_) return start_;
    const TimeNs timeout = in_flight_ > 0 ? last_heard_ + kTimeout : kNever;
    return acknowledgements_.empty() ? timeout : std::min(timeout, acknowledgements_.top().at);
}

void CubicFlow::turn(TimeNs now) {
    if (!started_) {
        started_ = true;
        last_heard_ = now;
    }
    while (!acknowledgements_.empty() && acknowledgements_.top().at <= now) {
        const std::uint64_t sequence = acknowledgements_.top().sequence;
        acknowledgements_.pop();
        acknowledged(sequence, now);
    }
    if (in_flight_ > 0 && now >= last_heard_ + kTimeout) {
        outstanding_.clear();
        in_flight_ = 0;
        threshold_ = std::max(2.0, window_ * kBeta);
        window_ = 2;
        last_heard_ = now;
    }
    if (now < stop_) fill_window(now);
}

void CubicFlow::fill_window(TimeNs now) {
    while (static_cast<double>(in_flight_) < window_) {
        const wan::Fate fate = forward_.send(kFrameBytes, now);
        if (fate.copies > 0)
            acknowledgements_.push({fate.deliver_at[0] + backward_.settings().delay, next_sequence_});
        outstanding_.push_back({next_sequence_++, now, false});
        ++in_flight_;
    }
}

void CubicFlow::acknowledged(std::uint64_t sequence, TimeNs now) {
    last_heard_ = now;
    if (outstanding_.empty() || sequence < outstanding_.front().sequence) return;
    Sent& sent = outstanding_[sequence - outstanding_.front().sequence];
    if (sent.acknowledged) return;
    sent.acknowledged = true;
    --in_flight_;
    delivered_bytes_ += kFrameBytes;
    round_trip_ = now - sent.at;
    grow(now);
    while (!outstanding_.empty() &&
           (outstanding_.front().acknowledged || outstanding_.front().sequence + kReorder < sequence)) {
        if (!outstanding_.front().acknowledged) lost(outstanding_.front(), now);
        outstanding_.pop_front();
    }
}

// One cut for all that was sent before it.
void CubicFlow::lost(const Sent& sent, TimeNs now) {
    --in_flight_;
    if (sent.at < cut_at_) return;
    window_max_ = window_;
    window_ = std::max(2.0, window_ * kBeta);
    threshold_ = window_;
    cut_at_ = epoch_ = now;
}

void CubicFlow::grow(TimeNs now) {
    if (window_ < threshold_) {
        window_ += 1;
        return;
    }
    const double k = std::cbrt(window_max_ * (1 - kBeta) / kCubic);
    const double t = static_cast<double>(now - epoch_ + round_trip_) / 1e9;
    const double target = std::clamp(kCubic * std::pow(t - k, 3) + window_max_, window_, 1.5 * window_);
    // Never slower than a Reno flow of the same fate would be.
    window_ += std::max((target - window_) / window_, 0.5 / window_);
}

}  // namespace longhaul::sim
