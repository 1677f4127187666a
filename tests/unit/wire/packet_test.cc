// The packet header: layout, totality of the parser, and every rule that a hostile header can break.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/packet.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "dataplane/wire/ping.h"

namespace longhaul::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

Header data_header() {
    Header header;
    header.type = PacketType::data;
    header.flags = Flags::ack_now | Flags::first | static_cast<std::uint8_t>(1 << Flags::section_shift);
    header.path = 3;
    header.lane = 17;
    header.spi = 0xa1b2c3d4;
    header.packet_number = 0x0102030405060708;
    header.tx_time_us = 0x11223344;
    header.bundle = 0x55667788;
    header.stripe = 0x99aabbccddee;
    header.symbol = 5;
    header.data_symbols = 64;
    return header;
}

Bytes datagram_of(const Header& header, std::size_t sealed_bytes = kTagBytes) {
    Bytes bytes(kHeaderBytes + sealed_bytes, 0x5a);
    write_header(header, bytes.data());
    return bytes;
}

DropReason parse(const Bytes& datagram) {
    PacketView view;
    return parse_packet(datagram, view);
}

// Proves: every field stands where the protocol text says, most significant byte first.
TEST(Packet, LayoutIsByteExact) {
    const Bytes expected = {0x11, 0x16, 0x03, 0x11, 0xa1, 0xb2, 0xc3, 0xd4, 0x01, 0x02, 0x03,
                            0x04, 0x05, 0x06, 0x07, 0x08, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
                            0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x05, 0x3f};
    Bytes header(kHeaderBytes);
    write_header(data_header(), header.data());
    EXPECT_EQ(header, expected);
}

// Proves: what was written is read back, with views that cover header and ciphertext and borrow from the
// datagram.
TEST(Packet, ParsesWhatWasWritten) {
    const Bytes datagram = datagram_of(data_header(), 1408 + kTagBytes);
    PacketView view;
    ASSERT_EQ(parse_packet(datagram, view), DropReason::none);
    EXPECT_EQ(view.header, data_header());
    EXPECT_EQ(view.header.section(), Section::head);
    EXPECT_EQ(view.header_bytes.data(), datagram.data());
    EXPECT_EQ(view.header_bytes.size(), kHeaderBytes);
    EXPECT_EQ(view.sealed.data(), datagram.data() + kHeaderBytes);
    EXPECT_EQ(view.sealed.size(), 1408 + kTagBytes);
}

// Proves: a datagram of any length below header and tag is short, and one of exactly that length is a packet.
TEST(Packet, EveryShortLengthIsRefused) {
    const Bytes datagram = datagram_of(data_header());
    for (std::size_t length = 0; length < datagram.size(); ++length) {
        PacketView view;
        EXPECT_EQ(parse_packet(ByteView(datagram).first(length), view), DropReason::packet_short);
    }
    EXPECT_EQ(parse(datagram), DropReason::none);
}

// Proves: all 256 values of the first byte are judged: one version, five types.
TEST(Packet, VersionAndTypeAreJudged) {
    for (unsigned first = 0; first < 256; ++first) {
        Bytes datagram(kHeaderBytes + kTagBytes, 0);
        datagram[0] = static_cast<std::uint8_t>(first);
        const unsigned version = first >> 4, type = first & 0xf;
        if (version != kVersion) {
            EXPECT_EQ(parse(datagram), DropReason::packet_version) << first;
        } else if (type < 1 || type > 6) {
            EXPECT_EQ(parse(datagram), DropReason::packet_type) << first;
        } else {
            EXPECT_NE(parse(datagram), DropReason::packet_version) << first;
            EXPECT_NE(parse(datagram), DropReason::packet_type) << first;
        }
    }
}

// Proves: all 256 flag bytes are judged: reserved bits and the section 3 are refused, everything else is
// accepted.
TEST(Packet, FlagsAreJudged) {
    for (unsigned flags = 0; flags < 256; ++flags) {
        Bytes datagram = datagram_of(data_header());
        datagram[1] = static_cast<std::uint8_t>(flags);
        const bool acceptable =
            (flags & Flags::reserved) == 0 && (flags & Flags::section_mask) != Flags::section_mask;
        EXPECT_EQ(parse(datagram), acceptable ? DropReason::none : DropReason::packet_malformed) << flags;
    }
}

