// The Longhaul packet: a 32-byte header in clear (the AEAD's associated data), a payload, a 16-byte tag.
// Normative text: dataplane/wire/README.md. All fields in network byte order.
//
//   0  version:4 type:4        1  flags          2  path        3  lane
//   4  u32 spi                 chosen by the receiver of the packet; selects key and owner
//   8  u64 packet number       per (spi); explicit, never wraps, never reused
//  16  u32 tx time             sender's microsecond clock modulo 2^32
//  20  u32 bundle handle       numbers the sender's bundles on this link session from 1; 0 where no bundle applies
//  24  u48 stripe              numbers the sender's stripes on this link session, dense from 0
//  30  u8  symbol              0..127 data symbol, 128..255 parity row (symbol - 128)
//  31  u8  k - 1               data symbols of this stripe, 1..128
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/wire/drop_reason.h"

namespace longhaul::wire {

inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::uint8_t kVersion = 1;
inline constexpr unsigned kDataSymbolsMax = 128;
inline constexpr std::uint64_t kStripeMax = (std::uint64_t{1} << 48) - 1;

enum class PacketType : std::uint8_t {
    data = 1,      // a data symbol of a stripe (symbol < 128)
    parity = 2,    // a parity row of a stripe (symbol >= 128)
    feedback = 3,  // receiver -> sender: payload in feedback.h
    ping = 4,      // sender -> receiver, and both ways as liveness: payload in ping.h
    close = 5,     // the sender of this packet forgets the link session; no payload
    probe = 6,     // does a packet of this length come through: payload in probe.h
};

// Which part of its bundle a stripe carries. A bundle is head stripes, then payload stripes, then trailer stripes.
enum class Section : std::uint8_t { payload = 0, head = 1, trailer = 2 };

struct Flags {
    static constexpr std::uint8_t key_phase = 0x01;
    static constexpr std::uint8_t ack_now = 0x02;     // the receiver should send feedback at once
    static constexpr std::uint8_t section_shift = 2;  // two bits: Section
    static constexpr std::uint8_t section_mask = 0x0c;
    static constexpr std::uint8_t first = 0x10;  // this stripe is the first of its bundle
    static constexpr std::uint8_t again =
        0x20;  // sent before, or a repair: no RTT or burst inference from it
    static constexpr std::uint8_t reserved = 0xc0;  // must be zero
};

struct Header {
    PacketType type = PacketType::data;
    std::uint8_t flags = 0;
    std::uint8_t path = 0;
    std::uint8_t lane = 0;
    std::uint32_t spi = 0;
    std::uint64_t packet_number = 0;
    std::uint32_t tx_time_us = 0;
    std::uint32_t bundle = 0;
    std::uint64_t stripe = 0;
    std::uint8_t symbol = 0;
    std::uint8_t data_symbols = 1;  // k, 1..128

    Section section() const noexcept {
        return static_cast<Section>((flags & Flags::section_mask) >> Flags::section_shift);
    }
    bool operator==(const Header&) const = default;
};

// Writes exactly kHeaderBytes. `header` must be valid (LH_ASSERT).
void write_header(const Header& header, std::uint8_t* out) noexcept;

// A total parser: any bytes give a view or a drop reason. `payload` excludes the tag and borrows from `datagram`.
struct PacketView {
    Header header;
    ByteView header_bytes;  // the 32 bytes of associated data
    ByteView sealed;        // ciphertext followed by the tag: at least kTagBytes
};
DropReason parse_packet(ByteView datagram, PacketView& out) noexcept;  // DropReason::none on success

}  // namespace longhaul::wire
