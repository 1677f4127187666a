// Links in JSON: settings, offers, the start of a session, status. What a link may be set to is checked here,
// once, so that the worker meets only values that it can build.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <nlohmann/json.hpp>

#include "dataplane/command/fields.h"
#include "dataplane/command/messages.h"

namespace longhaul::command {

using nlohmann::json;

namespace {
constexpr std::array kStates{LinkState::unconfigured, LinkState::idle, LinkState::connecting, LinkState::up,
                             LinkState::down};

double finite(double value) noexcept {
    return std::isfinite(value) ? value : 0.0;
}  // JSON has no infinity

bool is_hex_of(std::string_view text, std::size_t digits) {
    return text.size() == digits && unhex(text).ok();
}

void check(FieldReader& fields, const LinkSettings& value) {
    if (value.name.empty() || value.name.size() > kNameBytesMax)
        fields.refuse("name", "must have 1 to " + std::to_string(kNameBytesMax) + " bytes");
    if (value.port.empty() || value.port.size() > kNameBytesMax)
        fields.refuse("port", "must name a port of the dataplane's configuration");
    if (value.udp_port_base + value.lanes > 65536u)
        fields.refuse("udp_port_base", "plus lanes must stay within 65536; choose a lower base");
    if (!(value.share >= kShareMin && value.share <= kShareMax))
        fields.refuse("share", "must be from 0.5 to 1");
    if (!is_congestion_mode(value.mode))
        fields.refuse("mode", "must be 'reserved', 'shared', 'scavenger' or 'delay'");
    if (value.goal != "throughput" && value.goal != "balanced" && value.goal != "latency")
        fields.refuse("goal", "must be 'throughput', 'balanced' or 'latency'");
}
}  // namespace

bool is_congestion_mode(std::string_view name) noexcept {
    return name == "reserved" || name == "shared" || name == "scavenger" || name == "delay";
}

void to_json(json& out, const LinkSettings& value) {
    out = json{{"link", value.link},
               {"name", value.name},
               {"port", value.port},
               {"local_ip", value.local_ip},
               {"remote_ip", value.remote_ip},
               {"udp_port_base", value.udp_port_base},
               {"lanes", value.lanes},
               {"source_ports", value.source_ports},
               {"rate_bps", value.rate_bps},
               {"share", value.share},
               {"rtt_max_ms", value.rtt_max_ms},
               {"mode", value.mode},
               {"goal", value.goal},
               {"traffic_class", value.traffic_class}};
    if (value.fixed_parity) out["fixed_parity"] = *value.fixed_parity;
}

Result<LinkSettings> link_settings_from(const json& in) {
    LinkSettings value;
    FieldReader fields(in, "link_add");
    fields.read("link", value.link);
    fields.read("name", value.name);
    fields.read("port", value.port);
    fields.read("local_ip", value.local_ip);
    fields.read("remote_ip", value.remote_ip);
    fields.read("udp_port_base", value.udp_port_base, 65535, 1);
    fields.read("lanes", value.lanes, wire::kLanesMax, 1);
    fields.read("source_ports", value.source_ports, 65535);
    fields.read("rate_bps", value.rate_bps, kRateBpsMax, 1);
    fields.read("share", value.share);
    fields.read("rtt_max_ms", value.rtt_max_ms, kRttMsMax, 1);
    fields.read("mode", value.mode);
    fields.read("goal", value.goal);
    fields.read("fixed_parity", value.fixed_parity, 128);
    fields.read("traffic_class", value.traffic_class);
    if (fields.ok()) check(fields, value);
    if (!fields.ok()) return fields.error();
    return value;
}

void to_json(json& out, const LinkOffer& value) {
    out = json{{"nonce", hex(value.nonce)},
               {"spis", value.spis},
               {"symbol_bytes", value.symbol_bytes},
               {"groups", value.groups}};
}

Result<LinkOffer> link_offer_from(const json& in) {
    LinkOffer value;
    FieldReader fields(in, "link offer");
    fields.read("nonce", value.nonce);
    fields.read_list("spis", value.spis, wire::kLanesMax);
    fields.read("symbol_bytes", value.symbol_bytes);
    fields.read("groups", value.groups, wire::kLanesMax, 1);
    if (!fields.ok()) return fields.error();
    return value;
}

void to_json(json& out, const LinkStart& value) {
    out = json{{"link", value.link},
               {"session", value.session},
               {"initiator", value.initiator},
               {"secret", hex(value.secret)},
               {"own_nonce", hex(value.own_nonce)},
               {"peer", value.peer},
               {"symbol_bytes", value.symbol_bytes},
               {"lanes", value.lanes}};
}

Result<LinkStart> link_start_from(const json& in) {
    LinkStart value;
    FieldReader fields(in, "link_start");
    fields.read("link", value.link);
    fields.read("session", value.session);
    fields.read("initiator", value.initiator);
    fields.read("secret", value.secret);
    fields.read("own_nonce", value.own_nonce);
    fields.read("symbol_bytes", value.symbol_bytes, 65535, 1);
    fields.read("lanes", value.lanes, wire::kLanesMax, 1);
    if (fields.ok() && !is_hex_of(value.session, 32)) fields.refuse("session", "must be 32 hex digits");
    if (fields.ok() && !in.contains("peer")) fields.refuse("peer", "is missing");
    if (!fields.ok()) return fields.error();

    auto peer = link_offer_from(*in.find("peer"));
    if (!peer.ok()) {
        fields.adopt(peer.error());
        return fields.error();
    }
    value.peer = std::move(peer).value();
    if (value.peer.spis.size() < value.lanes) {
        fields.refuse("peer", "must list an SPI for each of the lanes");
        return fields.error();
    }
    return value;
}

const char* to_string(LinkState state) noexcept {
    switch (state) {
        case LinkState::unconfigured:
            return "unconfigured";
        case LinkState::idle:
            return "idle";
        case LinkState::connecting:
            return "connecting";
        case LinkState::up:
            return "up";
        case LinkState::down:
            return "down";
    }
    return "unknown";
}

void to_json(json& out, const LaneStatus& value) {
    out = json{{"lane", value.lane},
               {"source_port", value.source_port},
               {"state", value.state},
               {"weight", finite(value.weight)},
               {"loss", finite(value.loss)},
               {"tx_packets", value.tx_packets},
               {"delivered_packets", value.delivered_packets},
               {"lost_packets", value.lost_packets},
               {"rehashes", value.rehashes}};
}

namespace {
void read_lanes(FieldReader& status, std::vector<LaneStatus>& out) {
    const json* list = status.array("lane_list", wire::kLanesMax);
    if (list == nullptr) return;
    for (const json& item : *list) {
        LaneStatus lane;
        FieldReader fields(item, "lane status");
        fields.read("lane", lane.lane, wire::kLanesMax - 1);
        fields.read("source_port", lane.source_port);
        fields.read("state", lane.state);
        fields.read("weight", lane.weight);
        fields.read("loss", lane.loss);
        fields.read("tx_packets", lane.tx_packets);
        fields.read("delivered_packets", lane.delivered_packets);
        fields.read("lost_packets", lane.lost_packets);
        fields.read("rehashes", lane.rehashes);
        if (!fields.ok()) return status.adopt(fields.error());
        out.push_back(std::move(lane));
    }
}
}  // namespace

void to_json(json& out, const LinkStatus& value) {
    out = json{{"link", value.link},
               {"name", value.name},
               {"session", value.session},
               {"state", to_string(value.state)},
               {"answering", value.answering},
               {"rate_cap_bps", value.rate_cap_bps},
               {"rate_bps", value.rate_bps},
               {"rtt_ms", finite(value.rtt_ms)},
               {"rtt_min_ms", finite(value.rtt_min_ms)},
               {"queue_ms", finite(value.queue_ms)},
               {"loss", finite(value.loss)},
               {"mode", value.mode},
               {"phase", value.phase},
               {"bandwidth_bps", value.bandwidth_bps},
               {"delivered_bps", value.delivered_bps},
               {"rtt_base_ms", finite(value.rtt_base_ms)},
               {"queue_target_ms", finite(value.queue_target_ms)},
               {"loss_floor", finite(value.loss_floor)},
               {"loss_upper", finite(value.loss_upper)},
               {"loss_burst", finite(value.loss_burst)},
               {"tx_parity_steady", value.tx_parity_steady},
               {"tx_parity_tail", value.tx_parity_tail},
               {"tx_interleave_depth", value.tx_interleave_depth},
               {"tx_redundancy_off", value.tx_redundancy_off},
               {"rx_loss_events", value.rx_loss_events},
               {"tx_packets", value.tx_packets},
               {"tx_wire_bytes", value.tx_wire_bytes},
               {"tx_payload_bytes", value.tx_payload_bytes},
               {"tx_parity_packets", value.tx_parity_packets},
               {"tx_repair_packets", value.tx_repair_packets},
               {"tx_lost_packets", value.tx_lost_packets},
               {"tx_inflight_bytes", value.tx_inflight_bytes},
               {"tx_brakes", value.tx_brakes},
               {"rx_packets", value.rx_packets},
               {"rx_wire_bytes", value.rx_wire_bytes},
               {"rx_payload_bytes", value.rx_payload_bytes},
               {"rx_symbols_restored", value.rx_symbols_restored},
               {"rx_stripes_repaired", value.rx_stripes_repaired},
               {"tx_bundles_open", value.tx_bundles_open},
               {"rx_bundles_open", value.rx_bundles_open},
               {"symbol_bytes", value.symbol_bytes},
               {"path_symbol_bytes", value.path_symbol_bytes},
               {"lanes", value.lanes},
               {"groups", value.groups},
               {"lane_list", value.lane_list},
               {"reason", value.reason}};
}

Result<LinkStatus> link_status_from(const json& in) {
    LinkStatus value;
    std::string state;
    FieldReader fields(in, "link status");
    fields.read("link", value.link);
    fields.read("name", value.name);
    fields.read("session", value.session);
    fields.read("state", state);
    fields.read("answering", value.answering);
    fields.read("rate_cap_bps", value.rate_cap_bps);
    fields.read("rate_bps", value.rate_bps);
    fields.read("rtt_ms", value.rtt_ms);
    fields.read("rtt_min_ms", value.rtt_min_ms);
    fields.read("queue_ms", value.queue_ms);
    fields.read("loss", value.loss);
    fields.read("mode", value.mode);
    fields.read("phase", value.phase);
    fields.read("bandwidth_bps", value.bandwidth_bps);
    fields.read("delivered_bps", value.delivered_bps);
    fields.read("rtt_base_ms", value.rtt_base_ms);
    fields.read("queue_target_ms", value.queue_target_ms);
    fields.read("loss_floor", value.loss_floor);
    fields.read("loss_upper", value.loss_upper);
    fields.read("loss_burst", value.loss_burst);
    fields.read("tx_parity_steady", value.tx_parity_steady);
    fields.read("tx_parity_tail", value.tx_parity_tail);
    fields.read("tx_interleave_depth", value.tx_interleave_depth);
    fields.read("tx_redundancy_off", value.tx_redundancy_off);
    fields.read("rx_loss_events", value.rx_loss_events);
    fields.read("tx_packets", value.tx_packets);
    fields.read("tx_wire_bytes", value.tx_wire_bytes);
    fields.read("tx_payload_bytes", value.tx_payload_bytes);
    fields.read("tx_parity_packets", value.tx_parity_packets);
    fields.read("tx_repair_packets", value.tx_repair_packets);
    fields.read("tx_lost_packets", value.tx_lost_packets);
    fields.read("tx_inflight_bytes", value.tx_inflight_bytes);
    fields.read("tx_brakes", value.tx_brakes);
    fields.read("rx_packets", value.rx_packets);
    fields.read("rx_wire_bytes", value.rx_wire_bytes);
    fields.read("rx_payload_bytes", value.rx_payload_bytes);
    fields.read("rx_symbols_restored", value.rx_symbols_restored);
    fields.read("rx_stripes_repaired", value.rx_stripes_repaired);
    fields.read("tx_bundles_open", value.tx_bundles_open);
    fields.read("rx_bundles_open", value.rx_bundles_open);
    fields.read("symbol_bytes", value.symbol_bytes);
    fields.read("path_symbol_bytes", value.path_symbol_bytes);
    fields.read("lanes", value.lanes);
    fields.read("groups", value.groups, wire::kLanesMax);
    read_lanes(fields, value.lane_list);
    fields.read("reason", value.reason);
    if (!fields.ok()) return fields.error();
    for (const LinkState known : kStates) {
        if (state != to_string(known)) continue;
        value.state = known;
        return value;
    }
    fields.refuse("state", "must be the name of a link state");
    return fields.error();
}

}  // namespace longhaul::command
