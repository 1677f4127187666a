// Frames are built and read here and nowhere else: Ethernet, at most one 802.1Q tag, IPv4 or IPv6, UDP.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/frame.h"

#include <algorithm>

#include "dataplane/base/assert.h"
#include "dataplane/wire/packet.h"

namespace longhaul::wire {
namespace {

constexpr std::size_t kEthernetBytes = 14, kVlanBytes = 4, kIpv4Bytes = 20, kIpv6Bytes = 40, kUdpBytes = 8;
constexpr std::uint16_t kEtherVlan = 0x8100, kEtherIpv4 = 0x0800, kEtherIpv6 = 0x86dd;
constexpr std::uint8_t kProtocolUdp = 17, kIpv6Fragment = 44;
constexpr std::uint16_t kDontFragment = 0x4000, kMoreFragmentsOrOffset = 0x3fff;
constexpr std::uint16_t kVlanIdMask = 0x0fff;

std::size_t ip_bytes(bool v6) noexcept {
    return v6 ? kIpv6Bytes : kIpv4Bytes;
}

ByteView significant(const IpAddress& address) noexcept {
    return ByteView(address.bytes).first(address.v6 ? 16 : 4);
}

std::uint32_t sum_of(ByteView bytes, std::uint32_t sum) noexcept {
    std::uint64_t wide = sum;
    std::size_t i = 0;
    for (; i + 1 < bytes.size(); i += 2)
        wide += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    if (i < bytes.size()) wide += static_cast<std::uint32_t>(bytes[i] << 8);
    while (wide >> 16 != 0)
        wide = (wide & 0xffff) + (wide >> 16);
    return static_cast<std::uint32_t>(wide);
}

// The sum over the pseudo header of RFC 768 (IPv4) or RFC 8200 section 8.1 (IPv6), not complemented.
std::uint32_t pseudo_header_sum(const IpAddress& source, const IpAddress& target,
                                std::size_t udp_bytes) noexcept {
    const std::uint32_t sum = sum_of(significant(target), sum_of(significant(source), 0));
    return sum_of({}, sum + kProtocolUdp + static_cast<std::uint32_t>(udp_bytes));
}

// One label per lane, so that routers which hash IPv6 by label spread lanes as they do by ports (RFC 6438).
std::uint32_t flow_label(const UdpTuple& tuple) noexcept {
    const std::uint32_t ports = static_cast<std::uint32_t>(tuple.source_port) << 16 | tuple.target_port;
    return ports * 0x9e3779b1u >> 12;
}

void write_ipv4(const UdpTuple& tuple, std::size_t udp_bytes, bool checksum, ByteWriter& writer,
                std::uint8_t* at) noexcept {
    writer.u8(0x45);
    writer.u8(tuple.traffic_class);
    writer.u16(static_cast<std::uint16_t>(kIpv4Bytes + udp_bytes));
    writer.u16(0);  // identification: of no use to a datagram that is never fragmented (RFC 6864)
    writer.u16(kDontFragment);
    writer.u8(tuple.hop_limit);
    writer.u8(kProtocolUdp);
    writer.u16(0);
    writer.bytes(significant(tuple.source_ip));
    writer.bytes(significant(tuple.target_ip));
    if (checksum) ByteWriter({at + 10, 2}).u16(internet_checksum({at, kIpv4Bytes}));
}

void write_ipv6(const UdpTuple& tuple, std::size_t udp_bytes, ByteWriter& writer) noexcept {
    writer.u32(0x60000000u | static_cast<std::uint32_t>(tuple.traffic_class) << 20 | flow_label(tuple));
    writer.u16(static_cast<std::uint16_t>(udp_bytes));
    writer.u8(kProtocolUdp);
    writer.u8(tuple.hop_limit);
    writer.bytes(significant(tuple.source_ip));
    writer.bytes(significant(tuple.target_ip));
}

MacAddress read_mac(ByteReader& reader) noexcept {
    MacAddress mac{};
    const ByteView bytes = reader.bytes(mac.size());
    std::copy(bytes.begin(), bytes.end(), mac.begin());
    return mac;
}

IpAddress read_ip(ByteReader& reader, bool v6) noexcept {
    IpAddress address;
    address.v6 = v6;
    const ByteView bytes = reader.bytes(v6 ? 16 : 4);
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

DropReason parse_ipv4(ByteView packet, UdpTuple& tuple, ByteView& segment) noexcept {
    ByteReader reader(packet);
    const std::uint8_t version_and_length = reader.u8();
    tuple.traffic_class = reader.u8();
    const std::size_t total_bytes = reader.u16();
    reader.u16();
    const std::uint16_t fragment = reader.u16();
    tuple.hop_limit = reader.u8();
    const std::uint8_t protocol = reader.u8();
    reader.u16();
    tuple.source_ip = read_ip(reader, false);
    tuple.target_ip = read_ip(reader, false);
    if (!reader.ok()) return DropReason::frame_short;
    if (version_and_length >> 4 != 4) return DropReason::frame_not_ours;
    const std::size_t header_bytes = (version_and_length & 0x0f) * 4u;
    if (header_bytes < kIpv4Bytes || total_bytes < header_bytes || total_bytes > packet.size()) {
        return DropReason::frame_short;
    }
    if (internet_checksum(packet.first(header_bytes)) != 0) return DropReason::frame_checksum;
    if ((fragment & kMoreFragmentsOrOffset) != 0) return DropReason::frame_fragment;
    if (protocol != kProtocolUdp) return DropReason::frame_not_ours;
    segment = packet.subspan(header_bytes, total_bytes - header_bytes);
    return DropReason::none;
}

DropReason parse_ipv6(ByteView packet, UdpTuple& tuple, ByteView& segment) noexcept {
    ByteReader reader(packet);
    const std::uint32_t first_word = reader.u32();
    tuple.traffic_class = static_cast<std::uint8_t>(first_word >> 20);
    const std::size_t payload_bytes = reader.u16();
    const std::uint8_t next_header = reader.u8();
    tuple.hop_limit = reader.u8();
    tuple.source_ip = read_ip(reader, true);
    tuple.target_ip = read_ip(reader, true);
    if (!reader.ok()) return DropReason::frame_short;
    if (first_word >> 28 != 6) return DropReason::frame_not_ours;
    if (next_header == kIpv6Fragment) return DropReason::frame_fragment;
    if (next_header != kProtocolUdp) return DropReason::frame_not_ours;
    if (payload_bytes > reader.remaining()) return DropReason::frame_short;
    segment = packet.subspan(kIpv6Bytes, payload_bytes);
    return DropReason::none;
}

DropReason parse_udp(ByteView segment, bool verify, UdpFrameView& out) noexcept {
    ByteReader reader(segment);
    out.tuple.source_port = reader.u16();
    out.tuple.target_port = reader.u16();
    const std::size_t udp_bytes = reader.u16();
    const std::uint16_t checksum = reader.u16();
    if (!reader.ok() || udp_bytes < kUdpBytes || udp_bytes > segment.size()) return DropReason::frame_short;
    const bool without_checksum = checksum == 0 && !out.tuple.source_ip.v6;
    if (verify && !without_checksum) {
        const std::uint32_t pseudo = pseudo_header_sum(out.tuple.source_ip, out.tuple.target_ip, udp_bytes);
        if (checksum == 0 || internet_checksum(segment.first(udp_bytes), pseudo) != 0)
            return DropReason::frame_checksum;
    }
    out.payload = segment.subspan(kUdpBytes, udp_bytes - kUdpBytes);
    return DropReason::none;
}

}  // namespace

std::uint16_t internet_checksum(ByteView bytes, std::uint32_t initial) noexcept {
    return static_cast<std::uint16_t>(~sum_of(bytes, initial));
}

std::size_t udp_overhead_bytes(const UdpTuple& tuple) noexcept {
    return kEthernetBytes + (tuple.vlan != 0 ? kVlanBytes : 0) + ip_bytes(tuple.source_ip.v6) + kUdpBytes;
}

std::size_t write_udp_frame(const UdpTuple& tuple, std::size_t udp_payload_bytes, UdpChecksum checksum,
                            std::uint8_t* out) noexcept {
    const bool v6 = tuple.source_ip.v6;
    LH_ASSERT(!v6 || checksum != UdpChecksum::absent);
    const std::size_t udp_bytes = kUdpBytes + udp_payload_bytes;
    const std::size_t overhead = udp_overhead_bytes(tuple);
    LH_ASSERT(tuple.target_ip.v6 == v6 && tuple.vlan <= kVlanIdMask && ip_bytes(v6) + udp_bytes <= 65535);
    ByteWriter writer({out, overhead});
    writer.bytes(tuple.target_mac);
    writer.bytes(tuple.source_mac);
    if (tuple.vlan != 0) {
        writer.u16(kEtherVlan);
        writer.u16(tuple.vlan);
    }
    writer.u16(v6 ? kEtherIpv6 : kEtherIpv4);
    if (v6) {
        write_ipv6(tuple, udp_bytes, writer);
    } else {
        write_ipv4(tuple, udp_bytes, checksum != UdpChecksum::offloaded, writer, out + writer.written());
    }
    std::uint8_t* const udp = out + writer.written();
    writer.u16(tuple.source_port);
    writer.u16(tuple.target_port);
    writer.u16(static_cast<std::uint16_t>(udp_bytes));
    writer.u16(0);
    LH_ASSERT(writer.ok() && writer.room() == 0);

    if (checksum == UdpChecksum::absent) return overhead;
    const std::uint32_t pseudo = pseudo_header_sum(tuple.source_ip, tuple.target_ip, udp_bytes);
    std::uint16_t field = static_cast<std::uint16_t>(pseudo);
    if (checksum == UdpChecksum::computed) {
        field = internet_checksum({udp, udp_bytes}, pseudo);
        if (field == 0) field = 0xffff;  // zero would say "no checksum" (RFC 768)
    }
    ByteWriter({udp + 6, 2}).u16(field);
    return overhead;
}

DropReason parse_udp_frame(ByteView frame, bool verify_udp, UdpFrameView& out) noexcept {
    ByteReader reader(frame);
    UdpFrameView view;
    view.tuple.target_mac = read_mac(reader);
    view.tuple.source_mac = read_mac(reader);
    std::uint16_t ether_type = reader.u16();
    if (ether_type == kEtherVlan) {
        view.tuple.vlan = reader.u16() & kVlanIdMask;  // id 0: priority only, as good as untagged
        ether_type = reader.u16();
    }
    if (!reader.ok()) return DropReason::frame_short;
    if (ether_type != kEtherIpv4 && ether_type != kEtherIpv6) return DropReason::frame_not_ours;
    const ByteView packet = frame.subspan(reader.position());
    ByteView segment;
    DropReason reason = ether_type == kEtherIpv6 ? parse_ipv6(packet, view.tuple, segment)
                                                 : parse_ipv4(packet, view.tuple, segment);
    if (reason == DropReason::none) reason = parse_udp(segment, verify_udp, view);
    if (reason == DropReason::none) out = view;
    return reason;
}

std::uint16_t symbol_bytes_for_mtu(std::uint16_t mtu, bool v6) noexcept {
    constexpr std::uint16_t kMtuMin = 576, kGranule = 64, kAliasing = 4096;
    if (mtu < kMtuMin) return 0;
    const std::size_t room = mtu - ip_bytes(v6) - kUdpBytes - kHeaderBytes - kTagBytes;
    const auto symbol = static_cast<std::uint16_t>(room / kGranule * kGranule);
    return symbol % kAliasing == 0 ? static_cast<std::uint16_t>(symbol - kGranule) : symbol;
}

}  // namespace longhaul::wire
