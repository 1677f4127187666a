// Frames are built and read here and nowhere else: Ethernet, at most one 802.1Q tag, IPv4 or IPv6, UDP.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/frame.h"

#include <algorithm>
#include <cstring>
#include <tuple>

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

std::uint32_t folded(std::uint64_t sum) noexcept {
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint32_t>(sum);
}

// The ones' complement sum does not care for byte order but for a final swap (RFC 1071 section 2 B): four bytes at a
// time in the machine's own, which compilers turn into vectors.
std::uint32_t sum_of(ByteView bytes, std::uint32_t sum) noexcept {
    std::uint64_t native = 0;
    std::size_t i = 0;
    for (; i + 4 <= bytes.size(); i += 4) {
        std::uint32_t word = 0;
        std::memcpy(&word, bytes.data() + i, sizeof word);
        native += word;
    }
    const std::uint32_t words = folded(native);
    std::uint64_t wide = std::uint64_t{sum} + ((words & 0xff) << 8 | words >> 8);
    for (; i + 1 < bytes.size(); i += 2)
        wide += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    if (i < bytes.size()) wide += static_cast<std::uint32_t>(bytes[i] << 8);
    return folded(wide);
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

void write_ipv4(const UdpTuple& tuple, ByteWriter& writer) noexcept {
    writer.u8(0x45);
    writer.u8(tuple.traffic_class);
    writer.u16(0);
    writer.u16(0);  // identification: of no use to a datagram that is never fragmented (RFC 6864)
    writer.u16(kDontFragment);
    writer.u8(tuple.hop_limit);
    writer.u8(kProtocolUdp);
    writer.u16(0);
    writer.bytes(significant(tuple.source_ip));
    writer.bytes(significant(tuple.target_ip));
}

void write_ipv6(const UdpTuple& tuple, ByteWriter& writer) noexcept {
    writer.u32(0x60000000u | static_cast<std::uint32_t>(tuple.traffic_class) << 20 | flow_label(tuple));
    writer.u16(0);
    writer.u8(kProtocolUdp);
    writer.u8(tuple.hop_limit);
    writer.bytes(significant(tuple.source_ip));
    writer.bytes(significant(tuple.target_ip));
}

// What the layers of a frame say, borrowed from it.
struct Layers {
    bool v6 = false;
    std::uint16_t vlan = 0;
    std::uint8_t traffic_class = 0, hop_limit = 0;
    ByteView source_ip, target_ip;
    std::uint16_t source_port = 0, target_port = 0;
    ByteView segment, payload;
};

MacAddress read_mac(ByteReader& reader) noexcept {
    MacAddress mac{};
    const ByteView bytes = reader.bytes(mac.size());
    std::copy(bytes.begin(), bytes.end(), mac.begin());
    return mac;
}

IpAddress address_of(ByteView bytes, bool v6) noexcept {
    IpAddress address;
    address.v6 = v6;
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

DropReason parse_ipv4(ByteView packet, Layers& out) noexcept {
    ByteReader reader(packet);
    const std::uint8_t version_and_length = reader.u8();
    out.traffic_class = reader.u8();
    const std::size_t total_bytes = reader.u16();
    reader.u16();
    const std::uint16_t fragment = reader.u16();
    out.hop_limit = reader.u8();
    const std::uint8_t protocol = reader.u8();
    reader.u16();
    out.source_ip = reader.bytes(4);
    out.target_ip = reader.bytes(4);
    if (!reader.ok()) return DropReason::frame_short;
    if (version_and_length >> 4 != 4) return DropReason::frame_not_ours;
    const std::size_t header_bytes = (version_and_length & 0x0f) * 4u;
    if (header_bytes < kIpv4Bytes || total_bytes < header_bytes || total_bytes > packet.size()) {
        return DropReason::frame_short;
    }
    if (internet_checksum(packet.first(header_bytes)) != 0) return DropReason::frame_checksum;
    if ((fragment & kMoreFragmentsOrOffset) != 0) return DropReason::frame_fragment;
    if (protocol != kProtocolUdp) return DropReason::frame_not_ours;
    out.segment = packet.subspan(header_bytes, total_bytes - header_bytes);
    return DropReason::none;
}

DropReason parse_ipv6(ByteView packet, Layers& out) noexcept {
    ByteReader reader(packet);
    const std::uint32_t first_word = reader.u32();
    out.v6 = true;
    out.traffic_class = static_cast<std::uint8_t>(first_word >> 20);
    const std::size_t payload_bytes = reader.u16();
    const std::uint8_t next_header = reader.u8();
    out.hop_limit = reader.u8();
    out.source_ip = reader.bytes(16);
    out.target_ip = reader.bytes(16);
    if (!reader.ok()) return DropReason::frame_short;
    if (first_word >> 28 != 6) return DropReason::frame_not_ours;
    if (next_header == kIpv6Fragment) return DropReason::frame_fragment;
    if (next_header != kProtocolUdp) return DropReason::frame_not_ours;
    if (payload_bytes > reader.remaining()) return DropReason::frame_short;
    out.segment = packet.subspan(kIpv6Bytes, payload_bytes);
    return DropReason::none;
}

DropReason parse_udp(bool verify, Layers& out) noexcept {
    ByteReader reader(out.segment);
    out.source_port = reader.u16();
    out.target_port = reader.u16();
    const std::size_t udp_bytes = reader.u16();
    const std::uint16_t checksum = reader.u16();
    if (!reader.ok() || udp_bytes < kUdpBytes || udp_bytes > out.segment.size())
        return DropReason::frame_short;
    const bool without_checksum = checksum == 0 && !out.v6;
    if (verify && !without_checksum) {
        const std::uint32_t pseudo = sum_of(out.target_ip, sum_of(out.source_ip, 0)) + kProtocolUdp +
                                     static_cast<std::uint32_t>(udp_bytes);
        if (checksum == 0 || internet_checksum(out.segment.first(udp_bytes), pseudo) != 0)
            return DropReason::frame_checksum;
    }
    out.payload = out.segment.subspan(kUdpBytes, udp_bytes - kUdpBytes);
    return DropReason::none;
}

DropReason parse_layers(ByteView frame, bool verify_udp, Layers& out) noexcept {
    ByteReader reader(frame);
    reader.bytes(2 * std::tuple_size_v<MacAddress>);
    std::uint16_t ether_type = reader.u16();
    if (ether_type == kEtherVlan) {
        out.vlan = reader.u16() & kVlanIdMask;  // id 0: priority only, as good as untagged
        ether_type = reader.u16();
    }
    if (!reader.ok()) return DropReason::frame_short;
    if (ether_type != kEtherIpv4 && ether_type != kEtherIpv6) return DropReason::frame_not_ours;
    const ByteView packet = frame.subspan(reader.position());
    const DropReason reason = ether_type == kEtherIpv6 ? parse_ipv6(packet, out) : parse_ipv4(packet, out);
    return reason == DropReason::none ? parse_udp(verify_udp, out) : reason;
}

}  // namespace

std::uint16_t internet_checksum(ByteView bytes, std::uint32_t initial) noexcept {
    return static_cast<std::uint16_t>(~sum_of(bytes, initial));
}

std::size_t udp_overhead_bytes(const UdpTuple& tuple) noexcept {
    return kEthernetBytes + (tuple.vlan != 0 ? kVlanBytes : 0) + ip_bytes(tuple.source_ip.v6) + kUdpBytes;
}

UdpFrame::UdpFrame(const UdpTuple& tuple) noexcept
    : overhead_(udp_overhead_bytes(tuple)),
      network_(overhead_ - ip_bytes(tuple.source_ip.v6) - kUdpBytes),
      v6_(tuple.source_ip.v6) {
    LH_ASSERT(tuple.target_ip.v6 == v6_ && tuple.vlan <= kVlanIdMask && overhead_ <= bytes_.size());
    ByteWriter writer({bytes_.data(), overhead_});
    writer.bytes(tuple.target_mac);
    writer.bytes(tuple.source_mac);
    if (tuple.vlan != 0) {
        writer.u16(kEtherVlan);
        writer.u16(tuple.vlan);
    }
    writer.u16(v6_ ? kEtherIpv6 : kEtherIpv4);
    if (v6_)
        write_ipv6(tuple, writer);
    else
        write_ipv4(tuple, writer);
    writer.u16(tuple.source_port);
    writer.u16(tuple.target_port);
    writer.u32(0);
    LH_ASSERT(writer.ok() && writer.room() == 0);
    if (!v6_) header_sum_ = sum_of({bytes_.data() + network_, kIpv4Bytes}, 0);
    pseudo_sum_ = pseudo_header_sum(tuple.source_ip, tuple.target_ip, 0);
}

void UdpFrame::write(std::size_t udp_payload_bytes, UdpChecksum checksum, std::uint8_t* out) const noexcept {
    const std::size_t udp_bytes = kUdpBytes + udp_payload_bytes;
    LH_ASSERT(overhead_ > 0 && ip_bytes(v6_) + udp_bytes <= 65535);
    LH_ASSERT(!v6_ || checksum != UdpChecksum::absent);
    std::memcpy(out, bytes_.data(), overhead_);
    std::uint8_t* const ip = out + network_;
    std::uint8_t* const udp = out + overhead_ - kUdpBytes;
    store_big_endian<2>(udp + 4, udp_bytes);
    if (v6_) {
        store_big_endian<2>(ip + 4, udp_bytes);
    } else {
        const std::size_t total = kIpv4Bytes + udp_bytes;
        store_big_endian<2>(ip + 2, total);
        if (checksum != UdpChecksum::offloaded)
            store_big_endian<2>(ip + 10, ~folded(header_sum_ + total) & 0xffff);
    }
    if (checksum == UdpChecksum::absent) return;
    std::uint32_t field = folded(std::uint64_t{pseudo_sum_} + udp_bytes);
    if (checksum == UdpChecksum::computed) {
        field = internet_checksum({udp, udp_bytes}, field);
        if (field == 0) field = 0xffff;  // zero would say "no checksum" (RFC 768)
    }
    store_big_endian<2>(udp + 6, field);
}

std::size_t write_udp_frame(const UdpTuple& tuple, std::size_t udp_payload_bytes, UdpChecksum checksum,
                            std::uint8_t* out) noexcept {
    const UdpFrame frame(tuple);
    frame.write(udp_payload_bytes, checksum, out);
    return frame.overhead_bytes();
}

DropReason parse_udp_frame(ByteView frame, bool verify_udp, UdpFrameView& out) noexcept {
    Layers layers;
    if (const DropReason reason = parse_layers(frame, verify_udp, layers); reason != DropReason::none)
        return reason;
    ByteReader macs(frame);
    out.tuple.target_mac = read_mac(macs);
    out.tuple.source_mac = read_mac(macs);
    out.tuple.source_ip = address_of(layers.source_ip, layers.v6);
    out.tuple.target_ip = address_of(layers.target_ip, layers.v6);
    out.tuple.source_port = layers.source_port;
    out.tuple.target_port = layers.target_port;
    out.tuple.traffic_class = layers.traffic_class;
    out.tuple.hop_limit = layers.hop_limit;
    out.tuple.vlan = layers.vlan;
    out.payload = layers.payload;
    return DropReason::none;
}

DropReason find_udp_payload(ByteView frame, bool verify_udp, ByteView& payload) noexcept {
    Layers layers;
    const DropReason reason = parse_layers(frame, verify_udp, layers);
    if (reason == DropReason::none) payload = layers.payload;
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