// Proves: for every pair of symbol and k, DATA names one of the k data symbols and PARITY a parity row.
TEST(Packet, SymbolAndTypeAgree) {
    for (const PacketType type : {PacketType::data, PacketType::parity}) {
        Header header = data_header();
        header.type = type;
        header.symbol = type == PacketType::data ? 0 : 128;
        Bytes datagram = datagram_of(header);
        for (unsigned symbol = 0; symbol < 256; ++symbol) {
            for (unsigned k_minus_1 = 0; k_minus_1 < 256; ++k_minus_1) {
                datagram[30] = static_cast<std::uint8_t>(symbol);
                datagram[31] = static_cast<std::uint8_t>(k_minus_1);
                const bool right =
                    k_minus_1 < 128 && (type == PacketType::data ? symbol <= k_minus_1 : symbol >= 128);
                ASSERT_EQ(parse(datagram), right ? DropReason::none : DropReason::packet_malformed)
                    << "symbol " << symbol << " k-1 " << k_minus_1;
            }
        }
    }
}

// Proves: packets that carry no stripe say nothing about one; DATA and PARITY belong to a bundle.
TEST(Packet, FieldsWithoutMeaningAreZero) {
    for (const PacketType type :
         {PacketType::feedback, PacketType::ping, PacketType::close, PacketType::probe}) {
        Header header;
        header.type = type;
        header.flags = Flags::key_phase;
        EXPECT_EQ(parse(datagram_of(header)), DropReason::none);
        for (std::size_t offset = 20; offset < kHeaderBytes; ++offset) {
            Bytes datagram = datagram_of(header);
            datagram[offset] = 1;
            EXPECT_EQ(parse(datagram), DropReason::packet_malformed) << "byte " << offset;
        }
        for (const std::uint8_t flag : {std::uint8_t{0x04}, std::uint8_t{0x08}, Flags::first}) {
            Bytes datagram = datagram_of(header);
            datagram[1] = flag;
            EXPECT_EQ(parse(datagram), DropReason::packet_malformed) << "flag " << unsigned{flag};
        }
    }
    Bytes datagram = datagram_of(data_header());
    for (std::size_t offset = 20; offset < 24; ++offset)
        datagram[offset] = 0;
    EXPECT_EQ(parse(datagram), DropReason::packet_malformed);
}

// Proves: CLOSE carries nothing but its tag.
TEST(Packet, CloseHasNoPayload) {
    Header header;
    header.type = PacketType::close;
    EXPECT_EQ(parse(datagram_of(header)), DropReason::none);
    EXPECT_EQ(parse(datagram_of(header, kTagBytes + 1)), DropReason::packet_malformed);
}

// Proves: a header that contradicts itself never leaves this node.
TEST(PacketDeathTest, WritingAnInvalidHeaderIsAnAssertion) {
    Bytes out(kHeaderBytes);
    Header header = data_header();
    header.symbol = 64;
    EXPECT_DEATH(write_header(header, out.data()), "invariant");
    header = data_header();
    header.stripe = kStripeMax + 1;
    EXPECT_DEATH(write_header(header, out.data()), "invariant");
    header = data_header();
    header.data_symbols = 0;
    EXPECT_DEATH(write_header(header, out.data()), "invariant");
}

// Proves: PING is 24 bytes laid out as documented, and any other length or a reserved byte is refused.
TEST(Ping, LayoutAndRefusals) {
    const Ping ping{0x010203040506, 0x11121314, 0x21222324, 0x31323334};
    Bytes bytes(kPingBytes);
    write_ping(ping, bytes.data());
    const Bytes expected = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22,
                            0x23, 0x24, 0x31, 0x32, 0x33, 0x34, 0,    0,    0,    0,    0,    0};
    EXPECT_EQ(bytes, expected);
    Ping parsed;
    ASSERT_EQ(parse_ping(bytes, parsed), DropReason::none);
    EXPECT_EQ(parsed, ping);
    for (std::size_t length = 0; length < 64; ++length) {
        if (length == kPingBytes) continue;
        EXPECT_EQ(parse_ping(Bytes(length, 0), parsed), DropReason::ping_malformed);
    }
    for (std::size_t offset = 18; offset < kPingBytes; ++offset) {
        Bytes mutated = bytes;
        mutated[offset] = 1;
        EXPECT_EQ(parse_ping(mutated, parsed), DropReason::ping_malformed);
    }
}

// Proves: every drop reason has a name of its own, fit for a metric label.
TEST(DropReasons, NamesAreDistinctLabels) {
    std::set<std::string> names;
    for (std::size_t i = 0; i < kDropReasons; ++i) {
        const std::string name = to_string(static_cast<DropReason>(i));
        EXPECT_TRUE(names.insert(name).second) << name;
        EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << name;
        EXPECT_NE(name, "unknown");
    }
    DropCounters counters;
    counters.add(DropReason::tag_bad);
    counters.add(DropReason::tag_bad);
    EXPECT_EQ(counters.of(DropReason::tag_bad), 2u);
    EXPECT_EQ(counters.of(DropReason::no_buffer), 0u);
}

}  // namespace
}  // namespace longhaul::wire
