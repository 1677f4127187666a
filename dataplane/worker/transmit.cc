// Transmit: feedback and pings first, then what pacer, window and credit allow, sealed straight into the frame.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {

bool Worker::transmit_frames(TimeNs now) {
    bool busy = false;
    for (Link* link : active_)
        busy |= transmit_link(*link, now);
    const Stage before = clock_.enter(Stage::frames);
    busy |= relay_frames();
    watch_neighbours(now);
    for (std::size_t port = 0; port < ports_.size(); ++port) {
        busy |= send_neighbour_frames(port, now);
        flush_frames(port);
        empty_frames_[port].refill();
    }
    clock_.enter(before);
    return busy;
}

bool Worker::transmit_link(Link& link, TimeNs now) {
    if (link.session == nullptr || !resolve_neighbour(link, now)) return false;
    const bool busy = send_control(link, now);
    std::array<session::PacketOut, kBurst> packets;
    const std::size_t count = link.session->sender.next_packets(now, packets);
    send_packets(link, std::span(packets).first(count));
    return busy || count > 0;
}

// Feedback and pings, one at a time: their payload lives in the session only until the next is made.
bool Worker::send_control(Link& link, TimeNs now) {
    LinkSession& session = *link.session;
    bool busy = false;
    for (unsigned i = 0; i < kBurst; ++i) {
        const auto lane = session.receiver.next_feedback(now, feedback_);
        if (!lane) break;
        session::PacketOut packet;
        packet.header.type = wire::PacketType::feedback;
        packet.header.path = session.parameters.path;
        packet.header.lane = *lane;
        packet.header.tx_time_us = wire_clock_us(now);
        packet.payload = feedback_.data();
        packet.payload_bytes = static_cast<std::uint32_t>(feedback_.size());
        send_packets(link, {&packet, 1});
        busy = true;
    }
    for (unsigned i = 0; i < session.parameters.lanes; ++i) {
        const auto ping = session.sender.next_ping(now);
        if (!ping) break;
        send_packets(link, {&*ping, 1});
        busy = true;
    }
    return send_probes(link, now) || busy;
}

// A handful a session and a handful more where data stalls: beside the pacer.
bool Worker::send_probes(Link& link, TimeNs now) {
    LinkSession& session = *link.session;
    bool busy = false;
    const auto send = [&](const wire::Probe& probe, std::uint8_t lane) {
        wire::write_probe(probe, probe_.data());
        session::PacketOut packet;
        packet.header.type = wire::PacketType::probe;
        packet.header.path = session.parameters.path;
        packet.header.lane = lane;
        packet.header.tx_time_us = wire_clock_us(now);
        packet.payload = probe_.data();
        packet.payload_bytes = static_cast<std::uint32_t>(wire::probe_bytes(probe));
        send_packets(link, {&packet, 1});
        busy = true;
    };
    for (const LinkSession::Answer& answer : session.answers)
        send(answer.probe, answer.lane);
    session.answers.clear();
    while (const auto ask = session.probe.next())
        send(ask->probe, ask->lane);
    return busy;
}

// At most a burst. One call to the AEAD for all of them: it writes the ciphertext straight into the frames.
void Worker::send_packets(Link& link, std::span<const session::PacketOut> packets) {
    if (packets.empty()) return;
    const Stage before = clock_.enter(Stage::frames);
    std::array<rte_mbuf*, kBurst> frames;
    std::array<crypto::SealJob, kBurst> jobs;
    std::array<const session::PacketOut*, kBurst> built;
    std::size_t count = 0;
    for (const session::PacketOut& packet : packets) {
        frames[count] = build_frame(link, packet, jobs[count]);
        if (frames[count] == nullptr) {
            drops_.add(wire::DropReason::no_buffer);  // like a loss on the wire: repair takes care of it
            continue;
        }
        built[count++] = &packet;
    }
    work_.sealed_packets += count;
    clock_.enter(Stage::seal);
    aead_->seal(std::span(jobs).first(count));
    clock_.enter(Stage::frames);
    for (std::size_t i = 0; i < count; ++i)
        finish_frame(link, *built[i], frames[i]);
    clock_.enter(before);
}

