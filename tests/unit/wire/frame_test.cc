// Frames: bytes as the standards have them, checksums in software and as offload wants them, and hostile
// input.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/frame.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace longhaul::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

UdpTuple tuple_of(bool v6, std::uint16_t vlan = 0) {
    UdpTuple tuple;
    tuple.source_mac = parse_mac("02:00:00:00:00:01").value();
    tuple.target_mac = parse_mac("02:00:00:00:00:02").value();
    tuple.source_ip = parse_ip(v6 ? "fd77::1" : "10.77.0.1").value();
    tuple.target_ip = parse_ip(v6 ? "fd77::2" : "10.77.0.2").value();
    tuple.source_port = 49152;
    tuple.target_port = 49153;
    tuple.traffic_class = 0x0a;
    tuple.vlan = vlan;
    return tuple;
}

Bytes frame_of(const UdpTuple& tuple, const Bytes& payload, UdpChecksum checksum = UdpChecksum::computed) {
    Bytes frame(udp_overhead_bytes(tuple) + payload.size());
    std::copy(payload.begin(), payload.end(), frame.end() - static_cast<std::ptrdiff_t>(payload.size()));
    EXPECT_EQ(write_udp_frame(tuple, payload.size(), checksum, frame.data()), udp_overhead_bytes(tuple));
    return frame;
}

DropReason parse(const Bytes& frame, bool verify = true) {
    UdpFrameView view;
    return parse_udp_frame(frame, verify, view);
}

void fix_ipv4_checksum(Bytes& frame, std::size_t header_bytes = 20) {
    frame[24] = frame[25] = 0;
    const std::uint16_t sum = internet_checksum(ByteView(frame).subspan(14, header_bytes));
    frame[24] = static_cast<std::uint8_t>(sum >> 8);
    frame[25] = static_cast<std::uint8_t>(sum);
}

// Proves: the checksum is RFC 1071's: its own example, odd lengths, and the published IPv4 header example.
TEST(Checksum, KnownVectors) {
    const Bytes rfc = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    EXPECT_EQ(internet_checksum(rfc), static_cast<std::uint16_t>(~0xddf2));
    const Bytes header = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                          0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    EXPECT_EQ(internet_checksum(header), 0xb861);
    EXPECT_EQ(internet_checksum(Bytes{0x12}), static_cast<std::uint16_t>(~0x1200));
    EXPECT_EQ(internet_checksum({}), 0xffff);
    EXPECT_EQ(internet_checksum(Bytes{0x00, 0x01}, 0xffff), static_cast<std::uint16_t>(~0x0001))
        << "carry comes round";
}

// Proves: an IPv4 frame is byte for byte what the RFCs say: DF, no identification, correct checksums.
TEST(Frame, Ipv4IsByteExact) {
    const Bytes expected = {
        0x02, 0,    0,    0,    0, 2,  0x02, 0,    0,  0,  0,    1,    0x08, 0x00,  // Ethernet
        0x45, 0x0a, 0,    31,   0, 0,  0x40, 0,    64, 17, 0x26, 0x28, 10,   77,
        0,    1,    10,   77,   0, 2,               // IPv4
        0xc0, 0x00, 0xc0, 0x01, 0, 11, 0x06, 0x86,  // UDP
        0xa1, 0xb2, 0xc3};
    EXPECT_EQ(frame_of(tuple_of(false), {0xa1, 0xb2, 0xc3}), expected);
}

