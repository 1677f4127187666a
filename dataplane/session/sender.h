// The sending half of a link session, sans-I/O: bundles -> stripes -> symbols -> packets; feedback in, repairs out.
// Events and time come in as arguments; reads, packets and results are pulled out by the worker (or the simulator).
// Owned by one worker. Never blocks, never reads a clock, bounded by its configuration; memory comes from the BlockPool.
//
// Life of a bundle here:  offered -> reading -> (all payload read) -> trailer asked -> all sent -> complete -> durable
//                         -> published | failed  (the last two settle it and free its handle)
// Life of a stripe:       empty -> reading -> ready -> sent -> (nack -> repaired)* -> complete (block freed)
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/congestion/controller.h"
#include "dataplane/fec/redundancy.h"
#include "dataplane/session/block_pool.h"
#include "dataplane/session/lane_ledger.h"
#include "dataplane/session/parameters.h"
#include "dataplane/wire/feedback.h"
#include "dataplane/wire/manifest.h"
#include "dataplane/wire/packet.h"
#include "dataplane/wire/ping.h"

namespace longhaul::session {

struct SenderConfig {
    Parameters parameters;
    fec::Goal goal = fec::Goal::balanced;
    std::optional<unsigned> fixed_parity;         // --fec fixed: m for every stripe
    std::uint32_t bundles_open_max = 256;         // offered and not settled; more are refused
    std::uint32_t read_ahead_blocks = 64;         // stripes read or being read ahead of the pacer
    TimeNs pacing_catch_up = 200 * kMicrosecond;  // past time made good after a late wake-up: bounds a burst
    TimeNs ping_interval = 20 * kMillisecond;
    TimeNs silence_max = 2 * kSecond;  // no authenticated packet for this long: silent() turns true
};

struct BundleOffer {
    wire::BundleId id;
    std::uint32_t generation = 0;
    std::vector<std::uint8_t> head;  // write_manifest's bytes
    std::uint64_t payload_bytes = 0;
};

// "Fill into[0, bytes) with the bundle's payload from payload_offset." `into` stays valid until read_done(block).
struct ReadRequest {
    std::uint32_t bundle = 0;  // handle
    std::uint64_t payload_offset = 0;
    std::uint32_t bytes = 0;  // = one stripe; the last one of a bundle may be shorter
    std::uint8_t* into = nullptr;
    std::uint32_t block = 0;
};

struct PacketOut {
    wire::Header header;                    // spi, packet_number and key phase are the sealer's to fill
    const std::uint8_t* payload = nullptr;  // borrowed until the next call that is not const
    std::uint32_t payload_bytes = 0;
};

struct BundleResult {
    wire::BundleId id;
    std::uint32_t generation = 0;
    std::uint32_t bundle = 0;  // the handle, free for reuse after published/failed
    wire::BundleStatus status;
};

struct SenderStats {
    std::uint64_t packets = 0, wire_bytes = 0,
                  payload_bytes = 0;  // sent; payload: bytes of bundles, first time only
    std::uint64_t parity_packets = 0, repair_packets = 0, resent_packets = 0, pings = 0;
    std::uint64_t lost_packets = 0;  // before FEC
    std::uint64_t stripes_sent = 0, stripes_complete = 0, nacks = 0;
    std::uint64_t inflight_bytes = 0;
    std::uint64_t rate_bps = 0, inflight_cap_bytes = 0,
                  brakes = 0;         // brakes: of the mode of now and those before
    std::uint64_t delivered_bps = 0;  // of the newest sample
    congestion::Figures congestion;
    TimeNs rtt = 0, rtt_min = 0, queue_delay = 0;
    double loss = 0;  // long-run estimate, before FEC
    // What the redundancy was decided from last, and what was decided.
    double loss_upper = 0;                             // not exceeded in 95 of 100 cases
    double loss_burst = 1;                             // mean packets per loss event
    std::uint32_t parity_steady = 0, parity_tail = 0;  // rows of a full stripe: in bulk; last given to a tail
    std::uint32_t interleave_depth = 1;                // stripes that take turns
    bool redundancy_off = false;                       // clean for so long that only tails are protected
    std::uint32_t bundles_open = 0;
    std::uint64_t blocks_in_use = 0;
};

class Sender {
  public:
    // Codec and pool outlive the sender; the controller is owned. The pool serves this sender alone: its size bounds
    // what may be sent and not yet complete (at least bandwidth x two round trips, or the window stalls the rate).
    Sender(const SenderConfig& config, const fec::Codec& codec, BlockPool& pool,
           std::unique_ptr<congestion::Controller> controller, TimeNs now);
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    // --- bundles -----------------------------------------------------------------------------------------------
    // The bundle's handle, or nullopt when bundles_open_max are open.
    std::optional<std::uint32_t> offer(BundleOffer offer, TimeNs now);
    // Not begun: the result failed(cancelled) comes at once and nothing of it is sent. Begun: reading stops, the head
    // is finished, the rest of the payload is never sent; a trailer whose every verdict is `cancelled` takes the next
    // stripe numbers, so that the target removes its staging, and the result is what the target then says. A trailer
    // already on its way cannot be taken back: then the bundle ends as if nobody had cancelled. Unknown ids are ignored.
    void cancel(const wire::BundleId& id, TimeNs now);
    std::optional<BundleResult> next_result();  // stages as they become known, each once, in order per bundle

