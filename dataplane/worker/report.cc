// What the worker tells the main thread: link states and figures, counters, events in order. Nothing is lost: what
// does not fit the mailbox waits here, bounded by the bundles that are open.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {

void Worker::tell(Event event) {
    overflow_.push_back(std::make_unique<Event>(std::move(event)));
}

bool Worker::flush_outbox() {
    bool sent = false;
    while (!overflow_.empty() && outbox_.send(overflow_.front())) {
        overflow_.pop_front();
        sent = true;
    }
    if (sent) {
        const std::uint64_t one = 1;
        // A full eventfd counter means that the main thread has not looked yet: it will.
        [[maybe_unused]] const auto written = ::write(wake_main_fd_, &one, sizeof one);
    }
    return sent;
}

bool Worker::report(TimeNs now) {
    for (Link* link : active_) {
        follow_path(*link, now);
        change_ways(*link, now);
        update_state(*link, now);
        if (link->groups > 1) tell_load(*link, now);
        const bool news = link->state != link->reported || link->answering != link->answering_reported;
        if (!news && now < link->next_report) continue;
        link->reported = link->state;
        link->answering_reported = link->answering;
        link->next_report = now + kSecond;
        tell(LinkReport{status_of(*link), link->group});
    }
    if (now >= next_counters_) {
        next_counters_ = now + kSecond;
        Counters counters{
            drops_, storage_->stats(), loops_, busy_loops_, sleeps_, clock_.busy_cycles(), {}, {}, work_};
        if (config_.index == 0)  // of all queues
            for (const nic::Port* port : ports_)
                counters.ports.push_back(port->stats());
        for (const auto& neighbours : neighbours_) {
            const auto& one = neighbours->counters();
            counters.neighbours.arp_replies += one.arp_replies;
            counters.neighbours.arp_requests += one.arp_requests;
            counters.neighbours.nd_replies += one.nd_replies;
            counters.neighbours.nd_requests += one.nd_requests;
            counters.neighbours.echo_replies += one.echo_replies;
            counters.neighbours.limited += one.limited;
            counters.neighbours.ignored += one.ignored;
            counters.neighbours.conflicts += one.conflicts;
        }
        tell(std::move(counters));
    }
    return flush_outbox();
}

// What the probes found ends a session: its symbol size is fixed. Both controls see an end without a session and agree
// on a new one within a second; link_prepare offers the size that was found.
void Worker::follow_path(Link& link, TimeNs now) {
    constexpr TimeNs kLook = 20 * kMillisecond;
    if (link.session == nullptr || now < link.session->next_path_look) return;
    LinkSession& session = *link.session;
    session.next_path_look = now + kLook;
    const session::SenderStats& sent = session.sender.stats();
    const bool waiting = session.heard && sent.stripes_sent > sent.stripes_complete;
    session.probe.observe(waiting, sent.stripes_complete, session.sender.answer_timeout(), now);
    const auto verdict = session.probe.verdict();
    if (!verdict) return;
    const bool grows = *verdict > session.parameters.symbol_bytes;
    if (grows && !link.outgoing.empty()) return;  // it can wait until a restart costs nobody anything
    tell(LogLine{!grows, "link " + link.settings.name + ": the path carries symbols of " +
                             std::to_string(*verdict) + " bytes, the session's have " +
                             std::to_string(session.parameters.symbol_bytes) + ": a new session begins"});
    link.path_symbol_bytes = *verdict;
    end_session(link);
}

// A lane that stays bad leaves by another source port: routers and bundles of links that spread flows by their addresses
// then send it another way. Nothing is to be agreed on: the far end knows a lane by its SPI, and every packet proves itself.
void Worker::change_ways(Link& link, TimeNs now) {
    if (link.session == nullptr || now < link.next_lane_look) return;
    link.next_lane_look = now + 20 * kMillisecond;
    std::vector<Lane>& lanes = link.session->lanes;
    const unsigned ports = std::min(link.settings.source_ports, 65536u - link.settings.udp_port_base);
    if (ports <= std::max<std::size_t>(link.settings.lanes, lanes.size())) return;
    while (const auto bad = link.session->sender.next_rehash(now)) {
        Lane& lane = lanes[*bad];
        const std::uint16_t before = lane.tuple.source_port;
        const auto taken = [&](std::uint16_t port) {
            return std::any_of(lanes.begin(), lanes.end(),
                               [&](const Lane& other) { return other.tuple.source_port == port; });
        };
        std::uint16_t port = before;
        while (taken(port))  // there are more ports than lanes
            port = static_cast<std::uint16_t>(link.settings.udp_port_base + random_.below(ports));
        lane.tuple.source_port = port;
        if (lane.frame.overhead_bytes() > 0) lane.frame = wire::UdpFrame(lane.tuple);
        tell(LogLine{false, "link " + link.settings.name + ": lane " +
                                std::to_string(link.session->first_lane + *bad) +
                                " has a bad path; source port " + std::to_string(before) + " becomes " +
                                std::to_string(lane.tuple.source_port)});
    }
}

