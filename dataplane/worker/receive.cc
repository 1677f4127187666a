// Receive: a burst of frames -> headers -> places for the plaintext -> one call to the AEAD -> sessions.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {
namespace {

constexpr unsigned kPrefetchAhead = 8;
constexpr std::size_t kPrefetchBytes = 2048;  // of a packet: the rest streams by itself

// Another core or the NIC has just written them: they come from far away. IPv4, UDP and ours end in the second line.
void prefetch_headers(const rte_mbuf* frame) {
    const auto* const headers = rte_pktmbuf_mtod(frame, const std::uint8_t*);
    rte_prefetch0(headers);
    rte_prefetch0(headers + 64);
}

// The AEAD comes to this packet after those before it in the burst: until then its bytes travel to the second-level
// cache, and the tag at its end, which nothing else would fetch early, to the first.
void prefetch_sealed(ByteView sealed) {
    const std::size_t most = std::min<std::size_t>(sealed.size(), kPrefetchBytes);
    for (std::size_t at = 64; at < most; at += 64)
        rte_prefetch2(sealed.data() + at);
    rte_prefetch0(sealed.data() + sealed.size() - 1);
}

}  // namespace

// The clock is read behind each burst. A worker may be put aside at any moment: read before, it would say of packets that
// came meanwhile that they had come earlier, once for milliseconds, and the round trip that is too short then stays the
// session's shortest: whatever follows looks like a queue, and the sender brakes for as long as the session lasts.
bool Worker::receive_frames() {
    bool busy = false;
    for (std::size_t port = 0; port < ports_.size(); ++port)
        busy |= receive_port(port);
    return receive_handed() || busy;
}

bool Worker::receive_port(std::size_t port) {
    if (config_.index >= ports_[port]->config().queues) return false;
    std::array<rte_mbuf*, kBurst> frames;
    const unsigned count = ports_[port]->receive(config_.index, frames.data(), kBurst);
    if (count == 0) return false;
    open_frames(port, std::span(frames).first(count), false, clock_ns());
    return true;
}

// At most a burst. `handed`: by another worker, and so not to be handed on.
void Worker::open_frames(std::size_t port, std::span<rte_mbuf* const> frames, bool handed, TimeNs now) {
    const auto count = static_cast<unsigned>(frames.size());
    std::array<Arrival, kBurst> arrivals;
    std::array<crypto::OpenJob, kBurst> jobs;
    unsigned admitted = 0;
    for (unsigned i = 0; i < count; ++i)
        rte_prefetch0(frames[i]);
    for (unsigned i = 0; i < std::min(count, kPrefetchAhead); ++i)
        prefetch_headers(frames[i]);
    for (unsigned i = 0; i < count; ++i) {
        if (i + kPrefetchAhead < count) prefetch_headers(frames[i + kPrefetchAhead]);
        arrivals[admitted].scratch = &scratch_[admitted];
        const Sorted sorted = classify(port, frames[i], handed, arrivals[admitted], jobs[admitted], now);
        if (sorted == Sorted::opens)
            ++admitted;
        else if (sorted == Sorted::ends)
            rte_pktmbuf_free(frames[i]);
    }
    work_.opened_packets += admitted;
    clock_.enter(Stage::open);
    if (admitted > 0) aead_->open({jobs.data(), admitted});
    clock_.enter(Stage::deliver);
    for (unsigned i = 0; i < admitted; ++i) {
        accept(arrivals[i], jobs[i], now);
        rte_pktmbuf_free(arrivals[i].frame);
    }
    clock_.enter(Stage::receive);
}

