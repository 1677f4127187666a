// `delay`: FAST's window law with the bounds of transport note B6, once a round trip.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/delay.h"

#include "dataplane/base/assert.h"

namespace longhaul::congestion {
namespace {

// B6: R <- R x clamp(1 + 0.5 (1 - q/Q*), 0.7, 1.05), Q* = 5 to 20 ms. The queue's share of the round trip stands in
// for its share of Q*, as in FAST: with B6's own gain a 50 ms path swings by a factor of two.
constexpr double kGain = 0.5;
constexpr double kFactorMin = 0.7, kFactorMax = 1.05;
constexpr TimeNs kTargetMin = 5 * kMillisecond, kTargetMax = 20 * kMillisecond;

// Ours: start and return. An empty queue for four round trips means that the path has room.
constexpr double kStartShare = 0.25, kStartFactor = 1.5;
constexpr unsigned kEmptyRounds = 4;
constexpr double kEmptyShare = 1.0 / 8;  // of the target
constexpr double kClimbStep = 0.05, kClimbMax = 1.25;

// Ours: queues shorter than the target, and policers, speak by loss only.
constexpr double kLossMax = 0.01;  // above the path's own
constexpr std::uint64_t kLossEventsMin = 6;
constexpr double kBrakeShare = 0.95;
constexpr double kPastLoss = 1.002;
constexpr TimeNs kLossRemembered = 10 * kSecond;

}  // namespace

std::string_view to_string(DelayController::Phase phase) noexcept {
    using Phase = DelayController::Phase;
    switch (phase) {
        case Phase::start:
            return "start";
        case Phase::converge:
            return "converge";
        case Phase::climb:
            return "climb";
    }
    return "unknown";
}

DelayController::DelayController(const ControllerConfig& config) noexcept : config_(config) {
    LH_ASSERT(config.cap_bps > 0);
    LH_ASSERT(config.share_of_cap > 0 && config.share_of_cap <= 1);
    const auto start = static_cast<double>(config.start_bps);
    if (start > 0) phase_ = Phase::converge;
    window_.start(start > 0 ? std::min(start, ceiling()) : kStartShare * ceiling(), config.rtt_assumed);
}

void DelayController::set_cap(std::uint64_t cap_bps, double share) noexcept {
    LH_ASSERT(cap_bps > 0 && share > 0 && share <= 1);
    config_.cap_bps = cap_bps;
    config_.share_of_cap = share;
    if (window_.rate_bps() > ceiling()) window_.set_rate(ceiling());
}

TimeNs DelayController::queue_target() const noexcept {
    const double share = std::min(1.0, window_.rate_bps() / ceiling());
    return kTargetMax - static_cast<TimeNs>(share * static_cast<double>(kTargetMax - kTargetMin));
}

std::uint64_t DelayController::rate_bps() const noexcept {
    return static_cast<std::uint64_t>(std::min(ceiling(), window_.rate_bps()));
}

void DelayController::on_sample(const Sample& sample) noexcept {
    const TimeNs queue = route_.queue(sample);
    if (sample.rtt > 0) rtt_.add(sample.rtt - std::min(queue, sample.rtt / 2), sample.now);
    loss_floor_.add(sample);
    window_.observe(sample, rtt_base(), queue, ceiling(), kTargetMax);
    if (const auto round = rounds_.add(sample, queue)) end_round(*round);
}

void DelayController::brake(const Round& round) noexcept {
    const double rate = window_.rate_bps();
    // What an application-limited sender delivered says nothing about the path; its loss share does.
    const double arrived = round.application_limited ? rate * (1 - round.loss()) : round.delivered_bps();
    window_.set_rate(std::clamp(kBrakeShare * arrived, kFactorMin * rate, rate));
    lossy_bps_ = arrived;
    lossy_until_ = round.ended + kLossRemembered;
    hold_until_ = round.ended + std::max(kRoundMin, rtt_base());
    empty_rounds_ = 0;
    phase_ = Phase::converge;
    ++brakes_;
}

double DelayController::growth(const Round& round) noexcept {
    const auto target = static_cast<double>(queue_target());
    const auto queue = static_cast<double>(round.queue_mean());
    empty_rounds_ = queue < kEmptyShare * target ? empty_rounds_ + 1 : 0;
    if (phase_ == Phase::start) {
        if (queue < target / 2 && window_.rate_bps() < ceiling()) return kStartFactor;
        phase_ = Phase::converge;
    }
    phase_ = empty_rounds_ >= kEmptyRounds && window_.rate_bps() < ceiling() ? Phase::climb : Phase::converge;
    if (phase_ == Phase::climb)
        return std::min(kClimbMax, kFactorMax + kClimbStep * (empty_rounds_ - kEmptyRounds));
    const double share = (target - queue) / (static_cast<double>(rtt_base()) + queue);
    return std::clamp(1 + kGain * share, kFactorMin, kFactorMax);
}

void DelayController::end_round(const Round& round) noexcept {
    if (!round.application_limited) delivered_bps_ = round.delivered_bps();
    if (const auto before = route_.round(round, rtt_base(), window_.rate_bps())) {
        rtt_.restart(rtt_base() + round.queue_min, round.ended);
        window_.start(*before, rtt_base());
        return;
    }
    if (round.ended < hold_until_) return;  // still the echo of the rate before the brake
    if (round.judged_lost >= kLossEventsMin && loss_floor_.excess(round) > kLossMax) return brake(round);
    double factor = growth(round);
    if (factor > 1) {
        if (round.application_limited) return;  // a window that is not used proves nothing
        const bool near_loss =
            round.ended < lossy_until_ && window_.rate_bps() * factor > lossy_bps_ * kBrakeShare;
        if (near_loss) factor = kPastLoss;
    }
    window_.set(window_.bytes() * factor);
}

Figures DelayController::figures() const noexcept {
    Figures figures;
    figures.mode = Mode::delay;
    figures.phase = to_string(phase_);
    figures.bandwidth_bps = static_cast<std::uint64_t>(delivered_bps_);
    figures.rtt_base = rtt_base();
    figures.queue_target = queue_target();
    figures.loss_floor = loss_floor_.value();
    return figures;
}

}  // namespace longhaul::congestion
