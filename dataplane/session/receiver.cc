// The receiver's front: packets in, stripes decoded, sections out. Feedback is in receiver_feedback.cc.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/receiver.h"

#include <algorithm>
#include <array>
#include <bit>

#include "dataplane/session/receiver_state.h"

namespace longhaul::session {

Receiver::State::State(const ReceiverConfig& settings, const fec::Codec& coder, BlockPool& pool, TimeNs now)
    : config(settings),
      codec(coder),
      stripes(settings.parameters, pool, settings.stripes_open_max),
      bundles(settings.parameters, stripes, pool, settings.bundles_open_max),
      lanes(settings.parameters.lanes),
      loss_runs(settings.parameters.lanes),
      rtt(settings.rtt_assumed),
      schedule(settings, now) {
    feedback.lanes.reserve(wire::kLanesMax);
    feedback.nacks.reserve(wire::kNacksMax);
    feedback.bundles.reserve(wire::kStatusesMax);
    feedback.decoded.reserve(wire::kDecodedWordsMax);
}

Receiver::Receiver(const ReceiverConfig& config, const fec::Codec& codec, BlockPool& pool, TimeNs now) {
    const Parameters& parameters = config.parameters;
    LH_ASSERT(parameters.symbol_bytes > 0 && parameters.symbol_bytes % 64 == 0);
    LH_ASSERT(parameters.stripe_symbols >= 1 && parameters.stripe_symbols <= wire::kDataSymbolsMax);
    LH_ASSERT(parameters.lanes >= 1 && parameters.lanes <= wire::kLanesMax);
    LH_ASSERT(pool.stride() >=
              BlockPool::stride_for(parameters.stripe_symbols, parameters.symbol_bytes, kParitySlots));
    LH_ASSERT(config.feedback_min > 0 && config.feedback_min <= config.feedback_max);
    state_ = std::make_unique<State>(config, codec, pool, now);
}

Receiver::~Receiver() = default;

Ticket Receiver::admit(const wire::Header& header, std::size_t payload_bytes, TimeNs) {
    State& state = *state_;
    Ticket ticket;
    if (payload_bytes != state.config.parameters.symbol_bytes)
        ticket.drop = wire::DropReason::payload_size;
    else if (!state.bundles.accepts(header.bundle))
        ticket.drop = wire::DropReason::bundle_unknown;
    else
        ticket.drop = state.stripes.claim(header, ticket.slot, ticket.position, ticket.into);
    return ticket;
}

void Receiver::settle(const wire::Header& header, const Ticket& ticket, bool authentic, TimeNs now) {
    State& state = *state_;
    LH_ASSERT(ticket.drop == wire::DropReason::none);
    if (!authentic) {
        const bool described = state.stripes.at(ticket.slot).described;
        state.stripes.withdraw(ticket.slot, ticket.position);
        if (described) state.decode_if_enough(ticket.slot);
        return;
    }
    // The bundle may have been settled between admit and here: then nobody waits for this symbol.
    if (!state.bundles.accepts(header.bundle)) {
        state.stripes.withdraw(ticket.slot, ticket.position);
        return;
    }
    state.stripes.confirm(header, ticket.slot, ticket.position);
    state.bundles.touch(header.bundle);
    OpenStripe& stripe = state.stripes.at(ticket.slot);
    const bool first_pass = (header.flags & wire::Flags::again) == 0;
    if (first_pass) state.turns.came(stripe);
    state.expect_more(stripe, first_pass, now);
    state.overtake_below(state.stripes.next_known() - 1, now);
    state.decode_if_enough(ticket.slot);
}

// While a claim is out, somebody may still be decrypting into the block: decoding waits for the last settle.
void Receiver::State::decode_if_enough(std::uint32_t place) {
    OpenStripe& stripe = stripes.at(place);
    if (stripe.decoded || stripe.claims() || !stripe.enough()) return;
    restore_data(stripe);
    ++stats.stripes_decoded;
    stripes.mark_decoded(place);
    bundles.place_decoded(place);
}

void Receiver::State::restore_data(OpenStripe& stripe) {
    std::array<std::uint8_t, kParitySlots> erased, rows;
    std::array<const std::uint8_t*, kParitySlots> parity;
    unsigned count = 0;
    for (unsigned symbol = 0; symbol < stripe.k; ++symbol)
        if ((stripe.have[symbol / 64] >> symbol % 64 & 1) == 0)
            erased[count++] = static_cast<std::uint8_t>(symbol);
    if (count == 0) return;
    unsigned found = 0;
    for (unsigned slot = 0; slot < kParitySlots && found < count; ++slot) {
        if ((stripe.slots_here >> slot & 1) == 0) continue;
        rows[found] = stripe.rows[slot];
        parity[found++] = stripes.parity_slot(stripe, slot);
    }
    LH_ASSERT(found == count);
    codec.decode(stripe.block.data(), stripe.k, config.parameters.symbol_bytes, {erased.data(), count},
                 {rows.data(), count}, {parity.data(), count});
    ++stats.stripes_repaired;
    stats.symbols_restored += count;
}

// A stripe is asked for only when packets sent after it have come and reordering has had its time.
void Receiver::State::overtake_below(std::uint64_t number, TimeNs now) {
    overtaken_below = std::max(overtaken_below, stripes.complete_below());
    for (; overtaken_below < number; ++overtaken_below) {
        const std::uint32_t place = stripes.find(overtaken_below);
        if (place == kNoPlace) continue;
        OpenStripe& stripe = stripes.at(place);
        stripe.overtaken = true;
        turns.begun(stripe);
        ask_not_before(stripe, now + patience());
    }
}

// A ping overtakes what left before it on other lanes: from here on they have the time that reordering takes.
void Receiver::State::first_pass_over_below(std::uint64_t number, TimeNs now) {
    for (std::uint64_t over = std::max(turns.over_below(), stripes.complete_below()); over < number; ++over) {
        const std::uint32_t place = stripes.find(over);
        if (place != kNoPlace && !turns.passed_over(stripes.at(place)))
            ask_not_before(stripes.at(place), now + patience());
    }
    turns.over_below(number);
}

void Receiver::State::ask_not_before(OpenStripe& stripe, TimeNs at) {
    stripe.ask_at = stripe.ask_at == kNever ? at : std::max(stripe.ask_at, at);
    ask_at = std::min(ask_at, stripe.ask_at);
}

// A symbol of the first pass says that the pass is not over, whatever was asked for before.
void Receiver::State::expect_more(OpenStripe& stripe, bool first_pass, TimeNs now) {
    if (!stripe.overtaken) return;
    if (first_pass) stripe.ask_at = kNever;
    ask_not_before(stripe, now + patience());
}

void Receiver::on_authentic(const wire::Header& header, std::size_t datagram_bytes, TimeNs now) {
    State& state = *state_;
    state.lanes.arrived(header, datagram_bytes, now);
    state.loss_runs.arrived(header);
    ++state.stats.packets;
    state.stats.wire_bytes += datagram_bytes + state.config.parameters.frame_overhead_bytes;
    // Feedback about feedback would never end.
    if (header.type != wire::PacketType::feedback) state.schedule.something_changed();
    if ((header.flags & wire::Flags::ack_now) != 0) state.schedule.somebody_waits();
}

void Receiver::on_ping(std::uint8_t lane, const wire::Ping& ping, TimeNs now) {
    State& state = *state_;
    static_cast<void>(lane);
    if (ping.hold_us != ~std::uint32_t{0}) state.rtt.sample_echo(now, ping.echo_tx_time_us, ping.hold_us);
    state.stripes.known_below(ping.next_stripe);
    const std::uint64_t sent_below = std::min(ping.next_stripe, state.stripes.next_known());
    state.overtake_below(sent_below, now);
    state.first_pass_over_below(sent_below, now);
    state.bundles.settle_below(ping.settled_below);
}

std::optional<BundleHead> Receiver::next_head() {
    return state_->bundles.next_head();
}

void Receiver::open_bundle(std::uint32_t bundle) {
    state_->bundles.open(bundle);
}

void Receiver::refuse_bundle(std::uint32_t bundle, wire::FailReason reason, TimeNs) {
    state_->bundles.refuse(bundle, reason);
}

void Receiver::settle_bundle(std::uint32_t bundle, TimeNs) {
    state_->bundles.settle(bundle);
}

std::optional<WriteRequest> Receiver::next_write() {
    return state_->bundles.next_write();
}

std::uint32_t Receiver::write_done(std::uint32_t block, TimeNs) {
    state_->schedule.something_changed();  // credit
    return state_->bundles.write_done(block);
}

std::optional<BundleTrailer> Receiver::next_trailer() {
    return state_->bundles.next_trailer();
}

void Receiver::set_stage(std::uint32_t bundle, const wire::BundleStatus& status, TimeNs) {
    state_->bundles.set_stage(bundle, status);
}

const ReceiverStats& Receiver::stats() const {
    ReceiverStats& stats = state_->stats;
    stats.stripes_open = state_->stripes.in_use();
    stats.credit_stripes = state_->stripes.limit() - state_->stripes.next_known();
    stats.bundles_open = state_->bundles.open_count();
    stats.loss_events = state_->loss_runs.events();
    stats.payload_bytes = state_->bundles.payload_bytes();
    stats.rtt_min = state_->rtt.known() ? state_->rtt.smallest() : 0;
    return stats;
}

}  // namespace longhaul::session
