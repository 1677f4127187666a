// Views as JSON.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/views.h"

#include "control/api/json_values.h"
#include "control/config/dataset_document.h"
#include "control/config/values.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

template <typename Entry>
json texts(const std::vector<Entry>& entries, std::string (*text)(const Entry&)) {
    json list = json::array();
    for (const Entry& entry : entries)
        list.push_back(text(entry));
    return list;
}

json capture_document(const CaptureView& view) {
    return {{"kind", view.kind},     {"reason", known(view.reason)},
            {"events", view.events}, {"events_nearby", view.events_nearby},
            {"hints", view.hints},   {"hints_waiting", view.hints_waiting},
            {"losses", view.losses}};
}

json lane_documents(const std::vector<command::LaneStatus>& lanes) {
    json list = json::array();
    for (const command::LaneStatus& lane : lanes)
        list.push_back({{"lane", lane.lane},
                        {"source_port", lane.source_port},
                        {"state", lane.state},
                        {"weight", lane.weight},
                        {"loss_ratio", lane.loss},
                        {"tx_packets", lane.tx_packets},
                        {"delivered_packets", lane.delivered_packets},
                        {"lost_packets", lane.lost_packets},
                        {"rehashes", lane.rehashes}});
    return list;
}

json read_back_document(const ReadBackCounts& counts) {
    return {{"files", counts.files},     {"bytes", counts.bytes},     {"differing", counts.differing},
            {"missing", counts.missing}, {"skipped", counts.skipped}, {"waiting", counts.waiting}};
}

}  // namespace

json dataset_view_document(const DatasetView& view) {
    json out = dataset_document(view.spec);
    out["link"] = known(view.link);
    out["link_wanted"] = known(view.spec.link);
    out["target_store"] = std::to_string(view.target_store);  // 64 bits: exact in every language as text
    out["rpo"] = rpo_document(view.rpo);
    out["last_sweep_started"] = when(view.last_sweep_started);
    out["last_sweep_took_s"] = view.last_sweep_started == 0 ? json() : json(view.last_sweep_took_s);
    out["sweeps"] = view.sweeps;
    out["deletes_held"] = view.deletes_held;
    out["capture"] = capture_document(view.capture);
    out["verify"] = verify_document(view.verify);
    out["problem"] = known(view.problem);
    out["warnings"] = view.warnings;
    return out;
}

json verify_document(const VerifyView& view) {
    const char* state = view.started == 0 ? "never" : view.ended == 0 ? "running" : "done";
    return {{"state", state},
            {"started", when(view.started)},
            {"ended", when(view.ended)},
            {"objects", view.counts.objects},
            {"bytes", view.counts.bytes},
            {"differing", view.counts.differing},
            {"metadata", view.counts.metadata},
            {"missing", view.counts.missing},
            {"changed", view.counts.changed},
            {"unreadable", view.counts.unreadable},
            {"read_back", read_back_document(view.read_back)}};
}

json bundle_document(const BundleView& view) {
    return {{"id", view.id},
            {"dataset", view.dataset},
            {"link", view.link},
            {"stage", view.stage},
            {"generation", view.generation},
            {"bytes", view.bytes},
            {"entries", view.entries},
            {"offered_at", when(view.offered_at)}};
}

json flow_document(const FlowView& view) {
    return {{"dataset", view.dataset},
            {"target_site", view.target_site},
            {"link", known(view.link)},
            {"traffic", view.traffic},
            {"rate_bps", view.rate_bps},
            {"achieved_bps", view.achieved_bps},
            {"bundles_in_flight", view.bundles_in_flight},
            {"reason", known(view.reason)},
            {"slack_s", known(view.slack_s)},
            {"floor_bps", view.floor_bps},
            {"cap_bps", view.cap_bps},
            {"weight", view.weight},
            {"turn", view.turn}};
}

json plan_document(const Plan& plan) {
    return {{"dataset", plan.dataset},
            {"would", !plan.refusals.empty()   ? "refuse"
                      : !plan.warnings.empty() ? "degrade"
                                               : "accept"},
            {"refusals", plan.refusals},
            {"warnings", plan.warnings},
            {"needs_bps", plan.needs_bps},
            {"within_s", plan.within_s},
            {"link", known(plan.link)},
            {"link_bps", plan.link_bps},
            {"available_bps", plan.available_bps}};
}

json impact_document(const LinkImpact& impact) {
    json rows = json::array();
    for (const LinkImpact::Row& row : impact.rows)
        rows.push_back({{"dataset", row.dataset},
                        {"rpo_target_s", row.rpo_target_s},
                        {"rpo_lag_s", known(row.lag_s)},
                        {"link_after", known(row.link_after)},
                        {"rate_bps", row.rate_bps},
                        {"rate_after_bps", row.rate_after_bps},
                        {"change_bps", row.change_bps},
                        {"time_to_breach_s", known(row.time_to_breach_s)},
                        {"breaks", row.breaks},
                        {"reason", known(row.reason)}});
    return {{"link", impact.link},         {"site", known(impact.site)},  {"window_s", impact.window_s},
            {"lost_bps", impact.lost_bps}, {"left_bps", impact.left_bps}, {"datasets", std::move(rows)}};
}

json failure_document(const ObjectFailure& failure) {
    return {{"dataset", failure.dataset},   {"path", failure.path},
            {"reason", failure.reason},     {"remedy", failure.remedy},
            {"since", when(failure.since)}, {"last_try", when(failure.last_try)},
            {"tries", failure.tries}};
}

