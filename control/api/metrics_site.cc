// Of the site: its processes, peers, events, and what control has done since it began.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/metric_families.h"

namespace longhaul::control {
namespace {

using Stats = CoreStats;

template <auto Field>
void core(const MetricsInput& input, Samples& samples) {
    samples.add({}, input.stats.*Field);
}

constexpr Family kSiteFamilies[] = {
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
    {{"longhaul_control_sweeps_total", "counter", "Sweeps since start."}, core<&Stats::sweeps>},
    {{"longhaul_control_changes_total", "counter", "Changes found since start."}, core<&Stats::changes>},
    {{"longhaul_changes_memory_bytes", "gauge",
      "Memory of all pending changes; changes_memory_mib bounds it."},
     core<&Stats::changes_bytes>},
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

std::span<const Family> site_families() {
    return kSiteFamilies;
}

}  // namespace longhaul::control
