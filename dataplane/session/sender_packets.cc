// Packets out: repairs before fresh stripes, everything inside pacer and window; pings beside them.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dataplane/session/sender_state.h"

namespace longhaul::session {
namespace {

constexpr TimeNs kFeedbackIntervalMax = 5 * kMillisecond;  // the receiver's default; part of the timeout
constexpr unsigned kBackoffMax = 6;

}  // namespace

// The oldest stripe with something to repair; those that were completed meanwhile fall out here.
SentStripe* Sender::State::repair_to_send() {
    while (!repairs.empty()) {
        const std::uint64_t number = repairs.front();
        if (window.contains(number)) {
            SentStripe& stripe = window.at(number);
            if (!stripe.complete() && stripe.repair_pending()) return &stripe;
            stripe.queued = false;
        }
        repairs.pop();
    }
    return nullptr;
}

bool Sender::State::something_to_send() {
    return repair_to_send() != nullptr || !passing.empty() || can_cut();
}

SentStripe* Sender::State::first_pass_in_turn() {
    if (passing.empty() || passing.size() < depth_wanted()) cut_stripe();
    if (passing.empty()) return nullptr;
    if (turn >= passing.size()) turn = 0;
    return &window.at(passing[turn]);
}

// The next stripe moves up to where this one stood: whose turn it is stays as it was.
void Sender::State::leave_first_pass(std::size_t index) {
    passing.erase(passing.begin() + static_cast<std::ptrdiff_t>(index));
    if (turn > index) --turn;
    ++stats.stripes_sent;
}

PacketOut Sender::State::packet_of(SentStripe& stripe, const Symbol& symbol, bool repair, TimeNs now) {
    PacketOut packet;
    packet.header.type = symbol.parity() ? wire::PacketType::parity : wire::PacketType::data;
    packet.header.flags = static_cast<std::uint8_t>(
        static_cast<unsigned>(stripe.section) << wire::Flags::section_shift |
        (stripe.first ? wire::Flags::first : 0) | (repair ? wire::Flags::again : 0));
    packet.header.path = config.parameters.path;
    packet.header.lane =
        static_cast<std::uint8_t>(repair ? lanes.repair_lane() : lanes.next_lane(stripe.lane_turn));
    packet.header.tx_time_us = wire_clock_us(now);
    packet.header.bundle = stripe.bundle;
    packet.header.stripe = stripe.number;
    packet.header.symbol = symbol.number;
    packet.header.data_symbols = stripe.k;
    packet.payload = symbol.bytes;
    packet.payload_bytes = config.parameters.symbol_bytes;
    return packet;
}

// The receiver cannot know that nothing follows the last packet; a ping tells it how far we came.
void Sender::State::ran_dry() {
    meter.application_limited();
    if (std::exchange(busy, false)) pings.news();
}

std::optional<PacketOut> Sender::next_packet(TimeNs now) {
    State& state = *state_;
    if (!state.pacer.may_send(now) || !state.window_open()) return std::nullopt;
    SentStripe* stripe = state.repair_to_send();
    const bool repair = stripe != nullptr;
    if (!repair) {
        stripe = state.first_pass_in_turn();
        if (stripe == nullptr) {
            state.ran_dry();
            return std::nullopt;
        }
    }
    const Symbol symbol = repair ? state.symbols.repair(*stripe) : state.symbols.first_pass(*stripe);
    if (repair) {
        stripe->repaired_at = now;
    } else if (stripe->sent()) {
        state.leave_first_pass(state.turn);
    } else {
        ++state.turn;
    }

    const PacketOut packet = state.packet_of(*stripe, symbol, repair, now);
    const auto bytes = static_cast<std::uint32_t>(state.config.parameters.wire_bytes(packet.payload_bytes));
    if (state.lanes.inflight_bytes() == 0) state.waiting_since = state.flight_since = now;
    state.lanes.sent(packet.header.lane, packet.header.tx_time_us, bytes);
    state.pacer.charge(now, bytes, state.controller->rate_bps());
    state.busy = true;
    ++state.stats.packets;
    state.stats.wire_bytes += bytes;
    if (symbol.parity()) ++state.stats.parity_packets;
    if (repair) ++(symbol.parity() ? state.stats.repair_packets : state.stats.resent_packets);
    return packet;
}

std::size_t Sender::next_packets(TimeNs now, std::span<PacketOut> out) {
    std::size_t count = 0;
    while (count < out.size()) {
        const SentStripe* const repair = count > 0 ? state_->repair_to_send() : nullptr;
        if (repair != nullptr && state_->symbols.refills(*repair)) {
            // New rows would stand where rows of this batch still wait to be sealed.
            const auto handed_out = [&](const PacketOut& packet) {
                return packet.header.stripe == repair->number &&
                       packet.header.type == wire::PacketType::parity;
            };
            if (std::any_of(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(count), handed_out)) break;
        }
        const auto packet = next_packet(now);
        if (!packet) break;
        out[count++] = *packet;
    }
    return count;
}

PacketOut Sender::State::ping_on(unsigned lane, bool ack_now, TimeNs now) {
    wire::Ping ping;
    ping.next_stripe = passing.empty() ? window.next() : passing.front();
    ping.settled_below = bundles.settled_below();
    if (const Echo& echo = echoes[lane]; echo.any) {
        ping.echo_tx_time_us = echo.tx_time_us;
        ping.hold_us =
            static_cast<std::uint32_t>(std::min<TimeNs>((now - echo.arrived) / kMicrosecond, 0xffff'fffe));
    }
    wire::write_ping(ping, ping_payload.data());

    PacketOut packet;
    packet.header.type = wire::PacketType::ping;
    packet.header.flags = ack_now ? wire::Flags::ack_now : 0;
    packet.header.path = config.parameters.path;
    packet.header.lane = static_cast<std::uint8_t>(lane);
    packet.header.tx_time_us = wire_clock_us(now);
    packet.payload = ping_payload.data();
    packet.payload_bytes = wire::kPingBytes;
    return packet;
}

TimeNs Sender::State::timeout_at() const {
    const TimeNs patience = rtt.timeout() + 2 * kFeedbackIntervalMax;
    return std::max(last_feedback, waiting_since) + (patience << backoff);
}

std::optional<PacketOut> Sender::next_ping(TimeNs now) {
    State& state = *state_;
    if (state.awaiting() && state.timeout_at() <= now) {
        state.pings.all_lanes();
        state.waiting_since = now;
        state.backoff = std::min(state.backoff + 1, kBackoffMax);
    }
    const auto due = state.pings.next(now);
    if (!due) return std::nullopt;
    const PacketOut packet = state.ping_on(due->lane, due->ack_now, now);
    const std::uint64_t bytes = state.config.parameters.wire_bytes(packet.payload_bytes);
    state.pacer.charge(now, bytes, state.controller->rate_bps());
    state.liveness.pinged();
    ++state.stats.packets;
    ++state.stats.pings;
    state.stats.wire_bytes += bytes;
    return packet;
}

TimeNs Sender::next_wake(TimeNs now) const {
    State& state = *state_;
    TimeNs wake = state.pings.next_at();
    if (state.awaiting()) wake = std::min(wake, state.timeout_at());
    // After running dry next_packet must be called once more, so that the ping that says so becomes due.
    if (state.window_open() && (state.something_to_send() || state.busy))
        wake = std::min(wake, state.pacer.next());
    return std::max(wake, now);
}

}  // namespace longhaul::session
