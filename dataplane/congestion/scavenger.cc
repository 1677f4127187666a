// `scavenger`: once a round trip the window follows the queue; slowdowns by the calendar.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/scavenger.h"

#include <cmath>

#include "dataplane/base/assert.h"

namespace longhaul::congestion {
namespace {

// LEDBAT++ and transport note B6.
constexpr TimeNs kTargetMax = 60 * kMillisecond, kTargetMin = 5 * kMillisecond;
constexpr double kGainDivisorMax = 16;
constexpr double kStartLeaves = 0.75;  // of the target
constexpr double kDecreaseMax = 0.5;
constexpr double kSlowdownShare = 1.0 / 8;
constexpr unsigned kSlowdownRounds = 2;
constexpr TimeNs kSlowdownEvery = 9;  // times the length of the last one

// A packet a round trip, LEDBAT's step, fills no fat pipe: ours is a share of the ceiling, as in `reserved`.
constexpr double kStepShare = 0.02;
constexpr double kStartShare = 1.0 / 32;
constexpr double kLossMax = 0.01;  // above the path's own
constexpr std::uint64_t kLossEventsMin = 4;

}  // namespace

std::string_view to_string(ScavengerController::Phase phase) noexcept {
    using Phase = ScavengerController::Phase;
    switch (phase) {
        case Phase::start:
            return "start";
        case Phase::steady:
            return "steady";
        case Phase::yield:
            return "yield";
        case Phase::slowdown:
            return "slowdown";
        case Phase::ramp:
            return "ramp";
    }
    return "unknown";
}

ScavengerController::ScavengerController(const ControllerConfig& config) noexcept : config_(config) {
    LH_ASSERT(config.cap_bps > 0);
    LH_ASSERT(config.share_of_cap > 0 && config.share_of_cap <= 1);
    const auto start = static_cast<double>(config.start_bps);
    if (start > 0) phase_ = Phase::steady;
    window_.start(start > 0 ? std::min(start, ceiling()) : kStartShare * ceiling(), config.rtt_assumed);
}

void ScavengerController::set_cap(std::uint64_t cap_bps, double share) noexcept {
    LH_ASSERT(cap_bps > 0 && share > 0 && share <= 1);
    config_.cap_bps = cap_bps;
    config_.share_of_cap = share;
    if (window_.rate_bps() > ceiling()) window_.set_rate(ceiling());
}

TimeNs ScavengerController::queue_target() const noexcept {
    return std::min(kTargetMax, std::max(kTargetMin, rtt_base() / 4));
}

std::uint64_t ScavengerController::rate_bps() const noexcept {
    return static_cast<std::uint64_t>(std::min(ceiling(), window_.rate_bps()));
}

// Short round trips grow by less each, so that they grow no faster in time.
double ScavengerController::growth_bytes() const noexcept {
    const double ratio =
        2 * static_cast<double>(queue_target()) / static_cast<double>(std::max(rtt_base(), kMicrosecond));
    const double gain = 1 / std::min(kGainDivisorMax, std::ceil(ratio));
    return gain * kStepShare * ceiling() / 8e9 * static_cast<double>(rtt_base());
}

void ScavengerController::on_sample(const Sample& sample) noexcept {
    const TimeNs queue = route_.queue(sample);
    if (sample.rtt > 0) rtt_.add(sample.rtt - std::min(queue, sample.rtt / 2), sample.now);
    loss_floor_.add(sample);
    window_.observe(sample, rtt_base(), queue, ceiling(), queue_target());
    if (const auto round = rounds_.add(sample, queue)) end_round(*round);
}

void ScavengerController::begin_slowdown(TimeNs now) noexcept {
    window_before_ = window_.bytes();
    window_.set(window_before_ * kSlowdownShare);
    slowdown_began_ = now;
    slow_rounds_ = 0;
    phase_ = Phase::slowdown;
}

void ScavengerController::end_slowdown(TimeNs now) noexcept {
    next_slowdown_ = now + kSlowdownEvery * (now - slowdown_began_);
    phase_ = Phase::steady;
}

void ScavengerController::end_round(const Round& round) noexcept {
    if (!round.application_limited) delivered_bps_ = round.delivered_bps();
    if (const auto before = route_.round(round, rtt_base(), window_.rate_bps())) {
        rtt_.restart(rtt_base() + round.queue_min, round.ended);
        window_.start(*before, rtt_base());
        phase_ = Phase::steady;
        return;
    }
    switch (phase_) {
        case Phase::slowdown:
            if (++slow_rounds_ >= kSlowdownRounds) phase_ = Phase::ramp;
            return;
        case Phase::ramp:
        case Phase::start:
        case Phase::steady:
        case Phase::yield:
            steer(round);
            return;
    }
}

void ScavengerController::steer(const Round& round) noexcept {
    const TimeNs now = round.ended;
    const auto target = static_cast<double>(queue_target());
    const auto queue = static_cast<double>(round.queue_mean());
    const bool lossy = round.judged_lost >= kLossEventsMin && loss_floor_.excess(round) > kLossMax;
    const bool growing = phase_ == Phase::start || phase_ == Phase::ramp;
    if (lossy || queue > target) {
        if (now < hold_until_ && lossy) return;  // the echo of what was halved a round ago
        const double cut = lossy ? kDecreaseMax : std::min(kDecreaseMax, queue / target - 1);
        const double bytes = window_.bytes();
        window_.set(bytes + std::max((lossy ? 0 : growth_bytes()) - bytes * cut, -bytes * kDecreaseMax));
        if (lossy) hold_until_ = now + rtt_base();
        if (phase_ != Phase::yield) ++brakes_;
        if (phase_ == Phase::ramp || next_slowdown_ == kNever)
            next_slowdown_ = now + kSlowdownEvery * 4 * std::max(kRoundMin, rtt_base());
        phase_ = Phase::yield;
        return;
    }
    if (phase_ == Phase::yield) phase_ = Phase::steady;
    if (phase_ == Phase::ramp) {
        window_.set(std::min(2 * window_.bytes(), window_before_));
        if (window_.bytes() >= window_before_) end_slowdown(now);
        return;
    }
    if (phase_ == Phase::start && (queue > kStartLeaves * target || window_.rate_bps() >= ceiling()))
        return begin_slowdown(now);
    if (!growing && now >= next_slowdown_) return begin_slowdown(now);
    if (round.application_limited) return;  // a window that is not used proves nothing
    window_.set(growing ? 2 * window_.bytes() : window_.bytes() + growth_bytes());
    if (phase_ == Phase::steady && next_slowdown_ == kNever)
        next_slowdown_ = now + kSlowdownEvery * 4 * std::max(kRoundMin, rtt_base());
}

Figures ScavengerController::figures() const noexcept {
    Figures figures;
    figures.mode = Mode::scavenger;
    figures.phase = to_string(phase_);
    figures.bandwidth_bps = static_cast<std::uint64_t>(delivered_bps_);
    figures.rtt_base = rtt_base();
    figures.queue_target = queue_target();
    figures.loss_floor = loss_floor_.value();
    return figures;
}

}  // namespace longhaul::congestion
