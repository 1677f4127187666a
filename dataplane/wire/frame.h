// Ethernet, IPv4/IPv6 and UDP around a Longhaul packet: pure functions on bytes, so that NIC driver, emulated link
// and tests build and read frames in one way. Never fragments: DF is set, fragments are dropped.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/wire/drop_reason.h"

namespace longhaul::wire {

using MacAddress = std::array<std::uint8_t, 6>;
Result<MacAddress> parse_mac(std::string_view text);
std::string to_string(const MacAddress& mac);

struct IpAddress {
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes{};  // IPv4 uses the first four
    auto operator<=>(const IpAddress&) const = default;
};
Result<IpAddress> parse_ip(std::string_view text);
std::string to_string(const IpAddress& address);

// One direction of a lane as it stands on the wire.
struct UdpTuple {
    MacAddress source_mac{}, target_mac{};
    IpAddress source_ip, target_ip;  // both of one family
    std::uint16_t source_port = 0, target_port = 0;
    std::uint8_t traffic_class = 0;  // DSCP << 2 | ECN
    std::uint8_t hop_limit = 64;
    std::uint16_t vlan = 0;  // 0: untagged, else 802.1Q id
};

std::size_t udp_overhead_bytes(const UdpTuple& tuple) noexcept;  // Ethernet (+ VLAN) + IP + UDP header bytes

enum class UdpChecksum : std::uint8_t {
    computed,   // in software, over the payload that must already stand behind the headers
    offloaded,  // the fields are left as the NIC's offload wants them (IPv4: 0, UDP: pseudo header)
    absent,  // zero, IPv4 only (RFC 768): where no wire lies between; the AEAD tag protects more than it would
};
// The headers of one direction of a lane, built once: a packet only changes lengths and checksums.
class UdpFrame {
  public:
    UdpFrame() = default;
    explicit UdpFrame(const UdpTuple& tuple) noexcept;
    std::size_t overhead_bytes() const noexcept { return overhead_; }
    std::size_t network_offset() const noexcept { return network_; }  // Ethernet (+ VLAN) bytes
    bool v6() const noexcept { return v6_; }
    // Writes the headers for `udp_payload_bytes` that follow them in `out`.
    void write(std::size_t udp_payload_bytes, UdpChecksum checksum, std::uint8_t* out) const noexcept;

  private:
    std::array<std::uint8_t, 72> bytes_{};  // lengths and checksums zero
    std::size_t overhead_ = 0, network_ = 0;
    std::uint32_t header_sum_ = 0, pseudo_sum_ = 0;  // without the lengths
    bool v6_ = false;
};
// The same for a single frame; returns header bytes.
std::size_t write_udp_frame(const UdpTuple& tuple, std::size_t udp_payload_bytes, UdpChecksum checksum,
                            std::uint8_t* out) noexcept;

struct UdpFrameView {
    UdpTuple tuple;
    ByteView payload;  // UDP payload, borrowed
};
// Total. Verifies the IPv4 header checksum and, with `verify_udp`, the UDP checksum (zero on IPv4 is legal).
DropReason parse_udp_frame(ByteView frame, bool verify_udp, UdpFrameView& out) noexcept;
// The same verdict and payload without the addresses: what authenticates a packet is its tag.
DropReason find_udp_payload(ByteView frame, bool verify_udp, ByteView& payload) noexcept;

std::uint16_t internet_checksum(
    ByteView bytes, std::uint32_t initial = 0) noexcept;  // RFC 1071, host order, folded, complemented

// The largest symbol that fits: a multiple of 64, never of 4096 (cache aliasing), 0 if the MTU is below 576.
std::uint16_t symbol_bytes_for_mtu(std::uint16_t mtu, bool v6) noexcept;

}  // namespace longhaul::wire
