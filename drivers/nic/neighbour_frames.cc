// SPDX-License-Identifier: Apache-2.0
#include "drivers/nic/neighbour_frames.h"

#include <algorithm>

namespace longhaul::nic {
namespace {

constexpr std::uint16_t kEtherVlan = 0x8100, kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherIpv6 = 0x86dd;
constexpr std::size_t kIpv4Bytes = 20, kIpv6Bytes = 40;
constexpr std::uint8_t kProtocolIcmp = 1, kProtocolIcmp6 = 58;
constexpr std::uint8_t kEchoRequest = 8, kEchoReply = 0, kEchoRequest6 = 128, kEchoReply6 = 129;
constexpr std::uint8_t kSolicit = 135, kAdvertise = 136;
constexpr std::uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2;
constexpr std::uint8_t kHopLimitNd = 255, kHopLimit = 64;
constexpr std::uint32_t kSolicitedFlag = 1u << 30, kOverrideFlag = 1u << 29;

ByteView significant(const wire::IpAddress& address) noexcept {
    return ByteView(address.bytes).first(address.v6 ? 16 : 4);
}

wire::MacAddress read_mac(ByteReader& reader) noexcept {
    wire::MacAddress mac{};
    const ByteView bytes = reader.bytes(mac.size());
    std::copy(bytes.begin(), bytes.end(), mac.begin());
    return mac;
}

wire::IpAddress read_ip(ByteReader& reader, bool v6) noexcept {
    wire::IpAddress address;
    address.v6 = v6;
    const ByteView bytes = reader.bytes(v6 ? 16 : 4);
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

// A group or all-zero MAC in an answer would turn this host into an amplifier.
bool is_station(const wire::MacAddress& mac) noexcept {
    return (mac[0] & 1) == 0 && mac != wire::MacAddress{};
}

std::uint32_t sum16(ByteView bytes) noexcept {  // of an even number of bytes
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
        sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    return sum;
}

std::uint32_t pseudo_icmp6(const wire::IpAddress& source, const wire::IpAddress& destination,
                           std::size_t bytes) noexcept {
    return sum16(source.bytes) + sum16(destination.bytes) + static_cast<std::uint32_t>(bytes) +
           kProtocolIcmp6;
}

void hear_arp(ByteReader& reader, Heard& heard) noexcept {
    const bool ethernet_ipv4 =
        reader.u16() == 1 && reader.u16() == kEtherIpv4 && reader.u8() == 6 && reader.u8() == 4;
    const std::uint16_t operation = reader.u16();
    heard.mac = read_mac(reader);
    heard.sender = read_ip(reader, false);
    read_mac(reader);
    heard.target = read_ip(reader, false);
    if (!ethernet_ipv4 || !reader.ok() || !is_station(heard.mac) || is_multicast(heard.sender)) return;
    heard.has_mac = true;
    if (operation == 1) heard.kind = Kind::arp_request;
    if (operation == 2) heard.kind = Kind::arp_reply;
}

void hear_ipv4(ByteView packet, Heard& heard) noexcept {
    ByteReader reader(packet);
    const std::uint8_t version_and_length = reader.u8();
    heard.traffic_class = reader.u8();
    const std::size_t total_bytes = reader.u16();
    reader.u16();
    const std::uint16_t fragment = reader.u16() & 0x3fff;
    reader.u8();
    const std::uint8_t protocol = reader.u8();
    reader.u16();
    heard.sender = read_ip(reader, false);
    heard.target = read_ip(reader, false);
    const std::size_t header_bytes = (version_and_length & 0x0f) * 4u;
    if (!reader.ok() || version_and_length >> 4 != 4 || header_bytes < kIpv4Bytes ||
        total_bytes < header_bytes + 8 || total_bytes > packet.size() || fragment != 0 ||
        protocol != kProtocolIcmp)
        return;
    if (wire::internet_checksum(packet.first(header_bytes)) != 0) return;
    const ByteView icmp = packet.subspan(header_bytes, total_bytes - header_bytes);
    if (icmp[0] != kEchoRequest || icmp[1] != 0 || wire::internet_checksum(icmp) != 0) return;
    heard.icmp = icmp;
    heard.kind = Kind::echo_v4;
}

// The link-layer address among ND options; false: an option that makes the whole message invalid.
bool read_options(ByteReader& reader, std::uint8_t wanted, Heard& heard) noexcept {
    while (reader.ok() && reader.remaining() != 0) {
        const std::uint8_t type = reader.u8();
        const std::size_t bytes = reader.u8() * 8u;
        if (bytes == 0) return false;
        const ByteView body = reader.bytes(bytes - 2);
        if (!reader.ok()) return false;
        if (type != wanted || body.size() != heard.mac.size()) continue;
        std::copy(body.begin(), body.end(), heard.mac.begin());
        heard.has_mac = is_station(heard.mac);
    }
    return reader.ok();
}

void hear_nd(ByteView icmp, std::uint8_t hop_limit, Heard& heard) noexcept {
    ByteReader reader(icmp);
    const bool solicit = reader.u8() == kSolicit;
    const std::uint8_t code = reader.u8();
    reader.u16();
    const std::uint32_t flags = reader.u32();
    heard.target = read_ip(reader, true);
    if (!reader.ok() || hop_limit != kHopLimitNd || code != 0 || is_multicast(heard.target)) return;
    if (!read_options(reader, solicit ? kSourceLinkLayer : kTargetLinkLayer, heard)) return;
    if (solicit && is_unspecified(heard.sender) && heard.has_mac) return;  // RFC 4861 section 7.1.1
    heard.override_flag = (flags & kOverrideFlag) != 0;
    heard.kind = solicit ? Kind::nd_solicit : Kind::nd_advertise;
}

void hear_ipv6(ByteView packet, Heard& heard) noexcept {
    ByteReader reader(packet);
    const std::uint32_t first_word = reader.u32();
    const std::size_t payload_bytes = reader.u16();
    const std::uint8_t next_header = reader.u8();
    const std::uint8_t hop_limit = reader.u8();
    heard.sender = read_ip(reader, true);
    const wire::IpAddress destination = heard.target = read_ip(reader, true);
    if (!reader.ok() || first_word >> 28 != 6 || next_header != kProtocolIcmp6 || payload_bytes < 8 ||
        payload_bytes > reader.remaining() || is_multicast(heard.sender))
        return;
    heard.traffic_class = static_cast<std::uint8_t>(first_word >> 20);
    const ByteView icmp = packet.subspan(kIpv6Bytes, payload_bytes);
    if (wire::internet_checksum(icmp, pseudo_icmp6(heard.sender, destination, icmp.size())) != 0) return;
    if (icmp[0] == kSolicit || icmp[0] == kAdvertise) return hear_nd(icmp, hop_limit, heard);
    if (icmp[0] != kEchoRequest6 || icmp[1] != 0) return;
    heard.icmp = icmp;
    heard.kind = Kind::echo_v6;
}

void put_ethernet(ByteWriter& writer, const Envelope& envelope, std::uint16_t type) noexcept {
    writer.bytes(envelope.target);
    writer.bytes(envelope.source);
    if (envelope.vlan != 0) {
        writer.u16(kEtherVlan);
        writer.u16(envelope.vlan);
    }
    writer.u16(type);
}

void put_ipv6(ByteWriter& writer, const wire::IpAddress& source, const wire::IpAddress& destination,
              std::size_t payload_bytes, std::uint8_t hop_limit, std::uint8_t traffic_class) noexcept {
    writer.u32(0x60000000u | static_cast<std::uint32_t>(traffic_class) << 20);
    writer.u16(static_cast<std::uint16_t>(payload_bytes));
    writer.u8(kProtocolIcmp6);
    writer.u8(hop_limit);
    writer.bytes(source.bytes);
    writer.bytes(destination.bytes);
}

// Fills the checksum of the ICMPv6 message that ends the frame; 0 when anything before did not fit.
std::size_t finish_icmp6(ByteWriter& writer, MutableByteView out, std::size_t icmp_bytes,
                         const wire::IpAddress& source, const wire::IpAddress& destination) noexcept {
    if (!writer.ok()) return 0;
    const MutableByteView icmp = out.subspan(writer.written() - icmp_bytes, icmp_bytes);
    ByteWriter(icmp.subspan(2))
        .u16(wire::internet_checksum(icmp, pseudo_icmp6(source, destination, icmp_bytes)));
    return writer.written();
}

}  // namespace

bool is_unspecified(const wire::IpAddress& address) noexcept {
    const ByteView bytes = significant(address);
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool is_multicast(const wire::IpAddress& address) noexcept {
    if (address.v6) return address.bytes[0] == 0xff;
    const ByteView bytes = significant(address);
    const bool broadcast =
        std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0xff; });
    return broadcast || bytes[0] >> 4 == 0xe;
}

wire::IpAddress solicited_node(const wire::IpAddress& target) noexcept {
    wire::IpAddress group{true, {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}};
    std::copy(target.bytes.begin() + 13, target.bytes.end(), group.bytes.begin() + 13);
    return group;
}

wire::MacAddress multicast_mac(const wire::IpAddress& group) noexcept {
    return {0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]};
}

