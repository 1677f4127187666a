// The frames of a good neighbour as bytes: ARP (RFC 826), Neighbour Solicitation and Advertisement (RFC 4861)
// and echo (RFC 792, RFC 4443) parsed and built. Total: any bytes give a Heard, at worst of Kind::other.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/wire/frame.h"

namespace longhaul::nic {

enum class Kind : unsigned char { other, arp_request, arp_reply, nd_solicit, nd_advertise, echo_v4, echo_v6 };

struct Heard {
    Kind kind = Kind::other;
    wire::MacAddress ethernet_source{}, ethernet_target{};
    wire::IpAddress sender;  // ARP: sender protocol address; else the IP source
    wire::IpAddress target;  // ARP, ND: the address asked or told about; echo: the IP destination
    wire::MacAddress mac{};  // ARP: sender hardware address; ND: link-layer address option
    bool has_mac = false;
    bool override_flag = false;      // NA only
    std::uint8_t traffic_class = 0;  // echo only
    ByteView icmp;                   // echo only: from the type on, borrowed from the frame
};
// Checksums, hop limit 255 of ND (RFC 4861 section 6.1), lengths and options are verified; `vlan` must match
// (0: untagged or priority-tagged). Fragments are other.
Heard hear(ByteView frame, std::uint16_t vlan) noexcept;

bool is_unspecified(const wire::IpAddress& address) noexcept;
bool is_multicast(const wire::IpAddress& address) noexcept;              // and IPv4's 255.255.255.255
wire::IpAddress solicited_node(const wire::IpAddress& target) noexcept;  // ff02::1:ffXX:XXXX
wire::MacAddress multicast_mac(const wire::IpAddress& group) noexcept;   // 33:33:...
inline constexpr wire::MacAddress kBroadcastMac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct Envelope {  // Ethernet around what is built
    wire::MacAddress source{}, target{};
    std::uint16_t vlan = 0;
};
// Each returns the frame's bytes, 0 when `out` is too short.
std::size_t write_arp(const Envelope& envelope, bool reply, const wire::IpAddress& sender,
                      const wire::MacAddress& target_mac, const wire::IpAddress& target,
                      MutableByteView out) noexcept;
// `destination` is the solicited-node group, or the target itself to confirm that it is still there.
std::size_t write_solicit(const Envelope& envelope, const wire::IpAddress& source,
                          const wire::IpAddress& destination, const wire::IpAddress& target,
                          MutableByteView out) noexcept;
std::size_t write_advertise(const Envelope& envelope, const wire::IpAddress& source,
                            const wire::IpAddress& destination, bool solicited, MutableByteView out) noexcept;
std::size_t write_echo_reply(const Envelope& envelope, const Heard& request, MutableByteView out) noexcept;

}  // namespace longhaul::nic