// Decides, without changing any state that an unauthenticated packet could reach, where the plaintext will go.
Worker::Sorted Worker::classify(std::size_t port, rte_mbuf* frame, bool handed, Arrival& arrival,
                                crypto::OpenJob& job, TimeNs now) {
    if (rte_pktmbuf_linearize(frame) != 0) {
        drops_.add(wire::DropReason::no_buffer);
        return Sorted::ends;
    }
    auto* const bytes = rte_pktmbuf_mtod(frame, std::uint8_t*);
    const ByteView view(bytes, rte_pktmbuf_data_len(frame));
    ByteView datagram;
    wire::PacketView packet;
    wire::DropReason drop = wire::find_udp_payload(view, !ports_[port]->checksum_verified(*frame), datagram);
    if (drop == wire::DropReason::frame_not_ours) {
        if (config_.index != 0) return hand_over(0, port, frame);  // it alone speaks ARP and NDP
        answer_neighbour(port, view, now);
        return Sorted::ends;
    }
    if (drop == wire::DropReason::none) drop = wire::parse_packet(datagram, packet);
    LaneOf lane;
    if (drop == wire::DropReason::none) {
        const LaneOf* const found = lane_of_spi_.find(packet.header.spi);
        if (found == nullptr)
            drop = wire::DropReason::spi_unknown;
        else if (found->link == nullptr && !handed)
            return hand_over(found->owner, port, frame);
        else if (found->link == nullptr)
            drop = wire::DropReason::spi_unknown;
        else
            lane = *found;
    }
    const std::size_t payload_bytes =
        drop == wire::DropReason::none ? packet.sealed.size() - wire::kTagBytes : 0;
    if (drop == wire::DropReason::none) {
        if (packet.header.lane != lane.lane || packet.header.path != lane.link->settings.link)
            drop = wire::DropReason::lane_mismatch;
        else if (payload_bytes > kSymbolBytesMax)
            drop = wire::DropReason::payload_size;
    }
    if (drop != wire::DropReason::none) {
        drops_.add(drop);
        return Sorted::ends;
    }

    arrival.frame = frame;
    arrival.link = lane.link;
    arrival.header = packet.header;
    arrival.datagram_bytes = datagram.size();
    arrival.ticket = {};
    std::uint8_t* into = arrival.scratch->data();
    LinkSession& session = *lane.link->session;
    if (packet.header.type == wire::PacketType::data || packet.header.type == wire::PacketType::parity) {
        arrival.ticket = session.receiver.admit(packet.header, payload_bytes, now);
        // A symbol without a place is still opened, into scratch: only an authentic packet may count as received.
        if (arrival.ticket.drop == wire::DropReason::none) into = arrival.ticket.into;
    }
    prefetch_sealed(packet.sealed);
    const std::size_t offset = static_cast<std::size_t>(packet.sealed.data() - bytes);
    job = crypto::OpenJob{
        session.lanes[lane.lane].opener.get(),     packet.header_bytes.data(), bytes + offset, into,
        static_cast<std::uint32_t>(payload_bytes), wire::DropReason::none};
    return Sorted::opens;
}

void Worker::accept(const Arrival& arrival, const crypto::OpenJob& job, TimeNs now) {
    Link& link = *arrival.link;
    LinkSession* session = link.session.get();
    if (session == nullptr) return;
    const bool symbol =
        arrival.header.type == wire::PacketType::data || arrival.header.type == wire::PacketType::parity;
    const bool authentic = job.result == wire::DropReason::none;
    if (!authentic) drops_.add(job.result);
    if (symbol && arrival.ticket.drop == wire::DropReason::none)
        session->receiver.settle(arrival.header, arrival.ticket, authentic, now);
    if (!authentic) return;

    session->heard = true;
    session->receiver.on_authentic(arrival.header, arrival.datagram_bytes, now);
    session->sender.on_authentic(arrival.header, now);
    if (symbol) {
        if (arrival.ticket.drop != wire::DropReason::none) drops_.add(arrival.ticket.drop);
        return;
    }
    const ByteView payload(job.plaintext, job.bytes);
    if (arrival.header.type == wire::PacketType::feedback) {
        const wire::DropReason drop = wire::parse_feedback(payload, feedback_view_);
        if (drop == wire::DropReason::none)
            session->sender.on_feedback(feedback_view_, now);
        else
            drops_.add(drop);
    } else if (arrival.header.type == wire::PacketType::ping) {
        wire::Ping ping;
        const wire::DropReason drop = wire::parse_ping(payload, ping);
        if (drop == wire::DropReason::none)
            session->receiver.on_ping(arrival.header.lane, ping, now);
        else
            drops_.add(drop);
    }
    if (arrival.header.type == wire::PacketType::probe)
        take_probe(*session, arrival.header.lane, payload, now);
    // CLOSE tells that the peer is leaving; its silence says the same a little later, so nothing else is done.
}

void Worker::take_probe(LinkSession& session, std::uint8_t lane, ByteView payload, TimeNs now) {
    wire::Probe probe;
    if (const wire::DropReason drop = wire::parse_probe(payload, probe); drop != wire::DropReason::none)
        return drops_.add(drop);
    if (probe.answer) return session.probe.on_answer(probe, now);
    probe.answer = true;
    if (session.answers.size() < kProbeAnswersMax) session.answers.push_back({probe, lane});
}

void Worker::answer_neighbour(std::size_t port, ByteView frame, TimeNs now) {
    rte_mbuf* reply = rte_pktmbuf_alloc(ports_[port]->pool());
    if (reply == nullptr) {
        drops_.add(wire::DropReason::no_buffer);
        return;
    }
    auto* const out = rte_pktmbuf_mtod(reply, std::uint8_t*);
    const std::size_t bytes = neighbours_[port]->handle(frame, now, {out, rte_pktmbuf_tailroom(reply)});
    if (bytes == 0) {
        rte_pktmbuf_free(reply);
        return;
    }
    rte_pktmbuf_append(reply, static_cast<std::uint16_t>(bytes));
    queue_frame(port, reply);
}

}  // namespace longhaul::worker