json stats_document(const CoreStats& stats) {
    return {{"sweeps", stats.sweeps},
            {"changes", stats.changes},
            {"bundles_offered", stats.bundles_offered},
            {"bundles_moved", stats.bundles_moved},
            {"bundles_published", stats.bundles_published},
            {"bundles_failed", stats.bundles_failed},
            {"order_violations", stats.order_violations},
            {"objects_published", stats.objects_published},
            {"bytes_published", stats.bytes_published},
            {"schedule_turns", stats.schedule_turns}};
}

json link_document(const LinkView& view) {
    const command::LinkSettings& settings = view.settings;
    json out = {{"name", view.name},
                {"id", settings.link},
                {"site", view.site},
                {"port", settings.port},
                {"local_ip", settings.local_ip},
                {"remote_ip", settings.remote_ip},
                {"udp_port_base", settings.udp_port_base},
                {"lanes", settings.lanes},
                {"source_ports", settings.source_ports},
                {"rate_bps", settings.rate_bps},
                {"share", settings.share},
                {"rtt_max_ms", settings.rtt_max_ms},
                {"mode", settings.mode},
                {"goal", settings.goal},
                {"fec", format_fec(settings.fixed_parity)},
                {"windows", texts(view.calendar.windows, to_string)},
                {"maintenance", texts(view.calendar.maintenance, maintenance_text)},
                {"blackouts", texts(view.calendar.blackouts, blackout_text)},
                {"payload_share", view.payload_share},
                {"state", view.state},
                {"answering", view.up() && view.status.answering},
                {"reason", known(view.reason)},
                {"initiator", view.initiator},
                {"sessions_established", view.sessions_established},
                {"session", view.known ? known(view.status.session) : json()},
                {"measured", nullptr}};
    if (!view.known) return out;
    const command::LinkStatus& status = view.status;
    const bool up = view.up();
    const auto while_up = [&](double value) { return up ? json(value) : json(); };
    out["measured"] = {
        {"rate_cap_bps", status.rate_cap_bps},
        {"rate_bps", status.rate_bps},
        {"mode", status.mode},
        {"phase", known(status.phase)},
        {"bandwidth_bps", status.bandwidth_bps},
        {"delivered_bps", status.delivered_bps},
        {"rtt_base_s", while_up(status.rtt_base_ms / 1e3)},
        {"queue_target_s", while_up(status.queue_target_ms / 1e3)},
        {"loss_floor_ratio", while_up(status.loss_floor)},
        {"rtt_s", while_up(status.rtt_ms / 1e3)},
        {"rtt_min_s", while_up(status.rtt_min_ms / 1e3)},
        {"queue_s", while_up(status.queue_ms / 1e3)},
        {"loss_ratio", while_up(status.loss)},
        {"loss_upper_ratio", while_up(status.loss_upper)},
        {"loss_burst_packets", while_up(status.loss_burst)},
        {"tx_parity_steady", status.tx_parity_steady},
        {"tx_parity_tail", status.tx_parity_tail},
        {"tx_interleave_depth", status.tx_interleave_depth},
        {"tx_redundancy_off", status.tx_redundancy_off},
        {"symbol_bytes", status.symbol_bytes},
        {"path_symbol_bytes", status.path_symbol_bytes > 0 ? json(status.path_symbol_bytes) : json()},
        {"lanes", status.lanes},
        {"groups", status.groups},
        {"lane_list", lane_documents(status.lane_list)},
        {"tx_packets", status.tx_packets},
        {"tx_wire_bytes", status.tx_wire_bytes},
        {"tx_payload_bytes", status.tx_payload_bytes},
        {"tx_parity_packets", status.tx_parity_packets},
        {"tx_repair_packets", status.tx_repair_packets},
        {"tx_lost_packets", status.tx_lost_packets},
        {"tx_inflight_bytes", status.tx_inflight_bytes},
        {"tx_brakes", status.tx_brakes},
        {"tx_bundles_open", status.tx_bundles_open},
        {"rx_loss_events", status.rx_loss_events},
        {"rx_packets", status.rx_packets},
        {"rx_wire_bytes", status.rx_wire_bytes},
        {"rx_payload_bytes", status.rx_payload_bytes},
        {"rx_symbols_restored", status.rx_symbols_restored},
        {"rx_stripes_repaired", status.rx_stripes_repaired},
        {"rx_bundles_open", status.rx_bundles_open}};
    return out;
}

json own_site_document(const std::string& name) {
    return {{"name", name},         {"self", true},      {"peer_url", nullptr}, {"reachable", true},
            {"last_seen", nullptr}, {"reason", nullptr}, {"clock", nullptr}};
}

json site_document(const SiteConfig& site, const Reachability& reachability,
                   const std::vector<PeerClockView>& clocks) {
    json clock;
    for (const auto& one : clocks)
        if (one.site == site.name)
            clock = {{"offset_s", one.offset_s},
                     {"uncertainty_s", one.uncertainty_s},
                     {"measured_at", when(one.measured_at)},
                     {"problem", known(one.problem)}};
    return {{"name", site.name},
            {"self", false},
            {"peer_url", site.peer_url},
            {"reachable", reachability.reachable},
            {"last_seen", when(reachability.last_seen)},
            {"reason", known(reachability.reason)},
            {"clock", std::move(clock)}};
}

}  // namespace longhaul::control
