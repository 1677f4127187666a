// Every way a received packet can end without effect, each with a counter of the same name in telemetry and metrics.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace longhaul::wire {

enum class DropReason : std::uint8_t {
    none = 0,
    frame_short,       // Ethernet, IP or UDP header cut off
    frame_not_ours,    // other ether type, protocol, address or port
    frame_fragment,    // IP fragments are never accepted
    frame_checksum,    // IPv4 header or UDP checksum wrong
    packet_short,      // fewer than header + tag bytes
    packet_version,    // another protocol version
    packet_type,       // unknown type
    packet_malformed,  // reserved bits, symbol and type that contradict each other, stripe out of range
    spi_unknown,       // no key for this SPI: silence
    replayed,          // packet number seen, or below the replay window
    tag_bad,           // authentication failed
    lane_mismatch,     // authenticated, but path or lane is not the one the key belongs to
    symbol_duplicate,  // this symbol of this stripe is already here
    stripe_done,       // stripe already decoded
    stripe_no_credit,  // beyond the credit that was advertised
    stripe_conflict,   // k, section or bundle contradict what an earlier packet of the stripe said
    parity_surplus,    // more parity than the stripe can hold
    payload_size,      // payload length is not the session's symbol size
    bundle_unknown,    // bundle was abandoned or refused
    feedback_malformed,
    ping_malformed,
    probe_malformed,
    no_buffer,     // our own memory ran short
    handoff_full,  // the ring to the worker that owns the lane, or the queue to send on, was full
    count_,
};

inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count_);
const char* to_string(DropReason reason) noexcept;  // stable: the metric's label

struct DropCounters {
    std::array<std::uint64_t, kDropReasons> by_reason{};
    void add(DropReason reason) noexcept { ++by_reason[static_cast<std::size_t>(reason)]; }
    std::uint64_t of(DropReason reason) const noexcept { return by_reason[static_cast<std::size_t>(reason)]; }
};

}  // namespace longhaul::wire