    // --- storage -----------------------------------------------------------------------------------------------
    std::optional<ReadRequest> next_read(TimeNs now);
    // Zero-filled where the source failed: the trailer tells. Returns the bundle's handle. The read must end even if its
    // bundle has: it still holds the block.
    std::uint32_t read_done(std::uint32_t block, TimeNs now);
    std::optional<std::uint32_t> next_trailer_wanted();  // handle whose payload is all read; asked once
    void trailer(std::uint32_t bundle, std::vector<std::uint8_t> bytes, TimeNs now);  // write_trailer's bytes

    // --- network -----------------------------------------------------------------------------------------------
    // The next packet that may leave now, or nullopt (nothing to send, pacer, window or credit closed).
    std::optional<PacketOut> next_packet(TimeNs now);
    // As many as may leave now, for sealing in one go: all payloads stay valid until the next call that is not const.
    std::size_t next_packets(TimeNs now, std::span<PacketOut> out);
    // An authenticated FEEDBACK arrived on `lane`.
    void on_feedback(const wire::Feedback& feedback, TimeNs now);
    // Every authenticated packet of any type, once: its send time is what our pings echo, so that the peer's receiver
    // learns the round trip; and it proves that the peer lives.
    void on_authentic(const wire::Header& header, TimeNs now);
    // Payload for a PING on `lane` if one is due there (pull it before next_packet); the header's stripe etc. are 0.
    std::optional<PacketOut> next_ping(TimeNs now);
    // The NIC did not take the packet that next_packet returned last; it counts as lost, nothing is retried here.
    TimeNs next_wake(TimeNs now) const;  // kNever when only an event can change anything
    TimeNs answer_timeout() const;       // the retransmission timeout: how long an answer may take
    bool silent(TimeNs now) const;       // the peer has not answered for silence_max
    bool sending() const;                // there was something to send when last asked for it
    // The far end gets what we send and says so; false within a fraction of a second after it does not (liveness.h).
    // Asked every turn: it also tells that our own time passes.
    bool answering(TimeNs now);

    // --- live settings and figures -----------------------------------------------------------------------------
    void set_rate_cap(std::uint64_t cap_bps, double share = congestion::kShareOfCap);
    // Another congestion mode from here on: it begins at what is delivered now, within the cap. The mode that is
    // already in force is left as it is.
    void set_mode(congestion::Mode mode, std::uint64_t cap_bps, double share = congestion::kShareOfCap);
    void set_redundancy(fec::Goal goal, std::optional<unsigned> fixed_parity);
    const SenderStats& stats() const;
    LaneFigures lane_figures(unsigned lane) const;
    // A lane whose way through the network is bad for longer than chance explains: it should leave by another source
    // port from now on, and is taken to do so.
    std::optional<unsigned> next_rehash(TimeNs now);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace longhaul::session
