// What a sender is made of. Each part keeps its own rules; the state only carries events between them.
//
//   bundles -> (read_ahead) -> stripe window -> symbols -> packets        nacks -> repairs -> symbols
//   feedback -> lanes, rtt, meter -> controller -> pacer
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "dataplane/congestion/pacer.h"
#include "dataplane/session/fixed_queue.h"
#include "dataplane/session/lane_ledger.h"
#include "dataplane/session/liveness.h"
#include "dataplane/session/loss_meter.h"
#include "dataplane/session/outgoing_bundles.h"
#include "dataplane/session/parity_choice.h"
#include "dataplane/session/ping_schedule.h"
#include "dataplane/session/read_ahead.h"
#include "dataplane/session/rtt_estimator.h"
#include "dataplane/session/sample_meter.h"
#include "dataplane/session/sender.h"
#include "dataplane/session/stripe_window.h"
#include "dataplane/session/symbol_source.h"

namespace longhaul::session {

struct Sender::State {
    State(const SenderConfig& config, const fec::Codec& codec, BlockPool& pool,
          std::unique_ptr<congestion::Controller> controller, TimeNs now);

    // --- cutting bundles into stripes (sender_stripes.cc)
    enum class Next { none, head, payload, trailer };
    Next next_section(const OutgoingBundle& bundle);
    bool can_cut();  // a further stripe could begin now
    bool cut_stripe();
    Block copy_section(const std::vector<std::uint8_t>& bytes, std::uint64_t offset, std::uint32_t& taken);
    unsigned parity_rows(const OutgoingBundle& bundle, Next section, unsigned k);
    std::uint64_t tail_stripes(
        const OutgoingBundle& bundle) const;  // 0: somebody follows within a round trip
    std::uint64_t stripes_of_round_trip() const;
    unsigned depth_allowed() const;
    unsigned depth_wanted();  // how many stripes should be in their first pass together now
    void end_bundle_early(OutgoingBundle& bundle);

    // --- packets out (sender_packets.cc)
    SentStripe* repair_to_send();
    SentStripe* first_pass_in_turn();  // nullptr: nothing to send
    void leave_first_pass(std::size_t index);
    bool something_to_send();
    bool window_open() const { return lanes.inflight_bytes() < controller->inflight_cap_bytes(); }
    PacketOut packet_of(SentStripe& stripe, const Symbol& symbol, bool repair, TimeNs now);
    void ran_dry();
    PacketOut ping_on(unsigned lane, bool ack_now, TimeNs now);
    bool open() const { return bundles.open() > 0 || window.base() < window.next(); }
    bool awaiting() const { return window.base() < window.next(); }
    TimeNs timeout_at() const;

    // --- feedback in (sender_feedback.cc)
    void on_complete(const wire::Feedback& feedback);
    void on_loss_events(const wire::Feedback& feedback);
    void learn_loss(TimeNs now);
    std::uint64_t loss_of_path(std::uint64_t lost);
    void note_progress(TimeNs now);
    void on_lanes(const wire::Feedback& feedback, TimeNs now);
    void on_nack(const wire::Nack& nack, TimeNs now);
    void on_status(const wire::BundleStatus& status);
    void settle();
    void give_sample(TimeNs now);
    TimeNs reorder_patience() const;

    SenderConfig config;
    BlockPool& pool;
    std::unique_ptr<congestion::Controller> controller;
    congestion::Pacer pacer;
    OutgoingBundles bundles;
    ReadAhead reads;
    StripeWindow window;
    SymbolSource symbols;
    FixedQueue<std::uint64_t> repairs;  // stripes with pending repair, each once
    LaneLedger lanes;
    RttEstimator rtt;
    SampleMeter meter;
    LossMeter loss;
    LossRecall loss_recall;
    std::uint64_t loss_delivered = 0, loss_lost = 0;  // not handed to the meter yet
    TimeNs loss_since = 0;
    double own_losses = 0;  // that the controller will have caused, not found missing yet
    ParityChoice parity;
    PingSchedule pings;
    Liveness liveness;

    struct Echo {
        bool any = false;
        std::uint32_t tx_time_us = 0;
        TimeNs arrived = 0;
    };
    std::array<Echo, wire::kLanesMax> echoes{};
    std::array<std::uint8_t, wire::kPingBytes> ping_payload{};

    // Stripes in their first pass, ascending; they take turns, so that a burst takes few symbols of each.
    std::vector<std::uint64_t> passing;
    std::size_t turn = 0;        // whose symbol is next
    std::uint64_t stripe_limit;  // credit
    bool busy = false;           // something was sent since the flow last ran dry
    TimeNs last_heard, last_feedback, waiting_since;
    TimeNs last_progress = 0,
           flight_since = 0;  // a lane moved on; something was put in flight where nothing was
    unsigned backoff = 0;     // timeouts since the last feedback
    TimeNs queue_delay = 0;
    std::uint32_t loss_events = 0, feedback_sequence = 0;
    bool delivered_limited =
        true;  // stats.delivered_bps is what the application gave, not what the path took
    std::uint64_t brakes_seen = 0;    // of this controller
    std::uint64_t brakes_before = 0;  // of the controllers before this one
    mutable SenderStats stats;
};

}  // namespace longhaul::session
