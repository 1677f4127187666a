// One table of families; each knows how to find its samples.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/metrics.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <functional>
#include <optional>

namespace longhaul::control {
namespace {

using Labels = std::vector<std::pair<const char*, std::string>>;

class Samples {
  public:
    Samples(std::string& out, const char* name) : out_(out), name_(name) {}

    void add(const Labels& labels, std::uint64_t value) { line(labels, std::to_string(value)); }
    void add(const Labels& labels, double value) {
        std::array<char, 40> buffer{};
        const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
        if (error == std::errc{}) line(labels, std::string(buffer.data(), end));
    }
    void add(const Labels& labels, bool value) { line(labels, value ? "1" : "0"); }

  private:
    void line(const Labels& labels, const std::string& value) {
        out_ += name_;
        const char* open = "{";
        for (const auto& [label, text] : labels) {
            out_ += open;
            out_ += label;
            out_ += "=\"" + escape_label(text) + "\"";
            open = ",";
        }
        if (!labels.empty()) out_ += "}";
        out_ += " " + value + "\n";
    }

    std::string& out_;
    const char* name_;
};

using Collect = void (*)(const MetricsInput&, Samples&);
struct Family {
    MetricFamily family;
    Collect collect;
};

Labels of(const RpoView& view) {
    return {{"dataset", view.dataset}, {"site", view.site}, {"role", view.role}};
}
Labels of(const LinkView& view) {
    return {{"link", view.name}, {"site", view.site}};
}
Labels of(const DatasetView& view) {
    return {{"dataset", view.spec.name}, {"site", view.spec.target.site}};
}
Labels of(const FlowView& view) {
    return {{"dataset", view.dataset}, {"site", view.target_site}, {"link", view.link}};
}

template <auto Field>
void each_rpo(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo)
        samples.add(of(view), view.*Field);
}
template <auto Field>
void each_known_rpo(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo)
        if (view.*Field) samples.add(of(view), *(view.*Field));
}
const DatasetView& whole(const DatasetView& view) {
    return view;
}
const CaptureView& capture(const DatasetView& view) {
    return view.capture;
}
const VerifyCounts& compared(const DatasetView& view) {
    return view.verify.counts;
}
const ReadBackCounts& read_back(const DatasetView& view) {
    return view.verify.read_back;
}
template <auto Part, auto... Fields>  // their sum
void each_dataset(const MetricsInput& input, Samples& samples) {
    for (const DatasetView& view : input.datasets)
        samples.add(of(view), ((Part(view).*Fields) + ...));
}
template <auto Field>
void each_link(const MetricsInput& input, Samples& samples) {  // of the dataplane that is up
    for (const LinkView& view : input.links)
        if (view.known) samples.add(of(view), static_cast<std::uint64_t>(view.status.*Field));
}
template <auto Field>
void each_up_link_ms(const MetricsInput& input, Samples& samples) {
    for (const LinkView& view : input.links)
        if (view.up()) samples.add(of(view), view.status.*Field / 1e3);
}
template <auto Field>
void core(const MetricsInput& input, Samples& samples) {
    samples.add({}, input.stats.*Field);
}

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

