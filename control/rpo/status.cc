// The order of precedence of the states: no proof yet, source unreadable, stalled, then the lag itself.
// SPDX-License-Identifier: Apache-2.0
#include "control/rpo/status.h"

#include <algorithm>
#include <cmath>

namespace longhaul::control {

namespace {

double seconds(WallNs span) {
    return static_cast<double>(span) / 1e9;
}

// The source's clock reads `now` at the latest `uncertainty_s` later than that: a bound, so it is added.
std::optional<double> lag_s(std::optional<WallNs> watermark, WallNs now_src, double uncertainty_s) {
    if (!watermark) return std::nullopt;
    return std::max(0.0, seconds(now_src - *watermark) + uncertainty_s);
}

bool ahead_of_clock(const RpoFacts& facts, WallNs now_src) {
    return facts.watermarks.w_pub && seconds(*facts.watermarks.w_pub - now_src) >
                                         facts.clock_uncertainty_s.value_or(0) + kWatermarkAheadMax_s;
}

std::string unproven(const RpoFacts& facts, std::optional<WallNs> now_src) {
    if (!facts.watermarks.w_pub) return "nothing has been proven yet: seeding";
    if (!facts.unproven.empty()) return facts.unproven;
    if (!now_src) return "the source's clock has not been measured: its site's control has not answered yet";
    if (ahead_of_clock(facts, *now_src))
        return "the watermark is ahead of the source's clock: one of them is wrong";
    if (!facts.source_readable) return "the source cannot be read: what it holds now is not known";
    return {};
}

// The widest step between neighbouring stages.
std::string limiting_stage(const StageTimes& times, std::optional<WallNs> now_src) {
    if (!times.w_pub || !now_src) return {};
    const auto or_below = [](std::optional<WallNs> time, WallNs below) {
        return std::max(time.value_or(below), below);
    };
    const WallNs dur = or_below(times.w_dur, *times.w_pub);
    const WallNs xfer = or_below(times.w_xfer, dur);
    const WallNs disc = or_below(times.w_disc, xfer);
    const std::pair<WallNs, const char*> steps[] = {{dur - *times.w_pub, "publication"},
                                                    {xfer - dur, "durability"},
                                                    {disc - xfer, "transfer"},
                                                    {*now_src - disc, "discovery"}};
    return std::max_element(std::begin(steps), std::end(steps),
                            [](const auto& a, const auto& b) { return a.first < b.first; })
        ->second;
}

void fill_forecast(const RpoFacts& facts, RpoView& view) {
    if (!facts.load) return;
    Load load = *facts.load;
    load.lag_s = view.rpo_lag_s;
    load.rpo_target_s = facts.rpo_target_s;
    load.waits = facts.work_waits;
    Forecast seen = forecast(load);
    view.eta_s = seen.eta_s;
    view.eta_reason = !seen.eta_s && !facts.obstacle.empty() ? facts.obstacle : std::move(seen.eta_reason);
    view.time_to_breach_s = seen.time_to_breach_s;
    view.time_to_breach_reason = std::move(seen.time_to_breach_reason);
    view.required_bps = seen.required_bps;
    view.required_within_s = seen.required_within_s;
    const double undiscovered_s = view.now_src && facts.watermarks.w_disc
                                      ? std::max(0.0, seconds(*view.now_src - *facts.watermarks.w_disc))
                                      : 0;
    view.bytes_undiscovered_estimate = static_cast<std::uint64_t>(load.change_bps / 8 * undiscovered_s);
}

}  // namespace

void judge(const RpoFacts& facts, WallNs now, RpoView& view) {
    view.watermarks = facts.watermarks;
    view.rpo_target_s = facts.rpo_target_s;
    view.computed_at = now;
    view.clock_uncertainty_s = facts.clock_uncertainty_s;
    view.now_src.reset();
    if (facts.clock_uncertainty_s) view.now_src = now + facts.clock_offset_ns;

    view.quality_reason = unproven(facts, view.now_src);
    view.quality = !view.quality_reason.empty()  ? "unknown"
                   : facts.clock_problem.empty() ? "proven"
                                                 : "estimated";
    if (view.quality == "estimated") view.quality_reason = facts.clock_problem;
    const bool bounded = view.now_src && facts.unproven.empty() && !ahead_of_clock(facts, *view.now_src);
    view.rpo_lag_s.reset();
    view.durable_lag_s.reset();
    if (bounded) {
        view.rpo_lag_s = lag_s(facts.watermarks.w_pub, *view.now_src, *facts.clock_uncertainty_s);
        view.durable_lag_s = lag_s(facts.watermarks.w_dur, *view.now_src, *facts.clock_uncertainty_s);
    }
    view.within_target.reset();
    if (view.rpo_lag_s) view.within_target = *view.rpo_lag_s <= facts.rpo_target_s;
    const bool unknown = view.quality == "unknown" && facts.watermarks.w_pub;
    view.unknown_for_s =
        unknown && facts.unknown_since ? std::max(0.0, seconds(now - *facts.unknown_since)) : 0;
    view.limiting_stage = limiting_stage(facts.watermarks, view.now_src);
    fill_forecast(facts, view);

    const bool stalled =
        facts.work_waits && facts.moved_at && seconds(now - *facts.moved_at) > kStalledAfter_s;
    if (!facts.watermarks.w_pub)
        view.state = "SEEDING";
    else if (unknown)
        view.state = "UNKNOWN";
    else if (stalled)
        view.state = "STALLED";
    else
        view.state = *view.within_target ? "PROTECTED" : "CATCHING_UP";
}

double mark_silence_s(double rescan_s) {
    return std::max(kStalledAfter_s, 3 * rescan_s);
}

}  // namespace longhaul::control