Heard hear(ByteView frame, std::uint16_t vlan) noexcept {
    Heard heard;
    ByteReader reader(frame);
    heard.ethernet_target = read_mac(reader);
    heard.ethernet_source = read_mac(reader);
    std::uint16_t type = reader.u16(), id = 0;
    if (type == kEtherVlan) {
        id = reader.u16() & 0x0fff;
        type = reader.u16();
    }
    if (!reader.ok() || id != vlan || !is_station(heard.ethernet_source)) return heard;
    if (type == kEtherArp) hear_arp(reader, heard);
    if (type == kEtherIpv4) hear_ipv4(frame.subspan(reader.position()), heard);
    if (type == kEtherIpv6) hear_ipv6(frame.subspan(reader.position()), heard);
    return heard;
}

std::size_t write_arp(const Envelope& envelope, bool reply, const wire::IpAddress& sender,
                      const wire::MacAddress& target_mac, const wire::IpAddress& target,
                      MutableByteView out) noexcept {
    ByteWriter writer(out);
    put_ethernet(writer, envelope, kEtherArp);
    writer.u16(1);
    writer.u16(kEtherIpv4);
    writer.u8(6);
    writer.u8(4);
    writer.u16(reply ? 2 : 1);
    writer.bytes(envelope.source);
    writer.bytes(significant(sender));
    writer.bytes(target_mac);
    writer.bytes(significant(target));
    return writer.ok() ? writer.written() : 0;
}