// idle -> connecting (session started) -> up (authentic packet) <-> down (silent); a new session begins at connecting.
void Worker::update_state(Link& link, TimeNs now) {
    if (link.session == nullptr)
        link.state = command::LinkState::idle;
    else if (!link.session->heard)
        link.state = command::LinkState::connecting;
    else
        link.state = link.session->sender.silent(now) ? command::LinkState::down : command::LinkState::up;
    link.answering = link.state == command::LinkState::up && link.session->sender.answering(now);
}

command::LinkStatus Worker::status_of(const Link& link) const {
    command::LinkStatus status;
    status.link = link.settings.link;
    status.name = link.settings.name;
    status.state = link.state;
    status.answering = link.answering;
    status.rate_cap_bps = link.settings.rate_bps;
    status.path_symbol_bytes = link.path_symbol_bytes;
    status.mode = link.settings.mode;
    if (link.session == nullptr) {
        status.reason = "no session: waiting for the other site's control";
        return status;
    }
    const LinkSession& session = *link.session;
    const session::SenderStats& sent = session.sender.stats();
    const session::ReceiverStats& received = session.receiver.stats();
    const auto ms = [](TimeNs time) { return static_cast<double>(time) / static_cast<double>(kMillisecond); };
    status.session = session.id;
    status.rate_bps = sent.rate_bps;
    status.rtt_ms = ms(sent.rtt);
    status.rtt_min_ms = ms(sent.rtt_min);
    status.queue_ms = ms(sent.queue_delay);
    status.loss = sent.loss;
    status.loss_upper = sent.loss_upper;
    status.loss_burst = sent.loss_burst;
    status.tx_parity_steady = sent.parity_steady;
    status.tx_parity_tail = sent.parity_tail;
    status.tx_interleave_depth = sent.interleave_depth;
    status.tx_redundancy_off = sent.redundancy_off;
    status.rx_loss_events = received.loss_events;
    status.tx_packets = sent.packets;
    status.tx_wire_bytes = sent.wire_bytes;
    status.tx_payload_bytes = sent.payload_bytes;
    status.tx_parity_packets = sent.parity_packets;
    status.tx_repair_packets = sent.repair_packets + sent.resent_packets;
    status.tx_lost_packets = sent.lost_packets;
    status.tx_inflight_bytes = sent.inflight_bytes;
    status.tx_brakes = sent.brakes;
    status.mode = congestion::to_string(sent.congestion.mode);
    status.phase = sent.congestion.phase;
    status.bandwidth_bps = sent.congestion.bandwidth_bps;
    status.delivered_bps = sent.delivered_bps;
    status.rtt_base_ms = ms(sent.congestion.rtt_base);
    status.queue_target_ms = ms(sent.congestion.queue_target);
    status.loss_floor = sent.congestion.loss_floor;
    status.rx_packets = received.packets;
    status.rx_wire_bytes = received.wire_bytes;
    status.rx_payload_bytes = received.payload_bytes;
    status.rx_symbols_restored = received.symbols_restored;
    status.rx_stripes_repaired = received.stripes_repaired;
    status.tx_bundles_open = static_cast<std::uint32_t>(link.outgoing.size());
    status.rx_bundles_open = received.bundles_open;
    status.symbol_bytes = session.parameters.symbol_bytes;
    status.lanes = session.parameters.lanes;
    for (unsigned i = 0; i < session.lanes.size(); ++i) {
        const session::LaneFigures lane = session.sender.lane_figures(i);
        status.lane_list.push_back({static_cast<std::uint8_t>(session.first_lane + i),
                                    session.lanes[i].tuple.source_port, session::to_string(lane.state),
                                    lane.weight, lane.loss, lane.tx_packets, lane.delivered_packets,
                                    lane.lost_packets, lane.rehashes});
    }
    if (!link.neighbour_known)
        status.reason = "no answer to ARP/NDP for " + wire::to_string(link.remote_ip);
    else if (link.state == command::LinkState::connecting)
        status.reason = "no authentic packet from the peer yet";
    else if (link.state == command::LinkState::down)
        status.reason = "the peer has been silent for 2 s";
    else if (link.state == command::LinkState::up && !link.answering)
        status.reason = "what is sent is not answered at the moment";
    return status;
}

}  // namespace longhaul::worker
