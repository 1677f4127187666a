// The receiving half of a link session, sans-I/O: authenticated symbols -> stripes -> decoded sections -> writes;
// feedback and credit out. Owned by one worker; never blocks; memory is the BlockPool's.
//
// A packet is taken in two steps, so that it is decrypted straight into its place and nothing changes before it is
// authenticated: admit() reserves the symbol's slot, settle() makes it count or takes the reservation back.
//
// Life of a stripe:  unseen -> open (bitmap) -> decoded -> held (head not known yet) -> writing -> released
// Life of a bundle:  first packet -> head decoded -> opened | refused -> payload delivered -> trailer delivered
//                    -> complete -> durable -> published | failed  (kept until the sender has settled it)
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/session/block_pool.h"
#include "dataplane/session/parameters.h"
#include "dataplane/wire/drop_reason.h"
#include "dataplane/wire/feedback.h"
#include "dataplane/wire/manifest.h"
#include "dataplane/wire/packet.h"
#include "dataplane/wire/ping.h"

namespace longhaul::session {

struct ReceiverConfig {
    Parameters parameters;
    std::uint32_t stripes_open_max = 256;  // credit: blocks this receiver may hold (<= the pool's)
    std::uint32_t bundles_open_max = 1024;
    TimeNs rtt_assumed =
        100 * kMillisecond;  // until pings gave an RTT; sets the feedback interval and repair patience
    TimeNs feedback_min = 500 * kMicrosecond, feedback_max = 5 * kMillisecond;  // clamp(minRTT/32, ...)
    TimeNs feedback_idle = 250 * kMillisecond;  // when nothing has arrived and nothing is owed
};

// Where an admitted packet's plaintext goes. `into` == nullptr: dropped for `drop`.
struct Ticket {
    wire::DropReason drop = wire::DropReason::none;
    std::uint8_t* into = nullptr;  // symbol_bytes of room
    std::uint32_t slot = 0;        // private to the receiver
    std::uint32_t position = 0;
};

struct BundleHead {
    std::uint32_t bundle = 0;
    std::vector<std::uint8_t> head;
};
struct WriteRequest {
    std::uint32_t bundle = 0;
    std::uint64_t payload_offset = 0;
    std::uint32_t bytes = 0;
    const std::uint8_t* from = nullptr;  // valid until write_done(block)
    std::uint32_t block = 0;
};
struct BundleTrailer {
    std::uint32_t bundle = 0;
    std::vector<std::uint8_t> trailer;
};

struct ReceiverStats {
    std::uint64_t packets = 0, wire_bytes = 0, duplicates = 0;
    std::uint64_t stripes_open = 0, stripes_decoded = 0, stripes_repaired = 0;  // repaired: needed parity
    std::uint64_t symbols_restored = 0;
    std::uint64_t loss_events = 0;  // runs of lost packets in the order of sending
    std::uint64_t nacks_sent = 0, feedbacks_sent = 0;
    std::uint64_t credit_stripes = 0;
    std::uint32_t bundles_open = 0;
    std::uint64_t payload_bytes = 0;  // delivered to writes
    TimeNs rtt_min = 0;
};

class Receiver {
  public:
    // The pool serves this receiver alone: credit is a promise on its blocks.
    Receiver(const ReceiverConfig& config, const fec::Codec& codec, BlockPool& pool, TimeNs now);
    ~Receiver();
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;

    // --- network -----------------------------------------------------------------------------------------------
    // DATA and PARITY only. `payload_bytes` is the plaintext's length.
    Ticket admit(const wire::Header& header, std::size_t payload_bytes, TimeNs now);
    void settle(const wire::Header& header, const Ticket& ticket, bool authentic, TimeNs now);
    // Every authenticated packet of any type, once: lane accounting for loss, RTT echo and one-way delay.
    void on_authentic(const wire::Header& header, std::size_t datagram_bytes, TimeNs now);
    void on_ping(std::uint8_t lane, const wire::Ping& ping, TimeNs now);
    // Feedback that is due now: its payload in `out` (resized), and the lane to send it on. Urgent feedback (a
    // non-empty nack list) is offered twice, on two lanes.
    std::optional<std::uint8_t> next_feedback(TimeNs now, std::vector<std::uint8_t>& out);
    TimeNs next_wake(TimeNs now) const;

    // --- storage -----------------------------------------------------------------------------------------------
    std::optional<BundleHead> next_head();   // each bundle once
    void open_bundle(std::uint32_t bundle);  // the target's store takes it: writes follow
    void refuse_bundle(std::uint32_t bundle, wire::FailReason reason,
                       TimeNs now);  // failed; its bytes are let through and dropped
    // It was published before, by another link or session: its bytes are let through and dropped.
    void settle_bundle(std::uint32_t bundle, TimeNs now);
    std::optional<WriteRequest> next_write();
    std::uint32_t write_done(std::uint32_t block, TimeNs now);  // the bundle's handle
    // After every write of the bundle is done. A bundle that the sender cut short (cancelled) comes with fewer payload
    // bytes than its head promised and a trailer whose every verdict is `cancelled`.
    std::optional<BundleTrailer> next_trailer();
    // Stages only rise; `complete` is set by the receiver itself. `failed` drops the rest of the bundle: no further
    // writes, no trailer (writes already handed out still end with write_done).
    void set_stage(std::uint32_t bundle, const wire::BundleStatus& status,
                   TimeNs now);  // travels in feedback until settled

    const ReceiverStats& stats() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace longhaul::session
