// The header's codec: one validity rule, used as an assertion by the writer and as a verdict by the parser.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/packet.h"

#include "dataplane/base/assert.h"

namespace longhaul::wire {
namespace {

constexpr std::uint8_t kFirstParitySymbol = 128;

bool is_known(PacketType type) noexcept {
    return type >= PacketType::data && type <= PacketType::probe;
}

// Fields that contradict each other although each one alone could be right.
bool is_consistent(const Header& header) noexcept {
    if ((header.flags & Flags::reserved) != 0) return false;
    if ((header.flags & Flags::section_mask) == Flags::section_mask) return false;
    if (header.data_symbols < 1 || header.data_symbols > kDataSymbolsMax) return false;
    if (header.stripe > kStripeMax) return false;
    switch (header.type) {
        case PacketType::data:
            return header.bundle != 0 && header.symbol < header.data_symbols;
        case PacketType::parity:
            return header.bundle != 0 && header.symbol >= kFirstParitySymbol;
        case PacketType::feedback:
        case PacketType::ping:
        case PacketType::close:
        case PacketType::probe:
            return header.bundle == 0 && header.stripe == 0 && header.symbol == 0 &&
                   header.data_symbols == 1 && (header.flags & (Flags::section_mask | Flags::first)) == 0;
    }
    return false;
}

}  // namespace

void write_header(const Header& header, std::uint8_t* out) noexcept {
    LH_ASSERT(is_known(header.type) && is_consistent(header));
    ByteWriter writer({out, kHeaderBytes});
    writer.u8(static_cast<std::uint8_t>(kVersion << 4 | static_cast<std::uint8_t>(header.type)));
    writer.u8(header.flags);
    writer.u8(header.path);
    writer.u8(header.lane);
    writer.u32(header.spi);
    writer.u64(header.packet_number);
    writer.u32(header.tx_time_us);
    writer.u32(header.bundle);
    writer.u48(header.stripe);
    writer.u8(header.symbol);
    writer.u8(static_cast<std::uint8_t>(header.data_symbols - 1));
    LH_ASSERT(writer.ok() && writer.room() == 0);
}

DropReason parse_packet(ByteView datagram, PacketView& out) noexcept {
    if (datagram.size() < kHeaderBytes + kTagBytes) return DropReason::packet_short;
    ByteReader reader(datagram.first(kHeaderBytes));
    const std::uint8_t version_and_type = reader.u8();
    if (version_and_type >> 4 != kVersion) return DropReason::packet_version;

    Header header;
    header.type = static_cast<PacketType>(version_and_type & 0x0f);
    if (!is_known(header.type)) return DropReason::packet_type;
    header.flags = reader.u8();
    header.path = reader.u8();
    header.lane = reader.u8();
    header.spi = reader.u32();
    header.packet_number = reader.u64();
    header.tx_time_us = reader.u32();
    header.bundle = reader.u32();
    header.stripe = reader.u48();
    header.symbol = reader.u8();
    const unsigned data_symbols = reader.u8() + 1u;
    if (data_symbols > kDataSymbolsMax) return DropReason::packet_malformed;
    header.data_symbols = static_cast<std::uint8_t>(data_symbols);
    if (!is_consistent(header)) return DropReason::packet_malformed;

    const ByteView sealed = datagram.subspan(kHeaderBytes);
    if (header.type == PacketType::close && sealed.size() != kTagBytes) return DropReason::packet_malformed;
    out = {header, datagram.first(kHeaderBytes), sealed};
    return DropReason::none;
}

}  // namespace longhaul::wire
