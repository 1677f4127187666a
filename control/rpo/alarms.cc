// Conditions, and what the events say.
// SPDX-License-Identifier: Apache-2.0
#include "control/rpo/alarms.h"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::control {

namespace {

// Without a bound on the lag, the time without one is the least that can be said.
double judged_lag_s(const RpoView& view) {
    return view.rpo_lag_s ? *view.rpo_lag_s : view.unknown_for_s;
}

std::string cause_of(const RpoView& view) {
    if (!view.limited_by.empty()) return view.limited_by;
    if (!view.quality_reason.empty()) return view.quality_reason;
    return view.limiting_stage.empty() ? "not known" : "the widest step is " + view.limiting_stage;
}

}  // namespace

Event Alarms::event_of(const char* kind, const RpoView& view, WallNs now) {
    Event event;
    event.at = now;
    event.kind = kind;
    event.dataset = view.dataset;
    event.site = view.site;
    event.role = view.role;
    event.stage = view.limiting_stage;
    event.object = view.limiting_object;
    event.rpo_target_s = view.rpo_target_s;
    event.lag_s = view.rpo_lag_s;
    event.watermark = view.watermarks.w_pub;
    return event;
}

std::vector<Event> Alarms::sample(const RpoView& view, std::optional<WallNs> seeding_since, WallNs now) {
    std::vector<Event> out;
    sample_breach(view, now, out);
    sample_prediction(view, now, out);
    sample_others(view, seeding_since, now, out);
    return out;
}

void Alarms::sample_breach(const RpoView& view, WallNs now, std::vector<Event>& out) {
    const double lag_s = judged_lag_s(view);
    const bool above = view.state != "SEEDING" && lag_s > view.rpo_target_s;
    if (above && !breach_latch_.raised() && breached_since_ == 0) breached_since_ = now;
    if (!above && !breach_latch_.raised()) breached_since_ = 0;
    const auto edge = breach_latch_.sample(above, lag_s > kHardLimit * view.rpo_target_s);
    if (edge == Latch::Edge::rose) {
        breach_ =
            Breach{0,  subject_,          view.dataset, view.site,           view.role,     breached_since_,
                   {}, view.rpo_target_s, lag_s,        view.limiting_stage, cause_of(view)};
        changed_ = breach_;
        Event event = event_of("BREACH", view, now);
        event.text =
            fmt::format("lag {:.1f} s, target {:.1f} s: {}", lag_s, view.rpo_target_s, cause_of(view));
        out.push_back(std::move(event));
    }
    if (!breach_) return;
    if (above && lag_s > breach_->peak_lag_s) {
        breach_->peak_lag_s = lag_s;
        breach_->stage = view.limiting_stage;
        changed_ = breach_;
    }
    if (edge != Latch::Edge::fell) return;
    breach_->ended = now;
    changed_ = breach_;
    Event event = event_of("BREACH_ENDED", view, now);
    event.peak_lag_s = breach_->peak_lag_s;
    event.duration_s = static_cast<double>(now - breach_->started) / 1e9;
    event.text = fmt::format("after {:.0f} s; the lag had reached {:.1f} s, target {:.1f} s: {}",
                             *event.duration_s, breach_->peak_lag_s, breach_->rpo_target_s, breach_->cause);
    out.push_back(std::move(event));
    breach_.reset();
    breached_since_ = 0;
}

void Alarms::sample_prediction(const RpoView& view, WallNs now, std::vector<Event>& out) {
    const bool near = view.time_to_breach_s && *view.time_to_breach_s > 0 &&
                      *view.time_to_breach_s < kLeadShare * view.rpo_target_s;
    // A breach that has come ends what was said about it: the next prediction is a new one.
    if (predicted_.sample(near && !breach_latch_.raised()) != Latch::Edge::rose) return;
    Event event = event_of("BREACH_PREDICTED", view, now);
    event.text = fmt::format(
        "in {:.0f} s if nothing changes; {:.3g} bit/s would clear what is behind within {:.0f} s: {}",
        *view.time_to_breach_s, view.required_bps, view.required_within_s, cause_of(view));
    out.push_back(std::move(event));
}

void Alarms::sample_others(const RpoView& view, std::optional<WallNs> seeding_since, WallNs now,
                           std::vector<Event>& out) {
    const auto raise = [&](Latch& latch, bool on, const char* kind, auto text) {
        if (latch.sample(on) != Latch::Edge::rose) return;
        Event event = event_of(kind, view, now);
        event.text = text();
        out.push_back(std::move(event));
    };
    raise(stalled_, view.state == "STALLED", "STALLED",
          [&] { return "work waits and nothing has moved: " + cause_of(view); });
    raise(stale_, view.state != "SEEDING" && view.quality == "unknown", "METRIC_STALE",
          [&] { return "the lag is not proven any more: " + view.quality_reason; });
    const double seeding_s = seeding_since ? static_cast<double>(now - *seeding_since) / 1e9 : 0;
    const double allowed_s = std::max(kSeedingTargets * view.rpo_target_s, kSeedingLeast_s);
    raise(seeding_late_, view.state == "SEEDING" && seeding_s > allowed_s, "SEEDING_LATE", [&] {
        return fmt::format("seeding for {:.0f} s and not protected yet; {} objects, {} bytes to go",
                           seeding_s, view.objects_behind, view.bytes_behind);
    });
}

std::optional<Breach> Alarms::take_changed_breach() {
    return std::exchange(changed_, std::nullopt);
}

}  // namespace longhaul::control
