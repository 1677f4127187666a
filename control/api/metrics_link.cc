// Of links and their lanes.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>

#include "control/api/metric_families.h"

namespace longhaul::control {
namespace {

using Link = command::LinkStatus;
using Lane = command::LaneStatus;

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

constexpr Family kLinkFamilies[] = {
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
};

}  // namespace

std::span<const Family> link_families() {
    return kLinkFamilies;
}

}  // namespace longhaul::control