// Proves: what was written is read back in both families, tagged and untagged, for payloads from nothing to
// jumbo.
TEST(Frame, ParsesWhatWasWritten) {
    for (const bool v6 : {false, true}) {
        for (const std::uint16_t vlan : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{4095}}) {
            for (const std::size_t count : {0u, 1u, 2u, 47u, 1456u, 8944u}) {
                Bytes payload(count);
                for (std::size_t i = 0; i < count; ++i)
                    payload[i] = static_cast<std::uint8_t>(i * 7 + 1);
                const UdpTuple tuple = tuple_of(v6, vlan);
                EXPECT_EQ(udp_overhead_bytes(tuple), 14u + (vlan != 0 ? 4u : 0u) + (v6 ? 40u : 20u) + 8u);
                Bytes frame = frame_of(tuple, payload);
                frame.resize(std::max<std::size_t>(frame.size(), 60));  // Ethernet padding is not payload
                UdpFrameView view;
                ASSERT_EQ(parse_udp_frame(frame, true, view), DropReason::none);
                EXPECT_EQ(view.tuple.source_mac, tuple.source_mac);
                EXPECT_EQ(view.tuple.target_mac, tuple.target_mac);
                EXPECT_EQ(view.tuple.source_ip, tuple.source_ip);
                EXPECT_EQ(view.tuple.target_ip, tuple.target_ip);
                EXPECT_EQ(view.tuple.source_port, tuple.source_port);
                EXPECT_EQ(view.tuple.target_port, tuple.target_port);
                EXPECT_EQ(view.tuple.traffic_class, tuple.traffic_class);
                EXPECT_EQ(view.tuple.hop_limit, tuple.hop_limit);
                EXPECT_EQ(view.tuple.vlan, vlan);
                EXPECT_EQ(Bytes(view.payload.begin(), view.payload.end()), payload);
            }
        }
    }
}

// Proves: a flipped bit anywhere in IP addresses, UDP header or payload is noticed, in both families.
TEST(Frame, EveryFlippedBitIsNoticed) {
    for (const bool v6 : {false, true}) {
        const Bytes frame = frame_of(tuple_of(v6), {1, 2, 3, 4, 5});
        const std::size_t from =
            14 + (v6 ? 8 : 12);  // IPv6 has no checksum over its first words but the addresses
        for (std::size_t offset = from; offset < frame.size(); ++offset) {
            for (int bit = 0; bit < 8; ++bit) {
                Bytes mutated = frame;
                mutated[offset] = static_cast<std::uint8_t>(mutated[offset] ^ 1 << bit);
                EXPECT_NE(parse(mutated), DropReason::none) << "byte " << offset << " bit " << bit;
            }
        }
    }
}

// Proves: for hardware offload the IPv4 checksum is zero and the UDP field holds the pseudo header's sum, so
// that summing the segment with it yields the checksum that software would have written.
TEST(Frame, OffloadFieldsCompleteToTheSoftwareChecksum) {
    for (const bool v6 : {false, true}) {
        const Bytes payload = {9, 8, 7, 6, 5};
        const Bytes software = frame_of(tuple_of(v6), payload),
                    offload = frame_of(tuple_of(v6), payload, UdpChecksum::offloaded);
        const std::size_t udp = 14 + (v6 ? 40 : 20);
        if (!v6) {
            EXPECT_EQ(offload[24], 0);
            EXPECT_EQ(offload[25], 0);
        }
        const std::uint16_t completed =
            internet_checksum(ByteView(offload).subspan(udp));  // what the NIC does
        EXPECT_EQ(software[udp + 6] << 8 | software[udp + 7], completed);
    }
}

// Proves: without a checksum the UDP field is zero, the IPv4 header's own is still right, and the frame is accepted.
TEST(Frame, UdpChecksumMayBeAbsentOnIpv4) {
    const Bytes payload(100, 7);
    const Bytes frame = frame_of(tuple_of(false), payload, UdpChecksum::absent);
    EXPECT_EQ(frame[14 + 20 + 6], 0);
    EXPECT_EQ(frame[14 + 20 + 7], 0);
    EXPECT_EQ(internet_checksum(ByteView(frame).subspan(14, 20)), 0);
    EXPECT_EQ(parse(frame), DropReason::none);
}

