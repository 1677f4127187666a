// `reserved` behind a policer: riding the rate that passes. A policer drops exactly what exceeds its rate, so a little
// more than that loses just that little, and nothing once the policer is gone.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <utility>

#include "dataplane/congestion/reserved.h"

namespace longhaul::congestion {
namespace {

constexpr double kOver = 0.02;  // ridden above what passes
constexpr double kIdleUnder =
    0.98;  // of it while there is not enough to send: then every loss costs a round trip
constexpr double kStillThere = 0.5;   // of kOver: with less lost nothing holds us any more
constexpr double kExplained = 2.5;    // times kOver: more is not of our making
constexpr double kFellBehind = 0.95;  // of what passes: less arrived, the bucket filled
constexpr unsigned kOverrunMax = 2;
constexpr TimeNs kForget = 10 * kSecond;  // without a drop, while there is never enough to send
constexpr double kLossGone = 0.5;         // of the loss at the brake: the rest went with the rate
constexpr double kPacketsMin = 4, kSigmas = 3, kBurst = 8;

}  // namespace

double ReservedController::own_loss() const noexcept {
    if (holding_) return 1;  // the echo of the rate before the brake
    return riding_ && rate_ > policed_bps_ ? kOver / (1 + kOver) : 0;
}

// The path's own loss comes off what the policer lets pass, or off what reaches it: either way more can be sent.
double ReservedController::sent_share() const noexcept {
    return 1 - std::min(baseline_, 0.5);
}

// After a brake, below the rate that had passed: is there still loss?
void ReservedController::tell_policer(const Evidence& below) noexcept {
    if (loss_at_brake_ == 0) return;
    const double before = std::exchange(loss_at_brake_, 0);
    if (before > kLossMin && below.loss() < kLossGone * before)
        policed_bps_ = delivered_at_brake_ / sent_share();
}

double ReservedController::packets_to_tell(double packets) const noexcept {
    return kPacketsMin + kSigmas * std::sqrt(baseline_ * packets * kBurst);
}

bool ReservedController::policed_again(const Evidence& round) const noexcept {
    if (policed_bps_ == 0 || rate_ < policed_bps_) return false;
    const double packets = round.packets();
    const double beyond = (round.loss() - baseline_) * packets;
    return beyond > packets_to_tell(packets) && beyond > kStillThere * kOver * packets;
}

void ReservedController::begin_ride(const Evidence& round, TimeNs now) noexcept {
    // The round may hold samples of a lower rate: what has passed before passes now.
    policed_bps_ = std::max(policed_bps_, delivered(round) / sent_share());
    rate_ = std::clamp((1 + kOver) * policed_bps_, floor(), ceiling());
    riding_ = bucket_empty_ = true;
    dropped_at_ = now;
    overrun_ = 0;
    ride_ = Evidence{};
    hold(now);
}

void ReservedController::ride(const Sample& sample) noexcept {
    const TimeNs now = sample.now;
    ride_.add(sample);
    const double packets = ride_.packets();
    if (ride_.application_limited) bucket_empty_ = false;
    rate_ =
        std::clamp((ride_.application_limited ? kIdleUnder : 1 + kOver) * policed_bps_, floor(), ceiling());
    if (kOver * packets < packets_to_tell(packets) || ride_.interval < rtt_min_ / 2) return;
    const Evidence seen = std::exchange(ride_, Evidence{});
    const double excess = seen.loss() - baseline_;
    overrun_ = excess > kExplained * kOver ? overrun_ + 1 : 0;
    if (overrun_ >= kOverrunMax) return brake(seen, now);
    if (overrun_ > 0) {
        // What a full bucket had let pass was taken for the rate: now it is empty.
        policed_bps_ = std::min(policed_bps_, delivered(seen) / sent_share());
        rate_ = std::clamp((1 + kOver) * policed_bps_, floor(), ceiling());
        dropped_at_ = now;
        return hold(now);
    }
    if (excess >= kStillThere * kOver) {
        bucket_empty_ |= !seen.application_limited;
        dropped_at_ = now;
        return;
    }
    if (seen.application_limited && now < dropped_at_ + kForget) return;
    if (seen.delivered_bps() < kFellBehind * policed_bps_) bucket_empty_ = false;
    riding_ = false;  // what exceeds the bound arrives
    if (bucket_empty_) rate_ = ceiling();
}

}  // namespace longhaul::congestion