std::size_t write_solicit(const Envelope& envelope, const wire::IpAddress& source,
                          const wire::IpAddress& destination, const wire::IpAddress& target,
                          MutableByteView out) noexcept {
    constexpr std::size_t kBytes = 32;
    ByteWriter writer(out);
    put_ethernet(writer, envelope, kEtherIpv6);
    put_ipv6(writer, source, destination, kBytes, kHopLimitNd, 0);
    writer.u8(kSolicit);
    writer.u8(0);
    writer.u16(0);
    writer.u32(0);
    writer.bytes(target.bytes);
    writer.u8(kSourceLinkLayer);
    writer.u8(1);
    writer.bytes(envelope.source);
    return finish_icmp6(writer, out, kBytes, source, destination);
}

std::size_t write_advertise(const Envelope& envelope, const wire::IpAddress& source,
                            const wire::IpAddress& destination, bool solicited,
                            MutableByteView out) noexcept {
    constexpr std::size_t kBytes = 32;
    ByteWriter writer(out);
    put_ethernet(writer, envelope, kEtherIpv6);
    put_ipv6(writer, source, destination, kBytes, kHopLimitNd, 0);
    writer.u8(kAdvertise);
    writer.u8(0);
    writer.u16(0);
    writer.u32(kOverrideFlag | (solicited ? kSolicitedFlag : 0));
    writer.bytes(source.bytes);
    writer.u8(kTargetLinkLayer);
    writer.u8(1);
    writer.bytes(envelope.source);
    return finish_icmp6(writer, out, kBytes, source, destination);
}

std::size_t write_echo_reply(const Envelope& envelope, const Heard& request, MutableByteView out) noexcept {
    const std::size_t icmp_bytes = request.icmp.size();
    ByteWriter writer(out);
    if (request.kind == Kind::echo_v6) {
        put_ethernet(writer, envelope, kEtherIpv6);
        put_ipv6(writer, request.target, request.sender, icmp_bytes, kHopLimit, request.traffic_class);
        writer.u8(kEchoReply6);
        writer.u8(0);
        writer.u16(0);
        writer.bytes(request.icmp.subspan(4));
        return finish_icmp6(writer, out, icmp_bytes, request.target, request.sender);
    }
    put_ethernet(writer, envelope, kEtherIpv4);
    const std::size_t header_at = writer.written();
    writer.u8(0x45);
    writer.u8(request.traffic_class);
    writer.u16(static_cast<std::uint16_t>(kIpv4Bytes + icmp_bytes));
    writer.u32(0);  // never fragmented: no identification; an echo may be fragmented on its way, no DF
    writer.u8(kHopLimit);
    writer.u8(kProtocolIcmp);
    writer.u16(0);
    writer.bytes(significant(request.target));
    writer.bytes(significant(request.sender));
    writer.u8(kEchoReply);
    writer.u8(0);
    writer.u16(0);
    writer.bytes(request.icmp.subspan(4));
    if (!writer.ok()) return 0;
    const MutableByteView header = out.subspan(header_at, kIpv4Bytes);
    ByteWriter(header.subspan(10)).u16(wire::internet_checksum(header));
    const MutableByteView icmp = out.subspan(header_at + kIpv4Bytes, icmp_bytes);
    ByteWriter(icmp.subspan(2)).u16(wire::internet_checksum(icmp));
    return writer.written();
}

}  // namespace longhaul::nic