// Proves: a computed checksum of zero is sent as 0xffff, because zero means "none"; and none is legal on IPv4
// only.
TEST(Frame, ZeroChecksum) {
    for (const bool v6 : {false, true}) {
        const std::size_t udp = 14 + (v6 ? 40 : 20);
        Bytes frame = frame_of(tuple_of(v6), {0, 0});
        const Bytes fill = {frame[udp + 6], frame[udp + 7]};  // this payload makes the sum all ones
        frame = frame_of(tuple_of(v6), fill);
        EXPECT_EQ(frame[udp + 6], 0xff);
        EXPECT_EQ(frame[udp + 7], 0xff);
        EXPECT_EQ(parse(frame), DropReason::none);
        frame[udp + 6] = frame[udp + 7] = 0;
        EXPECT_EQ(parse(frame), v6 ? DropReason::frame_checksum : DropReason::none);
        EXPECT_EQ(parse(frame, false), DropReason::none);
    }
}

// Proves: a frame cut anywhere is short and never read beyond its end.
TEST(Frame, EveryTruncationIsShort) {
    for (const bool v6 : {false, true}) {
        const Bytes frame = frame_of(tuple_of(v6, 7), {1, 2, 3});
        for (std::size_t length = 0; length < frame.size(); ++length) {
            const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
            EXPECT_EQ(parse(cut), DropReason::frame_short) << length;
        }
    }
}

// Proves: fragments are refused in both families, whatever part of a datagram they are.
TEST(Frame, FragmentsAreRefused) {
    for (const auto& [high, low] :
         {std::pair<std::uint8_t, std::uint8_t>{0x20, 0}, {0, 1}, {0x1f, 0xff}, {0x60, 0}}) {
        Bytes frame = frame_of(tuple_of(false), {1, 2, 3});
        frame[20] = high;
        frame[21] = low;
        fix_ipv4_checksum(frame);
        EXPECT_EQ(parse(frame), DropReason::frame_fragment);
    }
    Bytes frame = frame_of(tuple_of(true), {1, 2, 3});
    frame[20] = 44;
    EXPECT_EQ(parse(frame), DropReason::frame_fragment);
}

// Proves: other ether types, versions, protocols and IPv6 extension headers are not ours.
TEST(Frame, ForeignFramesAreNotOurs) {
    Bytes arp = frame_of(tuple_of(false), {});
    arp[13] = 0x06;
    EXPECT_EQ(parse(arp), DropReason::frame_not_ours);
    Bytes tcp = frame_of(tuple_of(false), {});
    tcp[23] = 6;
    fix_ipv4_checksum(tcp);
    EXPECT_EQ(parse(tcp), DropReason::frame_not_ours);
    Bytes wrong_version = frame_of(tuple_of(false), {});
    wrong_version[14] = 0x65;
    EXPECT_EQ(parse(wrong_version), DropReason::frame_not_ours);
    for (const std::uint8_t next_header : std::initializer_list<std::uint8_t>{0, 6, 43, 58, 60}) {
        Bytes frame = frame_of(tuple_of(true), {});
        frame[20] = next_header;
        EXPECT_EQ(parse(frame), DropReason::frame_not_ours);
    }
    Bytes double_tagged = frame_of(tuple_of(false, 5), {});
    double_tagged[16] = 0x81;
    double_tagged[17] = 0x00;
    EXPECT_EQ(parse(double_tagged), DropReason::frame_not_ours);
}

// Proves: IPv4 options are stepped over, and lengths that contradict each other are refused.
TEST(Frame, Ipv4OptionsAndLengths) {
    const Bytes plain = frame_of(tuple_of(false), {1, 2, 3});
    Bytes options(plain.begin(), plain.begin() + 34);
    options.insert(options.end(), {1, 1, 1, 1});  // four NOPs
    options.insert(options.end(), plain.begin() + 34, plain.end());
    options[14] = 0x46;
    options[17] = static_cast<std::uint8_t>(options[17] + 4);
    fix_ipv4_checksum(options, 24);
    UdpFrameView view;
    ASSERT_EQ(parse_udp_frame(options, true, view), DropReason::none);
    EXPECT_EQ(Bytes(view.payload.begin(), view.payload.end()), (Bytes{1, 2, 3}));

    Bytes header_too_small = plain;
    header_too_small[14] = 0x44;
    EXPECT_EQ(parse(header_too_small), DropReason::frame_short);
    Bytes header_over_packet = plain;
    header_over_packet[14] = 0x4f;
    EXPECT_EQ(parse(header_over_packet), DropReason::frame_short);
    for (const std::uint8_t udp_bytes : std::initializer_list<std::uint8_t>{0, 7, 12, 255}) {
        Bytes frame = plain;
        frame[39] = udp_bytes;
        EXPECT_EQ(parse(frame), DropReason::frame_short) << unsigned{udp_bytes};
    }
}

