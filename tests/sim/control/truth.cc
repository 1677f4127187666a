// What is held against what, at every tick.
//
//   never below:  reported lag >= age of the oldest change that the target does not hold
//   never above:  reported lag <= that age + proof interval (two of them under `ordered`) + stated transfer time.
//                 What the target has taken within the last transfer time still counts as missing, for a proof needs
//                 that long to come back. While something is wrong, or what piled up meanwhile is on its way, the age
//                 of the trouble counts like a change, on top of what counted as missing when it began: the proof of
//                 that cannot come either.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/control/world.h"

namespace longhaul::control::sim {

namespace {

constexpr double kSweepMax_s = 31, kTickBusy_s = 2;
constexpr std::uint64_t kUnderWayBytes = 6 * 8192 + 36'000;  // that the stated transfer time allows for

}  // namespace

std::string World::replay() const {
    return "seed " + std::to_string(seed_) + " at " + std::to_string(static_cast<double>(now_) / 1e9) +
           " s; replay with LONGHAUL_SEED=" + std::to_string(seed_) + " sim-control";
}

bool World::holds(const std::string& path, const std::optional<Observed>& state) const {
    const auto found = target_.find(path);
    if (!state || found == target_.end()) return !state && found == target_.end();
    return found->second == state->print.ctime_ns;
}

// Of every path, what came after the newest version that the target holds is lost. Older versions are forgotten.
double World::true_loss_s() {
    TimeNs oldest = now_;
    missing_bytes_ = 0;
    for (auto& [path, versions] : history_) {
        for (std::size_t i = versions.size(); i-- > 0;) {
            if (!holds(path, versions[i].state)) continue;
            versions.erase(versions.begin(), versions.begin() + static_cast<std::ptrdiff_t>(i));
            break;
        }
        const bool whole = holds(path, versions.back().state);
        if (whole) continue;
        if (versions.back().state) missing_bytes_ += versions.back().state->print.size;
        const bool first_held = holds(path, versions.front().state);
        oldest = std::min(oldest, first_held ? versions[1].time : versions.front().time);
    }
    return static_cast<double>(now_ - oldest) / 1e9;
}

double World::transfer_s() const {
    return 4 * static_cast<double>(rtt_) / 1e9 + static_cast<double>(kUnderWayBytes) / rate_Bps_ +
           8 * kTickBusy_s;
}

// With what the target has taken so lately that the proof may still be on its way.
double World::unproven_loss_s() const {
    double worst_s = 0;
    for (const auto& [when, lost_s] : losses_)
        if (static_cast<double>(now_ - when) / 1e9 <= transfer_s()) worst_s = std::max(worst_s, lost_s);
    return worst_s;
}

// A clock that leapt ahead makes every lag too large by as much, until there is a proof from after it.
double World::leapt_since_s(WallNs watermark) const {
    double sum_s = 0;
    for (const auto& [after, leapt_s] : leaps_)
        if (after > watermark) sum_s += leapt_s;
    return sum_s;
}

void World::judge() {
    const double loss_s = true_loss_s();
    losses_.emplace_back(now_, loss_s);
    while (now_ - losses_.front().first > 600 * kSecond)
        losses_.pop_front();
    if (disturbed() || missing_bytes_ > kUnderWayBytes) {
        if (!episode_) episode_ = {now_, unproven_loss_s()};
        calm_since_ = now_;
    }
    if (!control_up()) return;

    RunnerView seen = runner_->view(moment());
    RpoView& view = seen.dataset.rpo;
    control::judge(seen.facts, moment().wall, view);
    const auto& w = view.watermarks;
    const auto below = [](std::optional<WallNs> a, std::optional<WallNs> b) { return !a || (b && *a <= *b); };
    ASSERT_TRUE(below(w.w_pub, w.w_dur) && below(w.w_dur, w.w_xfer) && below(w.w_xfer, w.w_disc)) << replay();
    ++totals_.source_judged;
    const VerifyCounts& compared = seen.dataset.verify.counts;  // nobody touches this target
    ASSERT_EQ(compared.differing + compared.missing, 0u) << replay();
    totals_.files_compared = std::max(totals_.files_compared, compared.objects);
    const ReadBackCounts& read_back = seen.dataset.verify.read_back;
    ASSERT_EQ(read_back.differing + read_back.missing, 0u) << replay();
    totals_.files_read_back = std::max(totals_.files_read_back, read_back.files);
    check("source", view, loss_s, 0);

    const WallNs wall_now = moment().wall;
    slo_.sample(wall_now,
                view.state == "SEEDING"                                           ? Verdict::seeding
                : view.within_target.value_or(false) && view.quality != "unknown" ? Verdict::good
                                                                                  : Verdict::missed,
                view.rpo_lag_s, runner_->take_published_counts());
    for (const auto& slot : slo_.take_changed())
        state_->slo_put("source/lake", slot);
    for (const auto& event : alarms_->sample(view, seen.facts.seeding_since, wall_now))
        totals_.breaches += event.kind == "BREACH" ? 1 : 0;
    if (const auto breach = alarms_->take_changed_breach())
        alarms_->set_breach_id(state_->breach_put(*breach));
    if (view.rpo_lag_s && loss_s > Alarms::kHardLimit * spec_.rpo_target_s) {
        ASSERT_TRUE(alarms_->breach()) << "no breach while " << loss_s << " s would be lost: " << replay();
    }
    if (!first_sample_) first_sample_ = wall_now;
    last_sample_ = wall_now;
    const auto month = slo_.view(wall_now).month;
    const auto minute = [](WallNs time) { return static_cast<std::uint64_t>(time / 60'000'000'000); };
    ASSERT_EQ(month.minutes_good + month.minutes_missed + month.minutes_seeding,
              minute(last_sample_) - minute(*first_sample_))
        << "a minute is missing: " << replay();

    // The target's own view, by a clock that may be ten minutes off and is compared when the way is there.
    if (link_up()) {
        const WallNs half = static_cast<WallNs>(rtt_ / 2);
        const auto uneven = static_cast<WallNs>(random_.below(rtt_ / 2 + 1));
        PeerReport report{target_wall() - half - uneven, target_wall(), wall_now - half, wall_now - half, {}};
        if (const auto fresh = estimate_clock(report)) source_clock_at_target_.add(fresh.value());
    }
    TargetView target = targets_->views().at(0);
    use_clock(target, &source_clock_at_target_, target_wall());
    const RpoView at_target = judge_at_target(target, target_wall());
    ASSERT_TRUE(below(at_target.watermarks.w_pub, w.w_disc)) << replay();
    if (at_target.quality == "unknown") return;
    ++totals_.target_judged;
    check("target", at_target, loss_s, 2 * at_target.clock_uncertainty_s.value_or(0));
}

void World::check(const char* who, const RpoView& view, double loss_s, double slack_s) {
    if (!view.rpo_lag_s) return;
    ASSERT_GE(*view.rpo_lag_s + 1e-6, loss_s)
        << who << " reports less than would be lost: " << *view.rpo_lag_s << " s of " << loss_s << " s, "
        << view.quality << " " << view.quality_reason << ": " << replay();

    const double transfer_s = this->transfer_s();
    // Under `ordered` what changes while a sweep runs is shown by the proof of the next one.
    const double proof_s = (ordered() ? 2 : 1) * (spec_.rescan_s + kSweepMax_s);
    const double grace_s = proof_s + transfer_s;
    if (episode_ && static_cast<double>(now_ - calm_since_) / 1e9 > grace_s) episode_.reset();
    const double trouble_s =
        episode_ ? static_cast<double>(now_ - episode_->began) / 1e9 + episode_->missing_s : 0;
    const double leapt_s = leapt_since_s(*view.watermarks.w_pub);
    const double excess_s = *view.rpo_lag_s - std::max(unproven_loss_s(), trouble_s) - leapt_s;
    totals_.excess_max_s = std::max(totals_.excess_max_s, excess_s / (proof_s + transfer_s + slack_s));
    ASSERT_LE(excess_s, proof_s + transfer_s + slack_s)
        << who << " reports " << *view.rpo_lag_s << " s, true loss " << loss_s << " s, trouble for "
        << trouble_s << " s, clock leapt " << leapt_s << " s, proof " << proof_s << " s, transfer "
        << transfer_s << " s, " << view.state << " " << view.limited_by << ": " << replay();
}

}  // namespace longhaul::control::sim
