// Of datasets and their flows: how much there is and is behind, capture, comparison, rates.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/metric_families.h"

namespace longhaul::control {
namespace {

using Rpo = RpoView;

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

constexpr Family kDatasetFamilies[] = {
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
};

}  // namespace

std::span<const Family> dataset_families() {
    return kDatasetFamilies;
}

}  // namespace longhaul::control
