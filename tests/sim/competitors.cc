// CUBIC and BBR, reduced to what a competitor feels of them.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/competitors.h"

#include <algorithm>
#include <cmath>

namespace longhaul::sim {
namespace {

constexpr double kCubic = 0.4, kBeta = 0.7;  // RFC 9438
constexpr std::uint64_t kReorder = 3;

constexpr double kHighGain = 2.885, kDrainGain = 1 / kHighGain, kWindowGain = 2;
constexpr std::array kCycle{1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
constexpr double kGrowth = 1.25;
constexpr unsigned kStillRounds = 3;
constexpr TimeNs kRoundTripWindow = 10 * kSecond, kProbeRoundTrip = 200 * kMillisecond;
constexpr double kRateStart = 1e-3;  // bytes a nanosecond until something was delivered: 8 Mbit/s
constexpr double kWindowProbe = 4, kWindowStart = 10;

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

TimeNs BbrFlow::next() const {
    if (!started_) return start_;
    const TimeNs send = window_open() && send_at_ < stop_ ? send_at_ : kNever;
    return acknowledgements_.empty() ? send : std::min(send, acknowledgements_.top().at);
}

void BbrFlow::turn(TimeNs now) {
    if (!started_) {
        started_ = true;
        delivered_at_ = send_at_ = phase_since_ = round_trip_at_ = now;
    }
    while (!acknowledgements_.empty() && acknowledgements_.top().at <= now) {
        const std::uint64_t sequence = acknowledgements_.top().sequence;
        acknowledgements_.pop();
        acknowledged(sequence, now);
    }
    if (acknowledgements_.empty() && in_flight_ > 0) {  // all of it was lost
        outstanding_.clear();
        in_flight_ = 0;
    }
    if (now >= send_at_ && now < stop_ && window_open()) pace(now);
}

void BbrFlow::pace(TimeNs now) {
    const wan::Fate fate = forward_.send(kFrameBytes, now);
    if (fate.copies > 0)
        acknowledgements_.push({fate.deliver_at[0] + backward_.settings().delay, next_sequence_});
    outstanding_.push_back({next_sequence_++, now, delivered_at_, delivered_bytes_, false});
    ++in_flight_;
    const double rate = pacing_ * std::max(bandwidth(), kRateStart);
    send_at_ = std::max(send_at_, now - std::min(now, kMillisecond)) +
               static_cast<TimeNs>(static_cast<double>(kFrameBytes) / rate);
}

void BbrFlow::acknowledged(std::uint64_t sequence, TimeNs now) {
    if (outstanding_.empty() || sequence < outstanding_.front().sequence) return;
    Sent& sent = outstanding_[sequence - outstanding_.front().sequence];
    if (sent.acknowledged) return;
    sent.acknowledged = true;
    --in_flight_;
    delivered_bytes_ += kFrameBytes;
    delivered_at_ = now;
    learn(sent, now);
    while (!outstanding_.empty() &&
           (outstanding_.front().acknowledged || outstanding_.front().sequence + kReorder < sequence)) {
        if (!outstanding_.front().acknowledged) --in_flight_;
        outstanding_.pop_front();
    }
    change_phase(now);
}

void BbrFlow::learn(const Sent& sent, TimeNs now) {
    if (now - sent.at <= round_trip_ || now > round_trip_at_ + kRoundTripWindow + kProbeRoundTrip) {
        round_trip_ = now - sent.at;
        round_trip_at_ = now;
    }
    const auto time = static_cast<double>(now - sent.delivered_at);
    double& best = rates_[round_ % kRounds];
    best = std::max(best, static_cast<double>(delivered_bytes_ - sent.delivered_bytes) / time);
    if (sent.delivered_bytes < round_ends_) return;
    round_ends_ = delivered_bytes_;
    end_round(now);
}

void BbrFlow::end_round(TimeNs) {
    if (phase_ == Phase::startup) {
        const bool grew = bandwidth() >= kGrowth * full_;
        still_ = grew ? 0 : still_ + 1;
        if (grew) full_ = bandwidth();
    }
    rates_[++round_ % kRounds] = 0;
}

void BbrFlow::change_phase(TimeNs now) {
    const auto in_flight = static_cast<double>(in_flight_ * kFrameBytes);
    const auto enter = [&](Phase phase) {
        phase_ = phase;
        phase_since_ = now;
    };
    if (phase_ == Phase::startup && still_ >= kStillRounds) enter(Phase::drain);
    if (phase_ == Phase::drain && in_flight <= flight(1)) enter(Phase::probe_bandwidth);
    if (phase_ == Phase::probe_bandwidth && now - phase_since_ > round_trip_) {
        cycle_ = (cycle_ + 1) % kCycle.size();
        phase_since_ = now;
    }
    if (phase_ == Phase::probe_round_trip && now - phase_since_ > kProbeRoundTrip) {
        round_trip_at_ = now;
        enter(Phase::probe_bandwidth);
    } else if (phase_ == Phase::probe_bandwidth && now - round_trip_at_ > kRoundTripWindow) {
        enter(Phase::probe_round_trip);
    }
    const bool filling = phase_ == Phase::startup;
    pacing_ = filling                            ? kHighGain
              : phase_ == Phase::drain           ? kDrainGain
              : phase_ == Phase::probe_bandwidth ? kCycle[cycle_]
                                                 : 1;
    window_ = phase_ == Phase::probe_round_trip
                  ? kWindowProbe * kFrameBytes
                  : std::max(kWindowStart * kFrameBytes, flight(filling ? kHighGain : kWindowGain));
}

double BbrFlow::bandwidth() const {
    return *std::max_element(rates_.begin(), rates_.end());
}

double BbrFlow::flight(double gain) const {
    return round_trip_ == kNever ? 0 : gain * bandwidth() * static_cast<double>(round_trip_);
}

}  // namespace longhaul::sim
