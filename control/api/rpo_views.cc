// What is said about RPO as JSON: the view, attainment, events, the ledger of breaches.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/json_values.h"
#include "control/api/views.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

json ages_document(const AgeBuckets& ages) {
    json out;
    for (std::size_t i = 0; i < AgeBuckets::kUpTo_s.size(); ++i)
        out["le_" + std::to_string(AgeBuckets::kUpTo_s[i])] = ages.counts[i];
    out["gt_" + std::to_string(AgeBuckets::kUpTo_s.back())] = ages.counts.back();
    return out;
}

json window_document(const SloWindow& window) {
    return {{"minutes_good", window.minutes_good},
            {"minutes_missed", window.minutes_missed},
            {"minutes_seeding", window.minutes_seeding},
            {"time_ratio", known(window.time_ratio)},
            {"changes", window.changes},
            {"changes_late", window.changes_late},
            {"bytes", window.bytes},
            {"bytes_late", window.bytes_late},
            {"change_ratio", known(window.change_ratio)},
            {"lag_max_s", window.lag_max_s}};
}

json slo_document(const SloView& slo) {
    return {{"hour", window_document(slo.hour)},   {"day", window_document(slo.day)},
            {"month", window_document(slo.month)}, {"objective", slo.objective},
            {"budget_min", slo.budget_min},        {"budget_left_min", slo.budget_left_min},
            {"burn_rate", known(slo.burn_rate)}};
}

}  // namespace

json rpo_document(const RpoView& view) {
    return {{"dataset", view.dataset},
            {"site", view.site},
            {"role", view.role},
            {"state", view.state},
            {"quality", view.quality},
            {"quality_reason", known(view.quality_reason)},
            {"watermarks",
             {{"discovered", when(view.watermarks.w_disc)},
              {"transferred", when(view.watermarks.w_xfer)},
              {"durable", when(view.watermarks.w_dur)},
              {"published", when(view.watermarks.w_pub)}}},
            {"now_src", when(view.now_src)},
            {"clock_uncertainty_s", known(view.clock_uncertainty_s)},
            {"rpo_lag_s", known(view.rpo_lag_s)},
            {"durable_lag_s", known(view.durable_lag_s)},
            {"rpo_target_s", view.rpo_target_s},
            {"within_target", known(view.within_target)},
            {"unknown_for_s", view.unknown_for_s},
            {"limiting_stage", known(view.limiting_stage)},
            {"limiting_object", known(view.limiting_object)},
            {"rescan_s", view.rescan_s},
            {"proof_interval_s", view.proof_interval_s},
            {"objects_total", view.objects_total},
            {"bytes_total", view.bytes_total},
            {"objects_behind", view.objects_behind},
            {"bytes_behind", view.bytes_behind},
            {"bytes_undiscovered_estimate", view.bytes_undiscovered_estimate},
            {"objects_published", view.objects_published},
            {"bytes_published", view.bytes_published},
            {"objects_failing", view.objects_failing},
            {"age_buckets", ages_document(view.ages)},
            {"oldest_pending_age_s", known(view.oldest_pending_age_s)},
            {"change_bps", view.change_bps},
            {"change_1h_bps", view.change_1h_bps},
            {"drain_bps", view.drain_bps},
            {"drain_average_bps", view.drain_average_bps},
            {"eta_s", known(view.eta_s)},
            {"eta_reason", known(view.eta_reason)},
            {"time_to_breach_s", known(view.time_to_breach_s)},
            {"time_to_breach_reason", known(view.time_to_breach_reason)},
            {"required_bps", view.required_bps},
            {"required_within_s", view.required_within_s},
            {"limited_by", known(view.limited_by)},
            {"slo", slo_document(view.slo)},
            {"computed_at", when(view.computed_at)}};
}

json event_document(const Event& event) {
    return {{"id", event.id},
            {"at", when(event.at)},
            {"kind", event.kind},
            {"dataset", known(event.dataset)},
            {"site", known(event.site)},
            {"role", known(event.role)},
            {"text", event.text},
            {"stage", known(event.stage)},
            {"object", known(event.object)},
            {"who", known(event.who)},
            {"rpo_target_s", known(event.rpo_target_s)},
            {"lag_s", known(event.lag_s)},
            {"peak_lag_s", known(event.peak_lag_s)},
            {"duration_s", known(event.duration_s)},
            {"watermark", when(event.watermark)}};
}

json breach_document(const Breach& breach) {
    return {{"id", breach.id},
            {"dataset", breach.dataset},
            {"site", breach.site},
            {"role", breach.role},
            {"started", when(breach.started)},
            {"ended", when(breach.ended)},
            {"rpo_target_s", breach.rpo_target_s},
            {"peak_lag_s", breach.peak_lag_s},
            {"stage", known(breach.stage)},
            {"cause", known(breach.cause)}};
}

}  // namespace longhaul::control