rte_mbuf* Worker::build_frame(Link& link, const session::PacketOut& packet, crypto::SealJob& job) {
    rte_mbuf* frame = empty_frames_[link.port].take();
    if (frame == nullptr) return nullptr;
    const Lane& lane = link.session->lanes[packet.header.lane];
    const std::size_t overhead = lane.frame.overhead_bytes();
    const std::size_t datagram = wire::kHeaderBytes + packet.payload_bytes + wire::kTagBytes;
    auto* const out = reinterpret_cast<std::uint8_t*>(
        rte_pktmbuf_append(frame, static_cast<std::uint16_t>(overhead + datagram)));
    LH_ASSERT(out != nullptr);
    std::uint8_t* const header = out + overhead;
    wire::write_header(packet.header, header);
    job = {lane.sealer.get(), header, packet.payload, header + wire::kHeaderBytes, packet.payload_bytes};
    return frame;
}

// Behind the seal: a checksum in software covers the ciphertext.
void Worker::finish_frame(const Link& link, const session::PacketOut& packet, rte_mbuf* frame) {
    const nic::Port& port = *ports_[link.port];
    const wire::UdpFrame& headers = link.session->lanes[packet.header.lane].frame;
    const std::size_t datagram = wire::kHeaderBytes + packet.payload_bytes + wire::kTagBytes;
    const wire::UdpChecksum checksum = port.udp_checksum(headers.v6());
    headers.write(datagram, checksum, rte_pktmbuf_mtod(frame, std::uint8_t*));
    if (checksum == wire::UdpChecksum::offloaded)
        port.prepare(frame, headers.v6(), static_cast<unsigned>(headers.network_offset()),
                     headers.v6() ? 40 : 20);
    queue_frame(link.port, frame);
}

// Nothing is sent while the next hop is unknown; the request itself goes out with the neighbour frames.
bool Worker::resolve_neighbour(Link& link, TimeNs now) {
    const auto mac =
        config_.index == 0 ? neighbours_[link.port]->resolve(link.remote_ip, now) : link.neighbour;
    link.neighbour_known = mac.has_value();
    if (!mac) return false;
    for (Lane& lane : link.session->lanes) {
        if (lane.tuple.target_mac == *mac && lane.frame.overhead_bytes() > 0) continue;
        lane.tuple.target_mac = *mac;
        lane.frame = wire::UdpFrame(lane.tuple);
    }
    return true;
}

bool Worker::send_neighbour_frames(std::size_t port, TimeNs now) {
    if (config_.index != 0) return false;
    // Whoever is behind a link that came back may be another machine, or not know us: tell and ask anew.
    if (const std::uint64_t epoch = ports_[port]->link_epoch(); epoch != link_epochs_[port]) {
        link_epochs_[port] = epoch;
        neighbours_[port]->announce(now);
    }
    if (neighbours_[port]->next_wake() > now) return false;
    bool busy = false;
    for (unsigned i = 0; i < 4; ++i) {
        rte_mbuf* frame = rte_pktmbuf_alloc(ports_[port]->pool());
        if (frame == nullptr) return busy;
        auto* const out = rte_pktmbuf_mtod(frame, std::uint8_t*);
        const std::size_t bytes = neighbours_[port]->next_request(now, {out, rte_pktmbuf_tailroom(frame)});
        if (bytes == 0) {
            rte_pktmbuf_free(frame);
            break;
        }
        rte_pktmbuf_append(frame, static_cast<std::uint16_t>(bytes));
        queue_frame(port, frame);
        busy = true;
    }
    return busy;
}

void Worker::queue_frame(std::size_t port, rte_mbuf* frame) {
    Outgoing& outgoing = outgoing_frames_[port];
    outgoing.frames[outgoing.count++] = frame;
    if (outgoing.count == kBurst) flush_frames(port);
}

void Worker::flush_frames(std::size_t port) {
    Outgoing& outgoing = outgoing_frames_[port];
    if (outgoing.count == 0) return;
    if (config_.index < ports_[port]->config().queues)
        ports_[port]->transmit(config_.index, outgoing.frames.data(), outgoing.count);
    else
        depart(port, std::span(outgoing.frames).first(outgoing.count));
    outgoing.count = 0;
}

}  // namespace longhaul::worker
