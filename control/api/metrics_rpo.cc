// Of what would be lost: lags and what they are made of, by dataset and end; and how often they kept within the target.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <optional>
#include <string>

#include "control/api/metric_families.h"

namespace longhaul::control {
namespace {

using Rpo = RpoView;

void states(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo)
        for (const char* state : {"SEEDING", "PROTECTED", "CATCHING_UP", "STALLED", "UNKNOWN"}) {
            Labels labels = of(view);
            labels.emplace_back("state", state);
            samples.add(labels, view.state == state);
        }
}

void watermarks(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo) {
        const auto one = [&](const char* stage, const std::optional<WallNs>& time) {
            Labels labels = of(view);
            labels.emplace_back("stage", stage);
            if (time) samples.add(labels, static_cast<double>(*time / 1'000'000) / 1e3);
        };
        one("discovered", view.watermarks.w_disc);
        one("transferred", view.watermarks.w_xfer);
        one("durable", view.watermarks.w_dur);
        one("published", view.watermarks.w_pub);
    }
}

void qualities(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo)
        for (const char* quality : {"proven", "estimated", "unknown"}) {
            Labels labels = of(view);
            labels.emplace_back("quality", quality);
            samples.add(labels, view.quality == quality);
        }
}

void ages(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo)
        for (std::size_t i = 0; i < view.ages.counts.size(); ++i) {
            Labels labels = of(view);
            labels.emplace_back("up_to_s", i < AgeBuckets::kUpTo_s.size()
                                               ? std::to_string(AgeBuckets::kUpTo_s[i])
                                               : std::string("more"));
            samples.add(labels, view.ages.counts[i]);
        }
}

template <auto Field>
void each_window(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo) {
        const auto one = [&](const char* name, const SloWindow& window) {
            Labels labels = of(view);
            labels.emplace_back("window", name);
            if constexpr (requires { (window.*Field).has_value(); }) {
                if (window.*Field) samples.add(labels, *(window.*Field));
            } else {
                samples.add(labels, window.*Field);
            }
        };
        one("1h", view.slo.hour);
        one("24h", view.slo.day);
        one("30d", view.slo.month);
    }
}

constexpr Family kRpoFamilies[] = {
    {{"longhaul_rpo_lag_seconds", "gauge",
      "Source time now minus the published watermark; absent while not proven."},
     each_known_rpo<&Rpo::rpo_lag_s>},
    {{"longhaul_durable_lag_seconds", "gauge",
      "Source time now minus the durable watermark; absent while not proven."},
     each_known_rpo<&Rpo::durable_lag_s>},
    {{"longhaul_rpo_target_seconds", "gauge", "The RPO that the dataset asks for."},
     each_rpo<&Rpo::rpo_target_s>},
    {{"longhaul_rpo_within_target", "gauge",
      "1 if the lag is proven and at most the target; absent while not proven."},
     each_known_rpo<&Rpo::within_target>},
    {{"longhaul_rpo_state", "gauge", "1 for the state the dataset is in, 0 for the others."}, states},
    {{"longhaul_rpo_watermark_seconds", "gauge",
      "Source time up to which every change has passed the stage, Unix seconds."},
     watermarks},
    {{"longhaul_rpo_computed_seconds", "gauge", "When these RPO figures were computed, Unix seconds."},
     [](const MetricsInput& in, Samples& out) {
         for (const RpoView& view : in.rpo)
             if (view.computed_at) out.add(of(view), static_cast<double>(view.computed_at / 1'000'000) / 1e3);
     }},
    {{"longhaul_rpo_now_source_seconds", "gauge",
      "The source's clock, Unix seconds; absent while not known."},
     [](const MetricsInput& in, Samples& out) {
         for (const RpoView& view : in.rpo)
             if (view.now_src) out.add(of(view), unix_s(*view.now_src));
     }},
    {{"longhaul_rpo_clock_uncertainty_seconds", "gauge",
      "Of the source's clock; included in the lags; absent while not known."},
     each_known_rpo<&Rpo::clock_uncertainty_s>},
    {{"longhaul_rpo_quality", "gauge", "1 for the quality that the lag has, 0 for the others."}, qualities},
    {{"longhaul_rpo_unknown_seconds", "gauge", "How long the lag has not been proven; 0 while it is."},
     each_rpo<&Rpo::unknown_for_s>},
    {{"longhaul_rpo_proof_interval_seconds", "gauge", "Between two proofs while nothing is behind."},
     each_rpo<&Rpo::proof_interval_s>},
    {{"longhaul_rpo_pending_objects", "gauge", "Pending changes by how long they may have waited."}, ages},
    {{"longhaul_rpo_oldest_pending_seconds", "gauge", "How long the oldest pending change may have waited."},
     each_known_rpo<&Rpo::oldest_pending_age_s>},
    {{"longhaul_rpo_eta_seconds", "gauge", "Until nothing is behind, as things go; absent while not known."},
     each_known_rpo<&Rpo::eta_s>},
    {{"longhaul_rpo_time_to_breach_seconds", "gauge",
      "Until the lag exceeds the target, as things go; absent while it will not."},
     each_known_rpo<&Rpo::time_to_breach_s>},
    {{"longhaul_rpo_required_bits_per_second", "gauge",
      "Payload rate that would clear what is behind within one target."},
     each_rpo<&Rpo::required_bps>},
    {{"longhaul_slo_time_ratio", "gauge", "Minutes within the target; absent while there are none to judge."},
     each_window<&SloWindow::time_ratio>},
    {{"longhaul_slo_missed_minutes", "gauge", "Minutes above the target, not known or not sampled."},
     each_window<&SloWindow::minutes_missed>},
    {{"longhaul_slo_change_ratio", "gauge",
      "Changes published within the target; absent while there are none to judge."},
     each_window<&SloWindow::change_ratio>},
    {{"longhaul_slo_late_changes", "gauge",
      "Changes that may have been published later than the target allows."},
     each_window<&SloWindow::changes_late>},
    {{"longhaul_slo_budget_left_minutes", "gauge",
      "Minutes that may still be missed within 30 d; below 0: overspent."},
     [](const MetricsInput& in, Samples& out) {
         for (const RpoView& view : in.rpo)
             out.add(of(view), view.slo.budget_left_min);
     }},
    {{"longhaul_slo_burn_rate", "gauge", "How fast the last hour spent the budget; 1 spends it in 30 d."},
     [](const MetricsInput& in, Samples& out) {
         for (const RpoView& view : in.rpo)
             if (view.slo.burn_rate) out.add(of(view), *view.slo.burn_rate);
     }},
};

}  // namespace

std::span<const Family> rpo_families() {
    return kRpoFamilies;
}

}  // namespace longhaul::control
