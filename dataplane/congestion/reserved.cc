// `reserved`: when the brake is pulled, and how the rate comes back (transport note B6).
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/reserved.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/assert.h"

namespace longhaul::congestion {
namespace {

// B6: brake when loss over an RTT exceeds max(1 %, 4 x baseline), to 0.9 x delivered; recover 2 % of the cap
// per RTT.
constexpr double kLossOverBaseline = 4.0;
constexpr double kBrakeShare = 0.9;
constexpr double kRecoverPerRound = 0.02;

// Loss alone cannot tell a policer from a bad fibre. Both must hold: loss above its history, and either at
// least this share of what was sent does not arrive or a queue of kQueueEvidence stands. And it must last: in
// most samples of a round, two rounds running, so that a burst, however long against a slow link's round, is
// not taken for a trend.
constexpr double kShortfall = 0.03;
constexpr TimeNs kQueueEvidence = 5 * kMillisecond;
constexpr double kLossyShare = 0.75;
constexpr double kOverwhelming = 0.5;  // next to nothing arrives: few samples are left to show it
constexpr unsigned kSuspiciousRoundsMin = 2;

constexpr unsigned kRerouteRounds = 20;  // after a step of the delay was taken for a route

constexpr TimeNs kQueueStandingMin = 10 * kMillisecond;
constexpr double kBaselineMemoryPackets = 131072;  // 2^17, B4
constexpr std::uint64_t kIdlePacketsMin = 512;     // of a round in which there was not enough to send
constexpr double kWellBelow = 0.96;  // of what arrived before the brake: loss at that rate is the path's own

// Room beyond the bandwidth-delay product: a standing queue Q* and the time until feedback comes.
constexpr double kInflightGain = 1.25;
constexpr TimeNs kQueueAllowance = 15 * kMillisecond;
constexpr TimeNs kFeedbackSlack = 10 * kMillisecond;
constexpr std::uint64_t kInflightMin = 256u << 10;

}  // namespace

double ReservedController::Evidence::loss() const noexcept {
    const std::uint64_t sent = delivered_packets + lost_packets;
    return sent == 0 ? 0 : static_cast<double>(lost_packets) / static_cast<double>(sent);
}

double ReservedController::Evidence::delivered_bps() const noexcept {
    return interval == 0 ? 0 : static_cast<double>(delivered_bytes) * 8e9 / static_cast<double>(interval);
}

void ReservedController::Evidence::add(const Sample& sample) noexcept {
    interval += sample.interval;
    delivered_bytes += sample.delivered_bytes;
    delivered_packets += sample.delivered_packets;
    lost_packets += sample.lost_packets;
    application_limited |= sample.application_limited;
}

ReservedController::ReservedController(const ReservedConfig& config) noexcept
    : config_(config), rate_(0), rtt_min_(config.rtt_assumed) {
    LH_ASSERT(config.cap_bps > 0);
    LH_ASSERT(config.share_of_cap > 0 && config.share_of_cap <= 1);
    LH_ASSERT(config.floor_share > 0 && config.floor_share <= config.share_of_cap);
    rate_ = ceiling();
    if (config.start_bps > 0) rate_ = std::clamp(static_cast<double>(config.start_bps), floor(), ceiling());
}

void ReservedController::set_cap(std::uint64_t cap_bps, double share) noexcept {
    LH_ASSERT(cap_bps > 0 && share > 0 && share <= 1);
    // Keep the share that the brake left us: a change of contract says nothing about the path's health.
    const double left = rate_ / ceiling();
    config_.cap_bps = cap_bps;
    config_.share_of_cap = share;
    rate_ = std::clamp(ceiling() * left, floor(), ceiling());
}

Figures ReservedController::figures() const noexcept {
    Figures figures;
    figures.mode = Mode::reserved;
    figures.phase = holding_ ? "hold" : riding_ ? "ride" : rate_ < ceiling() ? "recover" : "cruise";
    figures.bandwidth_bps = static_cast<std::uint64_t>(policed_bps_ > 0 ? policed_bps_ : delivered_at_brake_);
    figures.rtt_base = rtt_min_;
    figures.queue_target = std::max(kQueueStandingMin, rtt_min_ / 4);
    figures.loss_floor = baseline_;
    return figures;
}

std::uint64_t ReservedController::inflight_cap_bytes() const noexcept {
    const double per_ns = rate_ / 8e9;
    const double bytes = kInflightGain * per_ns * static_cast<double>(rtt_min_ + kQueueAllowance) +
                         per_ns * static_cast<double>(kFeedbackSlack);
    return std::max(kInflightMin, static_cast<std::uint64_t>(bytes));
}

void ReservedController::on_sample(const Sample& sample) noexcept {
    if (sample.rtt_min > 0) {
        rtt_min_ = sample.rtt_min;
        rtt_known_ = true;
    }
    const TimeNs queue = route_.queue(sample);
    watch_route(sample, queue);
    holding_ = sample.now < hold_until_;
    if (holding_) return;  // still the echo of the rate before the brake
    add_to_round(sample, queue);
    if (riding_) ride(sample);
    if (holding_) return;
    const TimeNs round_length = std::max(kRoundMin, rtt_min_);
    const bool enough = round_.delivered_packets + round_.lost_packets >= kRoundPacketsMin;
    // A quiet sender still recovers: after eight RTTs a round ends with whatever it holds.
    if (round_.interval >= round_length && (enough || round_.interval >= 8 * round_length))
        end_round(sample.now);
}

// What the brake took for a queue was a longer route: it is taken back.
void ReservedController::watch_route(const Sample& sample, TimeNs queue) noexcept {
    const auto round = rounds_.add(sample, queue);
    if (!round) return;
    if (const auto before = route_.round(*round, rtt_min_, rate_)) {
        rate_ = std::clamp(*before, floor(), ceiling());
        round_ = Evidence{};
        suspicious_rounds_ = 0;
        riding_ = false;
        rerouted_at_ = sample.now;
    }
}

void ReservedController::add_to_round(const Sample& sample, TimeNs queue) noexcept {
    round_.add(sample);
    round_.queue_min = std::min(round_.queue_min, queue);
    const std::uint64_t packets = sample.delivered_packets + sample.lost_packets;
    if (packets == 0) return;
    ++round_.samples;
    if (static_cast<double>(sample.lost_packets) > kLossMin * static_cast<double>(packets))
        ++round_.lossy_samples;
}

bool ReservedController::loss_exceeds_history(const Evidence& round) const noexcept {
    // Feedback alone is some ninety packets a round: three of them are chance.
    const std::uint64_t least = round.application_limited ? kIdlePacketsMin : kRoundPacketsMin;
    if (round.delivered_packets + round.lost_packets < least) return false;
    const double loss = round.loss();
    if (loss < kOverwhelming && round.lossy_samples < kLossyShare * round.samples) return false;
    if (loss <= std::max(kLossMin, kLossOverBaseline * baseline_)) return false;
    const bool queue_grows = round.queue_min != kNever && round.queue_min > kQueueEvidence;
    return loss > kShortfall || queue_grows;
}

void ReservedController::learn_baseline(const Evidence& round, bool suspicious) noexcept {
    const double packets = static_cast<double>(round.delivered_packets + round.lost_packets);
    if (packets < static_cast<double>(kRoundPacketsMin)) return;
    if (rate_ <= kWellBelow * delivered_at_brake_) {
        // The path has carried more than this: what is still lost now is lost whatever we do.
        baseline_ += (round.loss() - baseline_) / 2;
        tell_policer(round);
        return;
    }
    if (suspicious) return;
    baseline_packets_ = std::min(kBaselineMemoryPackets, baseline_packets_ + packets);
    baseline_ += (round.loss() - baseline_) * std::min(1.0, packets / baseline_packets_);
}

void ReservedController::end_round(TimeNs now) noexcept {
    const Evidence round = std::exchange(round_, Evidence{});
    const TimeNs standing = std::max(kQueueStandingMin, rtt_min_ / 4);
    const bool queue_stands = rtt_known_ && round.queue_min != kNever && round.queue_min > standing;
    if (riding_ && !queue_stands) return;  // its verdicts have periods of their own
    const bool loss_suspicious = loss_exceeds_history(round);
    const bool policed = policed_again(round);
    if (!queue_stands)
        learn_baseline(round, loss_suspicious || policed);  // a full queue drops: not the path's own

    if (loss_suspicious && rerouted_at_ != 0) {
        if (now < rerouted_at_ + kRerouteRounds * std::max(kRoundMin, rtt_min_)) {
            route_.take_back(now);
            rerouted_at_ = 0;
            return brake(round, now);
        }
        rerouted_at_ = 0;
    }
    suspicious_rounds_ = loss_suspicious ? suspicious_rounds_ + 1 : 0;
    if (policed && !queue_stands) return begin_ride(round, now);
    if (queue_stands || suspicious_rounds_ >= kSuspiciousRoundsMin) {
        brake(round, now);
        return;
    }
    if (suspicious_rounds_ == 0) {
        const double rounds =
            static_cast<double>(round.interval) / static_cast<double>(std::max(kRoundMin, rtt_min_));
        rate_ += static_cast<double>(config_.cap_bps) * kRecoverPerRound * rounds;
        rate_ = std::min(rate_, ceiling());
    }
}

// What an application-limited sender delivered says nothing about the path; its loss share does.
double ReservedController::delivered(const Evidence& round) const noexcept {
    return round.application_limited ? rate_ * (1 - round.loss()) : round.delivered_bps();
}

void ReservedController::brake(const Evidence& round, TimeNs now) noexcept {
    delivered_at_brake_ = delivered(round);
    loss_at_brake_ = round.loss();
    policed_bps_ = 0;  // until loss is seen to end below
    riding_ = false;
    rate_ = std::clamp(std::min(rate_, kBrakeShare * delivered_at_brake_), floor(), ceiling());
    hold(now);
}

// The rate was lowered: what samples show for a while is the echo of the rate before.
void ReservedController::hold(TimeNs now) noexcept {
    ++brakes_;
    suspicious_rounds_ = 0;
    // A loss is told from reordering up to a quarter round trip late, and a sample covers another quarter.
    hold_until_ = now + rtt_min_ + rtt_min_ / 2 + kFeedbackSlack;
    holding_ = true;
}

std::unique_ptr<Controller> make_reserved(const ReservedConfig& config) {
    return std::make_unique<ReservedController>(config);
}

}  // namespace longhaul::congestion