// One label out of a fixed set: a flow without a link has its obstacle, a text for people, as its reason.
void flow_reasons(const MetricsInput& input, Samples& samples) {
    for (const FlowView& view : input.flows) {
        bool named = false;
        const auto one = [&](const char* reason, bool is) {
            Labels labels = of(view);
            labels.emplace_back("reason", reason);
            samples.add(labels, is);
            named = named || is;
        };
        for (const char* reason : {"idle", "floor", "deadline", "late", "cap", "share", "demand", "leftover"})
            one(reason, view.reason == reason);
        one("unassigned", !named);
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

double unix_s(WallNs time) {
    return static_cast<double>(time / 1'000'000) / 1e3;
}

using Rpo = RpoView;
using Link = command::LinkStatus;
using Stats = CoreStats;
using Lane = command::LaneStatus;

// At most 64 lanes a link: a bounded number of series.
template <auto Field>
void each_lane(const MetricsInput& input, Samples& samples) {
    for (const LinkView& view : input.links) {
        if (!view.known) continue;
        for (const Lane& lane : view.status.lane_list) {
            Labels labels = of(view);
            labels.emplace_back("lane", std::to_string(lane.lane));
            samples.add(labels, lane.*Field);
        }
    }
}

constexpr Family kFamilies[] = {
    {{"longhaul_build_info", "gauge", "Always 1; the labels say version and site."},
     [](const MetricsInput& in, Samples& out) {
         out.add({{"version", in.version}, {"site", in.site}}, true);
     }},
    {{"longhaul_dataplane_up", "gauge", "1 while control is connected to its dataplane."},
     [](const MetricsInput& in, Samples& out) { out.add({}, in.dataplane_up); }},
    {{"longhaul_peer_reachable", "gauge", "1 if the last call to that site's control was answered."},
     [](const MetricsInput& in, Samples& out) {
         for (const auto& [site, reachable] : in.peers)
             out.add({{"site", site}}, reachable);
     }},

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
    {{"longhaul_events_total", "counter", "Events ever raised at this site."},
     [](const MetricsInput& in, Samples& out) { out.add({}, in.events); }},
    {{"longhaul_webhook_deliveries_total", "counter",
      "By what became of it: delivered, failed (a try that is repeated), given_up, missed; absent without a "
      "webhook."},
     [](const MetricsInput& in, Samples& out) {
         if (!in.webhook) return;
         out.add({{"result", "delivered"}}, in.webhook->delivered);
         out.add({{"result", "failed"}}, in.webhook->failed_tries);
         out.add({{"result", "given_up"}}, in.webhook->given_up);
         out.add({{"result", "missed"}}, in.webhook->missed);
     }},
    {{"longhaul_peer_clock_offset_seconds", "gauge",
      "That site's clock minus ours; absent while not measured."},
     [](const MetricsInput& in, Samples& out) {
         for (const auto& clock : in.clocks)
             out.add({{"site", clock.site}}, clock.offset_s);
     }},
    {{"longhaul_peer_clock_uncertainty_seconds", "gauge", "Of that offset, with the drift since."},
     [](const MetricsInput& in, Samples& out) {
         for (const auto& clock : in.clocks)
             out.add({{"site", clock.site}}, clock.uncertainty_s);
     }},
    {{"longhaul_peer_clock_measured_seconds", "gauge", "When that offset was measured, Unix seconds."},
     [](const MetricsInput& in, Samples& out) {
         for (const auto& clock : in.clocks)
             out.add({{"site", clock.site}}, unix_s(clock.measured_at));
     }},
    {{"longhaul_objects", "gauge", "Objects known at the source."}, each_rpo<&Rpo::objects_total>},
    {{"longhaul_bytes", "gauge", "Bytes known at the source."}, each_rpo<&Rpo::bytes_total>},
    {{"longhaul_objects_behind", "gauge", "Objects changed and not yet published at the target."},
     each_rpo<&Rpo::objects_behind>},
    {{"longhaul_bytes_behind", "gauge", "Bytes changed and not yet published at the target."},
     each_rpo<&Rpo::bytes_behind>},
    {{"longhaul_objects_published", "gauge", "Objects published at the target in their present version."},
     each_rpo<&Rpo::objects_published>},
    {{"longhaul_bytes_published", "gauge", "Bytes published at the target in their present version."},
     each_rpo<&Rpo::bytes_published>},
    {{"longhaul_objects_failing", "gauge", "Objects whose last try failed; the API names them."},
     each_rpo<&Rpo::objects_failing>},
    {{"longhaul_drain_bits_per_second", "gauge", "Payload published over the last seconds."},
     each_rpo<&Rpo::drain_bps>},
    {{"longhaul_deletes_held", "gauge", "Deletes that wait for an operator because they are unusually many."},
     each_dataset<whole, &DatasetView::deletes_held>},
    {{"longhaul_verify_ended_seconds", "gauge",
      "When the last comparison of both ends ended, Unix seconds; absent before the first and while one "
      "runs."},
     [](const MetricsInput& in, Samples& out) {
         for (const DatasetView& view : in.datasets)
             if (view.verify.ended != 0) out.add(of(view), static_cast<double>(view.verify.ended) / 1e9);
     }},
    {{"longhaul_verify_same_bytes", "gauge", "Bytes that the last comparison found to be the same."},
     each_dataset<compared, &VerifyCounts::bytes>},
    {{"longhaul_verify_failures", "gauge",
      "What the last comparison found to differ, or missing at the target."},
     each_dataset<compared, &VerifyCounts::differing, &VerifyCounts::missing>},
    {{"longhaul_read_back_bytes_total", "counter",
      "Bytes of published files that were read back from the target's disk and are the source's."},
     each_dataset<read_back, &ReadBackCounts::bytes>},
    {{"longhaul_read_back_failures_total", "counter",
      "Files that were read back and differ, or are missing at the target."},
     each_dataset<read_back, &ReadBackCounts::differing, &ReadBackCounts::missing>},
    {{"longhaul_read_back_skipped_total", "counter", "Published files that were not read back."},
     each_dataset<read_back, &ReadBackCounts::skipped>},
    {{"longhaul_read_back_waiting", "gauge", "Published files that wait to be read back."},
     each_dataset<read_back, &ReadBackCounts::waiting>},
    {{"longhaul_drain_average_bits_per_second", "gauge",
      "Payload made durable while there was work, over a minute."},
     each_rpo<&Rpo::drain_average_bps>},
    {{"longhaul_change_bits_per_second", "gauge", "What is found changed at the source, over 5 minutes."},
     each_rpo<&Rpo::change_bps>},
    {{"longhaul_change_1h_bits_per_second", "gauge", "What is found changed at the source, over an hour."},
     each_rpo<&Rpo::change_1h_bps>},
    {{"longhaul_bytes_undiscovered_estimate", "gauge",
      "Change rate times the time since the last look; not part of bytes behind."},
     each_rpo<&Rpo::bytes_undiscovered_estimate>},
    {{"longhaul_dataset_sweeps_total", "counter", "Clean walks of the source tree."},
     each_dataset<whole, &DatasetView::sweeps>},
    {{"longhaul_dataset_sweep_duration_seconds", "gauge", "What the last walk of the source tree took."},
     [](const MetricsInput& in, Samples& out) {
         for (const DatasetView& view : in.datasets)
             if (view.sweeps) out.add(of(view), view.last_sweep_took_s);
     }},
    {{"longhaul_dataset_capture_events", "gauge",
      "1 while events of the source are heard, 0 while there are only sweeps."},
     [](const MetricsInput& in, Samples& out) {
         for (const DatasetView& view : in.datasets)
             out.add(of(view), view.capture.kind != "sweeps");
     }},
    {{"longhaul_dataset_events_total", "counter", "Events heard of the source's file system."},
     each_dataset<capture, &CaptureView::events>},
    {{"longhaul_dataset_hints_total", "counter", "Paths looked at because events named them."},
     each_dataset<capture, &CaptureView::hints>},
    {{"longhaul_dataset_hints_waiting", "gauge", "Paths that events named and that are not at rest yet."},
     each_dataset<capture, &CaptureView::hints_waiting>},
    {{"longhaul_dataset_event_losses_total", "counter",
      "Times that events were missed and a sweep made up for them."},
     each_dataset<capture, &CaptureView::losses>},
    {{"longhaul_flow_rate_bits_per_second", "gauge", "Rate assigned to the flow."},
     [](const MetricsInput& in, Samples& out) {
         for (const FlowView& view : in.flows)
             out.add(of(view), view.rate_bps);
     }},
    {{"longhaul_flow_achieved_bits_per_second", "gauge", "Payload rate of the flow over the last seconds."},
     [](const MetricsInput& in, Samples& out) {
         for (const FlowView& view : in.flows)
             out.add(of(view), view.achieved_bps);
     }},

    {{"longhaul_flow_slack_seconds", "gauge",
      "At the assigned rate: RPO target minus lag minus the time to send what is behind; absent while not "
      "known."},
     [](const MetricsInput& in, Samples& out) {
         for (const FlowView& view : in.flows)
             if (view.slack_s) out.add(of(view), *view.slack_s);
     }},
    {{"longhaul_flow_reason", "gauge", "1 for what decided the flow's rate, 0 for the others."},
     flow_reasons},

    {{"longhaul_link_up", "gauge", "1 while authenticated packets arrive on the link."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             out.add(of(view), view.up());
     }},
    {{"longhaul_link_answering", "gauge",
      "1 while the far end gets what is sent on the link; flows leave a link that does not answer."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             out.add(of(view), view.up() && view.status.answering);
     }},
    {{"longhaul_lane_weight", "gauge",
      "Share of its turns that a lane of the link takes: less while it loses more than the others, 0 while "
      "it is down."},
     each_lane<&Lane::weight>},
    {{"longhaul_lane_tx_packets_total", "counter", "Data, parity and repair packets sent on the lane."},
     each_lane<&Lane::tx_packets>},
    {{"longhaul_lane_delivered_packets_total", "counter", "Packets of the lane that arrived."},
     each_lane<&Lane::delivered_packets>},
    {{"longhaul_lane_lost_packets_total", "counter", "Packets of the lane that did not arrive, before FEC."},
     each_lane<&Lane::lost_packets>},
    {{"longhaul_lane_rehashes_total", "counter",
      "Times that the lane changed its UDP source port for a better path."},
     each_lane<&Lane::rehashes>},
    {{"longhaul_link_contracted_bits_per_second", "gauge", "Contracted rate of the sending direction."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             out.add(of(view), view.settings.rate_bps);
     }},
    {{"longhaul_link_contracted_share_ratio", "gauge",
      "Share of the contracted rate that is never exceeded."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             out.add(of(view), view.settings.share);
     }},
    {{"longhaul_link_rate_bits_per_second", "gauge", "Rate that the congestion control sends at now."},
     each_link<&Link::rate_bps>},
    {{"longhaul_link_congestion", "gauge",
      "Always 1; the labels say the congestion mode in force and its phase."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links) {
             if (!view.up()) continue;
             Labels labels = of(view);
             labels.emplace_back("mode", view.status.mode);
             labels.emplace_back("phase", view.status.phase);
             out.add(labels, true);
         }
     }},
    {{"longhaul_link_bandwidth_bits_per_second", "gauge",
      "What the congestion control takes the path to carry for us; 0 where its mode has no estimate."},
     each_link<&Link::bandwidth_bps>},
    {{"longhaul_link_delivered_bits_per_second", "gauge", "What arrived, by the newest sample of feedback."},
     each_link<&Link::delivered_bps>},
    {{"longhaul_link_rtt_base_seconds", "gauge",
      "Round-trip time without queue, as the congestion control sees it; absent while the link is not up."},
     each_up_link_ms<&Link::rtt_base_ms>},
    {{"longhaul_link_queue_target_seconds", "gauge",
      "Queue delay that the mode steers to or yields at; absent while the link is not up."},
     each_up_link_ms<&Link::queue_target_ms>},
    {{"longhaul_link_loss_floor_ratio", "gauge",
      "Packet loss that is taken for the path's own; absent while the link is not up."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             if (view.up()) out.add(of(view), view.status.loss_floor);
     }},
    {{"longhaul_link_rtt_seconds", "gauge", "Smoothed round-trip time; absent while the link is not up."},
     each_up_link_ms<&Link::rtt_ms>},
    {{"longhaul_link_rtt_min_seconds", "gauge", "Smallest round-trip time; absent while the link is not up."},
     each_up_link_ms<&Link::rtt_min_ms>},
    {{"longhaul_link_queue_seconds", "gauge",
      "One-way delay above its minimum; absent while the link is not up."},
     each_up_link_ms<&Link::queue_ms>},
    {{"longhaul_link_loss_ratio", "gauge", "Packet loss before FEC; absent while the link is not up."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             if (view.up()) out.add(of(view), view.status.loss);
     }},
    {{"longhaul_link_loss_upper_ratio", "gauge",
      "Loss before FEC that is not exceeded in 95 of 100 cases: what the redundancy is "
      "decided from; absent while the link is not up."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             if (view.up()) out.add(of(view), view.status.loss_upper);
     }},
    {{"longhaul_link_loss_burst_packets", "gauge",
      "Mean packets per loss event; absent while the link is not up."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             if (view.up()) out.add(of(view), view.status.loss_burst);
     }},
    {{"longhaul_link_tx_parity_steady_rows", "gauge", "Parity rows of a full stripe in bulk, as decided."},
     each_link<&Link::tx_parity_steady>},
    {{"longhaul_link_tx_parity_tail_rows", "gauge", "Parity rows of a full stripe at the last tail."},
     each_link<&Link::tx_parity_tail>},
    {{"longhaul_link_tx_interleave_stripes", "gauge", "Stripes that take turns where they have parity."},
     each_link<&Link::tx_interleave_depth>},
    {{"longhaul_link_tx_redundancy_off", "gauge",
      "1 after sixty seconds without a loss: only tails have parity."},
     each_link<&Link::tx_redundancy_off>},
    {{"longhaul_link_groups", "gauge", "Lane groups, each owned by one worker of the dataplane."},
     each_link<&Link::groups>},
    {{"longhaul_link_inflight_bytes", "gauge", "Sent and not yet accounted for by the far end."},
     each_link<&Link::tx_inflight_bytes>},
    {{"longhaul_link_tx_packets_total", "counter", "Packets sent."}, each_link<&Link::tx_packets>},
    {{"longhaul_link_tx_wire_bytes_total", "counter", "Bytes sent, as the wire counts them."},
     each_link<&Link::tx_wire_bytes>},
    {{"longhaul_link_tx_payload_bytes_total", "counter", "Bundle bytes sent for the first time."},
     each_link<&Link::tx_payload_bytes>},
    {{"longhaul_link_tx_parity_packets_total", "counter", "Parity packets sent ahead of any loss."},
     each_link<&Link::tx_parity_packets>},
    {{"longhaul_link_tx_repair_packets_total", "counter", "Parity packets sent because the far end asked."},
     each_link<&Link::tx_repair_packets>},
    {{"longhaul_link_tx_lost_packets_total", "counter", "Packets that did not arrive, before FEC."},
     each_link<&Link::tx_lost_packets>},
    {{"longhaul_link_tx_brakes_total", "counter", "Times that loss or delay made the sender slow down."},
     each_link<&Link::tx_brakes>},
    {{"longhaul_link_rx_loss_events_total", "counter", "Runs of lost packets, however long each was."},
     each_link<&Link::rx_loss_events>},
    {{"longhaul_link_rx_packets_total", "counter", "Authenticated packets received."},
     each_link<&Link::rx_packets>},
    {{"longhaul_link_rx_wire_bytes_total", "counter", "Bytes received, as the wire counts them."},
     each_link<&Link::rx_wire_bytes>},
    {{"longhaul_link_rx_payload_bytes_total", "counter", "Bundle bytes received."},
     each_link<&Link::rx_payload_bytes>},
    {{"longhaul_link_rx_symbols_restored_total", "counter", "Lost symbols that FEC restored."},
     each_link<&Link::rx_symbols_restored>},
    {{"longhaul_link_rx_stripes_repaired_total", "counter", "Stripes that needed a round of repair."},
     each_link<&Link::rx_stripes_repaired>},
    {{"longhaul_link_sessions_total", "counter", "Link sessions that this control established as initiator."},
     [](const MetricsInput& in, Samples& out) {
         for (const LinkView& view : in.links)
             out.add(of(view), view.sessions_established);
     }},

    {{"longhaul_control_sweeps_total", "counter", "Sweeps since start."}, core<&Stats::sweeps>},
    {{"longhaul_control_changes_total", "counter", "Changes found since start."}, core<&Stats::changes>},
    {{"longhaul_changes_memory_bytes", "gauge", "Of all pending changes."}, core<&Stats::changes_bytes>},
    {{"longhaul_control_bundles_offered_total", "counter", "Bundles given to the dataplane since start."},
     core<&Stats::bundles_offered>},
    {{"longhaul_control_bundles_published_total", "counter", "Bundles published since start."},
     core<&Stats::bundles_published>},
    {{"longhaul_control_bundles_failed_total", "counter", "Bundles that failed since start."},
     core<&Stats::bundles_failed>},
    {{"longhaul_order_violations_total", "counter",
      "Publications that would have broken the order of an `ordered` dataset; all were refused. Must be 0."},
     core<&Stats::order_violations>},
    {{"longhaul_control_objects_published_total", "counter", "Objects published since start."},
     core<&Stats::objects_published>},
    {{"longhaul_control_bytes_published_total", "counter", "Bytes published since start."},
     core<&Stats::bytes_published>},
};

}  // namespace

std::string escape_label(const std::string& value) {
    std::string out;
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\\')
            out += "\\\\";
        else if (c == '"')
            out += "\\\"";
        else if (c == '\n')
            out += "\\n";
        else if (byte < 0x20 || byte == 0x7f) {
            std::array<char, 8> text{};
            std::snprintf(text.data(), text.size(), "\\\\x%02X", byte);
            out += text.data();
        } else {
            out += c;
        }
    }
    return out;
}

std::span<const MetricFamily> metric_families() {
    static const std::vector<MetricFamily> families = [] {
        std::vector<MetricFamily> out;
        for (const Family& one : kFamilies)
            out.push_back(one.family);
        return out;
    }();
    return families;
}

std::string metrics_text(const MetricsInput& input) {
    std::string out;
    for (const Family& one : kFamilies) {
        out += std::string("# HELP ") + one.family.name + " " + one.family.help + "\n";
        out += std::string("# TYPE ") + one.family.name + " " + one.family.type + "\n";
        Samples samples(out, one.family.name);
        one.collect(input, samples);
    }
    return out;
}

}  // namespace longhaul::control
