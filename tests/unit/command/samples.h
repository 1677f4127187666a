// One value of every message with each field unlike its default, shared by the round trips and the hostile
// changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "dataplane/command/messages.h"

namespace longhaul::command::samples {

inline constexpr std::uint64_t kOdd64 = 0xfedcba9876543211;  // not exact as a double

inline std::array<std::uint8_t, 32> bytes32(std::uint8_t start) {
    std::array<std::uint8_t, 32> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::uint8_t>(start + 7 * i);
    return bytes;
}

inline LinkSettings settings() {
    LinkSettings value;
    value.link = 200;
    value.name = "east-west-1";
    value.port = "wan0";
    value.local_ip = "10.77.0.1";
    value.remote_ip = "fd00::2";
    value.udp_port_base = 50000;
    value.lanes = 64;
    value.source_ports = 15'536;
    value.rate_bps = 99'999'999'999;
    value.share = 0.995;
    value.rtt_max_ms = 150;
    value.mode = "scavenger";
    value.goal = "latency";
    value.fixed_parity = 2;
    value.traffic_class = 46;
    return value;
}

inline LinkOffer offer() {
    return LinkOffer{bytes32(3), {0, 1, 0xffffffff, 0x80000000}, 8768, 8};
}

inline LinkStart start() {
    LinkStart value;
    value.link = 9;
    value.session = "00112233445566778899aabbccddeeff";
    value.initiator = true;
    value.secret = bytes32(0x80);
    value.own_nonce = bytes32(0x11);
    value.peer = offer();
    value.symbol_bytes = 1344;
    value.lanes = 3;
    return value;
}

inline LinkStatus status() {
    LinkStatus value;
    value.link = 255;
    value.name = "m\u00fcnchen";
    value.session = "00112233445566778899aabbccddeeff";
    value.state = LinkState::down;
    value.answering = true;
    value.rtt_ms = 50.125;
    value.rtt_min_ms = 49.9;
    value.queue_ms = 0.2;
    value.loss = 1e-9;
    value.mode = "shared";
    value.phase = "probe_up";
    value.rtt_base_ms = 48.5;
    value.queue_target_ms = 12.5;
    value.loss_floor = 0.0025;
    value.loss_upper = 2e-9;
    value.loss_burst = 7.5;
    value.tx_parity_steady = 2;
    value.tx_parity_tail = 16;
    value.tx_interleave_depth = 512;
    value.tx_redundancy_off = true;
    std::uint64_t number = kOdd64;
    for (std::uint64_t* field :
         {&value.rate_cap_bps, &value.rate_bps, &value.bandwidth_bps, &value.delivered_bps, &value.tx_packets,
          &value.tx_wire_bytes, &value.tx_payload_bytes, &value.tx_parity_packets, &value.tx_repair_packets,
          &value.tx_lost_packets, &value.tx_inflight_bytes, &value.tx_brakes, &value.rx_packets,
          &value.rx_wire_bytes, &value.rx_payload_bytes, &value.rx_symbols_restored,
          &value.rx_stripes_repaired, &value.rx_loss_events})
        *field = number++;
    value.tx_bundles_open = 0xffffffff;
    value.rx_bundles_open = 12;
    value.symbol_bytes = 1408;
    value.lanes = 4;
    value.groups = 2;
    value.lane_list = {{0, 49152, "up", 1, 0, kOdd64, 2, 3, 0},
                       {63, 65535, "lossy", 0.25, 0.125, 4, 5, kOdd64, 6}};
    value.reason = "port \"wan0\" has no carrier: check the cable";
    return value;
}

inline BundleOfferMessage bundle_offer() {
    return BundleOfferMessage{7, wire::BundleId{kOdd64, 5}, 0xffffffff, kOdd64};
}

inline BundleEvent event() {
    BundleEvent value;
    value.id = wire::BundleId{1, kOdd64};
    value.generation = 3;
    value.link = 1;
    value.stage = wire::Stage::failed;
    value.reason = wire::FailReason::target_no_space;
    value.failed_entries = 0xffffffff;
    value.failures = {{0, wire::FailReason::source_vanished}, {0xffffffff, wire::FailReason::internal}};
    return value;
}

inline StatusReport report() {
    StatusReport value;
    value.boot_id = "ffeeddccbbaa99887766554433221100";
    value.links = {status(), LinkStatus{}};
    value.source_stores = {1, kOdd64};
    value.target_stores = {~std::uint64_t{0}};
    value.bundles = {event(), BundleEvent{}};
    value.in_flight = {wire::BundleId{}, wire::BundleId{kOdd64, kOdd64}};
    return value;
}

}  // namespace longhaul::command::samples
