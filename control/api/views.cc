// Views as JSON.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/views.h"

#include "control/config/dataset_document.h"
#include "control/config/values.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

json when(WallNs time) {
    return time == 0 ? json() : json(rfc3339(time));
}
json when(const std::optional<WallNs>& time) {
    return time ? json(rfc3339(*time)) : json();
}

template <typename T>
json known(const std::optional<T>& value) {
    return value ? json(*value) : json();
}
json known(const std::string& text) {
    return text.empty() ? json() : json(text);
}

}  // namespace

json rpo_document(const RpoView& view) {
    return {{"dataset", view.dataset},
            {"site", view.site},
            {"role", view.role},
            {"state", view.state},
            {"quality", view.quality},
            {"watermarks",
             {{"discovered", when(view.watermarks.w_disc)},
              {"durable", when(view.watermarks.w_dur)},
              {"published", when(view.watermarks.w_pub)}}},
            {"rpo_lag_s", known(view.rpo_lag_s)},
            {"durable_lag_s", known(view.durable_lag_s)},
            {"rpo_target_s", view.rpo_target_s},
            {"within_target", known(view.within_target)},
            {"rescan_s", view.rescan_s},
            {"objects_total", view.objects_total},
            {"bytes_total", view.bytes_total},
            {"objects_behind", view.objects_behind},
            {"bytes_behind", view.bytes_behind},
            {"objects_published", view.objects_published},
            {"bytes_published", view.bytes_published},
            {"objects_failing", view.objects_failing},
            {"eta_s", known(view.eta_s)},
            {"eta_reason", known(view.eta_reason)},
            {"limited_by", known(view.limited_by)},
            {"drain_bps", view.drain_bps},
            {"computed_at", when(view.computed_at)}};
}

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
    out["problem"] = known(view.problem);
    return out;
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
            {"bundles_in_flight", view.bundles_in_flight}};
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
            {"bundles_published", stats.bundles_published},
            {"bundles_failed", stats.bundles_failed},
            {"order_violations", stats.order_violations},
            {"objects_published", stats.objects_published},
            {"bytes_published", stats.bytes_published}};
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
                {"rate_bps", settings.rate_bps},
                {"rtt_max_ms", settings.rtt_max_ms},
                {"mode", settings.mode},
                {"goal", settings.goal},
                {"fec", format_fec(settings.fixed_parity)},
                {"state", view.state},
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
    return {{"name", name},      {"self", true},         {"peer_url", nullptr},
            {"reachable", true}, {"last_seen", nullptr}, {"reason", nullptr}};
}

json site_document(const SiteConfig& site, const Reachability& reachability) {
    return {{"name", site.name},
            {"self", false},
            {"peer_url", site.peer_url},
            {"reachable", reachability.reachable},
            {"last_seen", when(reachability.last_seen)},
            {"reason", known(reachability.reason)}};
}

}  // namespace longhaul::control
