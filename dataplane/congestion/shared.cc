// `shared`: the BBRv3 model on samples that come four times a round trip.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/shared.h"

#include "dataplane/base/assert.h"

namespace longhaul::congestion {
namespace {

// draft-ietf-ccwg-bbr
constexpr double kStartupPacing = 2.77, kStartupWindow = 2.0;
constexpr double kDrainPacing = 0.5;
constexpr double kUpPacing = 1.25, kUpWindow = 2.25;
constexpr double kDownPacing = 0.90;
constexpr double kWindow = 2.0;
constexpr double kPacingMargin = 0.99;
constexpr double kLossThreshold = 0.02;
constexpr double kBeta = 0.7;
constexpr double kHeadroom = 0.15;
constexpr double kGrowth = 1.25;
constexpr unsigned kPlateauRounds = 3;
constexpr std::uint64_t kLossEventsMin = 6;
constexpr TimeNs kProbeWaitMin = 2 * kSecond, kProbeWaitSpread = kSecond;
constexpr std::uint64_t kProbeRoundsMin = 62;
constexpr TimeNs kRttProbeEvery = 5 * kSecond, kRttProbeFor = 200 * kMillisecond;
constexpr double kRttProbeWindow = 0.5;

// Ours. The OWD says when the pipe is full, so neither startup nor a probe need fill it by twice its volume; it says
// too when the queue has been empty, and then the round trip needs no probe (amendment c).
constexpr TimeNs kEmptyWithin = 10 * kSecond;
constexpr TimeNs kEmptyMax = kMillisecond;
constexpr TimeNs kFullMin = 5 * kMillisecond;
constexpr double kHintShare = 0.25;  // startup begins at this share of the cap (amendment d)
constexpr double kRaiseFirst = 1.0 / 128;
constexpr double kShrunkShare = 0.8;
constexpr double kGiveWay = 0.99;
constexpr double kRateMin = 1e5;
constexpr double kInflightMin = 32 << 10;
constexpr TimeNs kFeedbackMin = 500 * kMicrosecond, kFeedbackMax = 5 * kMillisecond;
constexpr TimeNs kFeedbackSlack = 5 * kMillisecond;  // feedback that comes late must not stop the pacer

}  // namespace

std::string_view to_string(SharedController::Phase phase) noexcept {
    using Phase = SharedController::Phase;
    switch (phase) {
        case Phase::startup:
            return "startup";
        case Phase::drain:
            return "drain";
        case Phase::probe_down:
            return "probe_down";
        case Phase::cruise:
            return "cruise";
        case Phase::refill:
            return "refill";
        case Phase::probe_up:
            return "probe_up";
        case Phase::probe_rtt:
            return "probe_rtt";
    }
    return "unknown";
}

SharedController::SharedController(const ControllerConfig& config) noexcept
    : config_(config), random_(config.seed) {
    LH_ASSERT(config.cap_bps > 0);
    LH_ASSERT(config.share_of_cap > 0 && config.share_of_cap <= 1);
    const auto start = static_cast<double>(config.start_bps);
    if (start > 0) {
        // What arrives now is known: go on at it, and ask for more when the first probe is due.
        bandwidth_max_[0] = std::min(start, ceiling()) / kPacingMargin;
        phase_ = Phase::cruise;
    } else {
        bandwidth_max_[0] = ceiling() * kHintShare / kStartupPacing;
    }
    probe_wait_ = kProbeWaitMin / 2;
}

void SharedController::set_cap(std::uint64_t cap_bps, double share) noexcept {
    LH_ASSERT(cap_bps > 0 && share > 0 && share <= 1);
    config_.cap_bps = cap_bps;
    config_.share_of_cap = share;
}

double SharedController::bandwidth() const noexcept {
    return std::max(kRateMin, std::min(max_bandwidth(), bandwidth_short_));
}

// Feedback is part of the round trip that a packet stays in flight.
double SharedController::bdp_bytes(double bandwidth_bps) const noexcept {
    const TimeNs feedback = std::clamp(rtt_base() / 32, kFeedbackMin, kFeedbackMax);
    return bandwidth_bps / 8e9 * static_cast<double>(rtt_base() + feedback);
}

double SharedController::pacing_gain() const noexcept {
    switch (phase_) {
        case Phase::startup:
            return kStartupPacing;
        case Phase::drain:
            return kDrainPacing;
        case Phase::probe_down:
            return kDownPacing;
        case Phase::probe_up:
            return kUpPacing;
        case Phase::cruise:
        case Phase::refill:
        case Phase::probe_rtt:
            break;
    }
    return 1;
}

std::uint64_t SharedController::rate_bps() const noexcept {
    const double margin = phase_ == Phase::startup ? 1 : kPacingMargin;
    return static_cast<std::uint64_t>(std::min(ceiling(), pacing_gain() * bandwidth() * margin));
}

std::uint64_t SharedController::inflight_cap_bytes() const noexcept {
    const double slack = bandwidth() / 8e9 * static_cast<double>(kFeedbackSlack);
    const double gain = phase_ == Phase::startup    ? kStartupWindow * kGrowth
                        : phase_ == Phase::probe_up ? kUpWindow
                                                    : kWindow;
    double bytes = gain * bdp_bytes(max_bandwidth()) + slack;
    if (phase_ == Phase::probe_rtt) bytes = kRttProbeWindow * bdp_bytes(bandwidth());
    const bool probing = phase_ == Phase::startup || phase_ == Phase::refill || phase_ == Phase::probe_up;
    if (!probing) {
        const double long_term = phase_ == Phase::cruise ? inflight_long_ * (1 - kHeadroom) : inflight_long_;
        bytes = std::min({bytes, inflight_short_, long_term});
    } else if (phase_ != Phase::startup) {
        bytes = std::min(bytes, inflight_long_);
    }
    return static_cast<std::uint64_t>(std::max(kInflightMin, bytes));
}

bool SharedController::queue_rose(const Round& round) const noexcept {
    return round.queue_min != kNever && round.queue_min > queue_before_ + std::max(kFullMin, rtt_base() / 4);
}

void SharedController::on_sample(const Sample& sample) noexcept {
    if (phase_since_ == 0) phase_since_ = rtt_probed_at_ = empty_at_ = sample.now;
    const TimeNs queue = route_.queue(sample);
    loss_floor_.add(sample);
    learn_rtt(sample, queue);
    learn_bandwidth(sample);
    if (const auto round = rounds_.add(sample, queue)) end_round(*round);
    step(sample);
}

void SharedController::learn_rtt(const Sample& sample, TimeNs queue) noexcept {
    rtt_.add(sample.rtt, sample.now);
    if (sample.delivered_packets > 0 && queue <= kEmptyMax) empty_at_ = sample.now;
}

// (a): the rate of the last round trip of samples, from the receiver's cumulative counters.
void SharedController::learn_bandwidth(const Sample& sample) noexcept {
    recent_[recent_next_++ % kRecent] = {sample.interval, sample.delivered_bytes, sample.application_limited};
    const TimeNs wanted = std::max(kRoundMin, rtt_base());
    TimeNs interval = 0;
    std::uint64_t bytes = 0;
    bool limited = false;
    for (std::size_t back = 1; back <= std::min(recent_next_, kRecent) && interval < wanted; ++back) {
        const Recent& recent = recent_[(recent_next_ - back) % kRecent];
        interval += recent.interval;
        bytes += recent.bytes;
        limited |= recent.application_limited;
    }
    if (interval < wanted / 2) return;
    bandwidth_latest_ = static_cast<double>(bytes) * 8e9 / static_cast<double>(interval);
    round_bandwidth_ = std::max(round_bandwidth_, bandwidth_latest_);
    if (limited && bandwidth_latest_ < max_bandwidth()) return;
    if (!limited) cycle_measured_ = true;
    bandwidth_max_[0] = std::max(bandwidth_max_[0], bandwidth_latest_);
}

bool SharedController::grew(double bandwidth_bps) noexcept {
    if (bandwidth_bps >= plateau_ * kGrowth) {
        plateau_ = bandwidth_bps;
        plateau_rounds_ = 0;
        return true;
    }
    ++plateau_rounds_;
    return false;
}

void SharedController::enter(Phase phase, TimeNs now) noexcept {
    phase_ = phase;
    phase_since_ = now;
    rounds_in_phase_ = 0;
    plateau_ = max_bandwidth();
    plateau_rounds_ = 0;
    queue_before_ = queue_round_;
}

void SharedController::start_probe_down(TimeNs now) noexcept {
    if (cycle_measured_) {
        bandwidth_max_[1] = bandwidth_max_[0];
        bandwidth_max_[0] = 0;
        cycle_measured_ = false;
    }
    rounds_since_probe_ = 0;
    probe_wait_ = kProbeWaitMin + random_.below(kProbeWaitSpread);
    enter(Phase::probe_down, now);
}

// A queue that stands while much less arrives than we send: the path has become narrower, whatever its buffer holds.
bool SharedController::shrunk(const Round& round) const noexcept {
    if (round.application_limited || round.queue_min == kNever) return false;
    return round.queue_min > std::max(2 * kFullMin, rtt_base() / 2) &&
           round_bandwidth_ < kShrunkShare * bandwidth();
}

// Others came while we were not asking for more: to what arrives, in steps of beta.
void SharedController::bound_by_loss(const Round& round) noexcept {
    const double arrived = std::max(round_bandwidth_, round.delivered_bps());
    if (bandwidth_short_ == kUnbounded) bandwidth_short_ = max_bandwidth();
    if (inflight_short_ == kUnbounded) inflight_short_ = kWindow * bdp_bytes(max_bandwidth());
    bandwidth_short_ = std::max(arrived, kBeta * bandwidth_short_);
    inflight_short_ = std::max(static_cast<double>(round.delivered_bytes), kBeta * inflight_short_);
    ++brakes_;
}

// Behind a queue what arrives is what the path carries: at once to that, so that the queue drains.
void SharedController::bound_by_shrinking(const Round& round) noexcept {
    bandwidth_short_ = std::max(round_bandwidth_, round.delivered_bps());
    inflight_short_ = kUpPacing * bdp_bytes(bandwidth_short_);
    ++brakes_;
}

// In the queue of others: between probes no more than what arrives, so that they can grow into what we leave, but never
// below beta of what the last probes found.
void SharedController::give_way(const Round& round) noexcept {
    const bool stands = round.queue_min != kNever && round.queue_min > std::max(kFullMin, rtt_base() / 4);
    if (!stands || round.application_limited) return;
    const double arrived = kGiveWay * std::max(round_bandwidth_, round.delivered_bps());
    bandwidth_short_ = std::min(bandwidth_short_, std::max(arrived, kBeta * max_bandwidth()));
}

// A probe lost more than it may: what was in flight then and arrived is the bound, once a probe, but never less than
// what arrives fills.
void SharedController::bound_long_term(const Round& round) noexcept {
    if (std::exchange(probe_judged_, true)) return;
    const double arrived = bdp_bytes(std::max(round_bandwidth_, round.delivered_bps()));
    inflight_long_ = std::max(std::max(arrived, kBeta * bdp_bytes(max_bandwidth())),
                              static_cast<double>(probe_inflight_) * (1 - round.loss()));
    ++brakes_;
}

void SharedController::end_round(const Round& round) noexcept {
    ++rounds_in_phase_;
    ++rounds_since_probe_;
    if (route_.round(round, rtt_base(), static_cast<double>(rate_bps()))) {
        rtt_.restart(rtt_base() + round.queue_min, round.ended);
        bandwidth_short_ = inflight_short_ = kUnbounded;
        round_bandwidth_ = 0;
        queue_round_ = queue_before_ = 0;
        return;
    }
    const double excess = round.judged_lost >= kLossEventsMin ? loss_floor_.excess(round) : 0;
    // What a probe loses comes to light a round trip later.
    const bool echo = phase_ == Phase::probe_down && rounds_in_phase_ <= 2;
    if (phase_ == Phase::startup) {
        end_startup_round(round, excess);
    } else if (shrunk(round)) {
        bound_by_shrinking(round);
        if (phase_ == Phase::refill || phase_ == Phase::probe_up) start_probe_down(round.ended);
    } else if (phase_ == Phase::probe_up) {
        end_probe_up_round(round, excess);
    } else if (excess > kLossThreshold && phase_ != Phase::refill) {
        if (echo)
            bound_long_term(round);
        else
            bound_by_loss(round);
    } else if (phase_ == Phase::cruise) {
        give_way(round);
    }
    if (round.queue_min != kNever) queue_round_ = round.queue_min;
    round_bandwidth_ = 0;
}

void SharedController::end_startup_round(const Round& round, double excess) noexcept {
    if (excess > kLossThreshold) {
        inflight_long_ = std::max(bdp_bytes(max_bandwidth()), static_cast<double>(round.delivered_bytes));
        ++brakes_;
        return enter(Phase::drain, round.ended);
    }
    const bool full = queue_rose(round);
    if (round.application_limited && !full) return;
    if (!grew(max_bandwidth()) && plateau_rounds_ >= (full ? kPlateauRounds - 1 : kPlateauRounds))
        enter(Phase::drain, round.ended);
}

void SharedController::end_probe_up_round(const Round& round, double excess) noexcept {
    // The first round of a probe still shows the flight before it.
    if (rounds_in_phase_ < 2) return;
    if (excess > kLossThreshold) {
        bound_long_term(round);
        return start_probe_down(round.ended);
    }
    const bool full = queue_rose(round);
    const bool grown = grew(max_bandwidth());
    // Held by the long-term bound, which is being raised: no growth says nothing yet.
    if (std::exchange(held_by_flight_, false) && !full && !round.application_limited) {
        plateau_rounds_ = 0;
        return;
    }
    const bool at_ceiling = pacing_gain() * bandwidth() * kPacingMargin >= ceiling();
    if (full || round.application_limited || (at_ceiling && !grown) || plateau_rounds_ >= kPlateauRounds)
        start_probe_down(round.ended);
}

void SharedController::raise_long_term(const Sample& sample) noexcept {
    if (inflight_long_ == kUnbounded) return;
    if (static_cast<double>(sample.inflight_bytes) < 0.9 * static_cast<double>(inflight_cap_bytes())) return;
    held_by_flight_ = true;
    if (raise_step_ == 0) raise_step_ = kRaiseFirst * bdp_bytes(max_bandwidth());
    const double rounds =
        static_cast<double>(sample.interval) / static_cast<double>(std::max(kRoundMin, rtt_base()));
    inflight_long_ += raise_step_ * rounds;
    raise_step_ *= 1 + rounds;  // doubles a round
}

void SharedController::step(const Sample& sample) noexcept {
    const TimeNs now = sample.now;
    const auto inflight = static_cast<double>(sample.inflight_bytes);
    const bool probing_rtt = phase_ == Phase::probe_rtt;
    if (!probing_rtt && phase_ != Phase::startup && now - rtt_probed_at_ >= kRttProbeEvery) {
        if (now - empty_at_ >= kEmptyWithin) {
            rtt_probe_until_ = 0;
            return enter(Phase::probe_rtt, now);
        }
    }
    switch (phase_) {
        case Phase::startup:
            break;
        case Phase::drain:
            if (inflight <= bdp_bytes(bandwidth()) || now - phase_since_ > kSecond + 4 * rtt_base())
                start_probe_down(now);
            break;
        case Phase::probe_down:
            if (inflight <= std::min(bdp_bytes(bandwidth()), inflight_long_ * (1 - kHeadroom)) ||
                rounds_in_phase_ >= kPlateauRounds)
                enter(Phase::cruise, now);
            break;
        case Phase::cruise:
            if (now - phase_since_ < probe_wait_ && rounds_since_probe_ < kProbeRoundsMin) break;
            // A whole cycle carried less than half of the one before: that one's path is gone.
            if (cycle_measured_ && bandwidth_max_[0] < bandwidth_max_[1] / 2) bandwidth_max_[1] = 0;
            bandwidth_short_ = inflight_short_ = kUnbounded;
            enter(Phase::refill, now);
            break;
        case Phase::refill:
            if (rounds_in_phase_ < 1) break;
            raise_step_ = 0;
            probe_inflight_ = 0;
            probe_judged_ = held_by_flight_ = false;
            enter(Phase::probe_up, now);
            break;
        case Phase::probe_up:
            probe_inflight_ = std::max(probe_inflight_, sample.inflight_bytes);
            raise_long_term(sample);
            break;
        case Phase::probe_rtt:
            if (rtt_probe_until_ == 0 && inflight <= 1.1 * static_cast<double>(inflight_cap_bytes()))
                rtt_probe_until_ = now + std::max(kRttProbeFor, rtt_base());
            if (now < rtt_probe_until_ || (rtt_probe_until_ == 0 && now - phase_since_ < kSecond)) break;
            rtt_.restart(sample.rtt == 0 ? rtt_base() : sample.rtt, now);
            rtt_probed_at_ = empty_at_ = now;
            bandwidth_short_ = inflight_short_ = kUnbounded;
            enter(Phase::cruise, now);
            break;
    }
}

Figures SharedController::figures() const noexcept {
    Figures figures;
    figures.mode = Mode::shared;
    figures.phase = to_string(phase_);
    figures.bandwidth_bps = static_cast<std::uint64_t>(bandwidth());
    figures.rtt_base = rtt_base();
    figures.queue_target = std::max(kFullMin, rtt_base() / 4);
    figures.loss_floor = loss_floor_.value();
    return figures;
}

}  // namespace longhaul::congestion