// Proves: lanes get flow labels of their own, so that IPv6 routers can spread them.
TEST(Frame, Ipv6FlowLabelDiffersPerLane) {
    std::vector<unsigned> labels;
    for (std::uint16_t lane = 0; lane < 64; ++lane) {
        UdpTuple tuple = tuple_of(true);
        tuple.source_port = static_cast<std::uint16_t>(49152 + lane);
        const Bytes frame = frame_of(tuple, {});
        labels.push_back(unsigned(frame[15] & 0x0f) << 16 | unsigned(frame[16]) << 8 | frame[17]);
    }
    std::sort(labels.begin(), labels.end());
    EXPECT_EQ(std::unique(labels.begin(), labels.end()) - labels.begin(), 64);
}

// Proves: the symbol sizes of the transport note, and for every MTU a legal size that fills it as far as
// allowed.
TEST(SymbolBytes, LargestThatFits) {
    EXPECT_EQ(symbol_bytes_for_mtu(1500, false), 1408);
    EXPECT_EQ(symbol_bytes_for_mtu(1500, true), 1344);
    EXPECT_EQ(symbol_bytes_for_mtu(1460, false), 1344);
    EXPECT_EQ(symbol_bytes_for_mtu(1440, false), 1344);
    EXPECT_EQ(symbol_bytes_for_mtu(8896, false), 8768);
    EXPECT_EQ(symbol_bytes_for_mtu(9000, false), 8896);
    EXPECT_EQ(symbol_bytes_for_mtu(575, false), 0);
    for (unsigned mtu = 576; mtu <= 65535; ++mtu) {
        for (const bool v6 : {false, true}) {
            const unsigned symbol = symbol_bytes_for_mtu(static_cast<std::uint16_t>(mtu), v6);
            const unsigned room = mtu - (v6 ? 40 : 20) - 8 - 32 - 16;
            ASSERT_TRUE(symbol > 0 && symbol % 64 == 0 && symbol % 4096 != 0 && symbol <= room) << mtu;
            ASSERT_TRUE(symbol + 64 > room || (symbol + 64) % 4096 == 0) << mtu;
        }
    }
}

// Proves: addresses have one text form each and nothing that merely resembles an address is taken for one.
TEST(Addresses, TextForms) {
    EXPECT_EQ(to_string(parse_mac("02:Ab:00:ff:10:09").value()), "02:ab:00:ff:10:09");
    for (const char* text : {"", "02:ab:00:ff:10", "02:ab:00:ff:10:0", "02-ab-00-ff-10-09",
                             "02:ab:00:ff:10:0g", "02:ab:00:ff:10:09:"}) {
        EXPECT_FALSE(parse_mac(text).ok()) << text;
    }
    EXPECT_EQ(to_string(parse_ip("10.77.0.1").value()), "10.77.0.1");
    EXPECT_EQ(to_string(parse_ip("FD77:0::1").value()), "fd77::1");
    EXPECT_TRUE(parse_ip("::").value().v6);
    for (const std::string& text :
         {std::string(), std::string("10.77.0"), std::string("10.77.0.256"), std::string("10.77.0.1/24"),
          std::string("fd77::1%eth0"), std::string("host"), std::string("10.77.0.1\0x", 11)}) {
        EXPECT_FALSE(parse_ip(text).ok()) << text;
    }
}

}  // namespace
}  // namespace longhaul::wire
