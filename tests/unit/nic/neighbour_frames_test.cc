// The neighbour frames' parser and builders against bytes written down by hand and against noise.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/nic/neighbour_frames.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "dataplane/base/random.h"
#include "drivers/nic/nic.h"

namespace longhaul::nic {
namespace {

const wire::MacAddress kMac = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

// An ARP request as it stands on the wire, byte for byte (RFC 826).
TEST(NeighbourFrames, ArpRequestBytes) {
    const std::array<std::uint8_t, 42> expected = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x08, 0x06,  // Ethernet
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,                                      // request
        0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 10,   77,   0,    1,                             // sender
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 10,   77,   0,    2};                            // target
    std::array<std::uint8_t, 64> out{};
    const std::size_t bytes = write_arp({kMac, kBroadcastMac, 0}, false, wire::parse_ip("10.77.0.1").value(),
                                        {}, wire::parse_ip("10.77.0.2").value(), out);
    ASSERT_EQ(bytes, expected.size());
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), out.begin()));
}

// A solicitation whose checksum was worked out by hand over the pseudo header (RFC 4861, RFC 8200
// section 8.1).
TEST(NeighbourFrames, SolicitationBytes) {
    const wire::IpAddress source = wire::parse_ip("fe80::1").value(),
                          target = wire::parse_ip("fe80::2").value();
    std::array<std::uint8_t, 86> out{};
    const wire::IpAddress group = solicited_node(target);
    ASSERT_EQ(write_solicit({{2, 0, 0, 0, 0, 1}, multicast_mac(group), 0}, source, group, target, out),
              out.size());
    // Words: fe80+1, ff02+1+ff00(ff)+2, 32, 58, 8700, fe80+2, 0101+0200+0000+0001.
    std::uint32_t sum = 0xfe80 + 0x0001 + 0xff02 + 0x0001 + 0xff00 + 0x0002 + 32 + 58 + 0x8700 + 0xfe80 +
                        0x0002 + 0x0101 + 0x0200 + 0x0001;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    EXPECT_EQ(out[56] << 8 | out[57], static_cast<int>(~sum & 0xffff));
    EXPECT_EQ(out[21], 255) << "hop limit";
    const wire::MacAddress ethernet_group = {0x33, 0x33, 0xff, 0, 0, 2};
    EXPECT_TRUE(std::equal(ethernet_group.begin(), ethernet_group.end(), out.begin()));
}

// A hop limit below 255 shows that a solicitation crossed a router: refused (RFC 4861 section 7.1.1).
TEST(NeighbourFrames, RoutedSolicitationIsRefused) {
    const wire::IpAddress source = wire::parse_ip("fe80::1").value(),
                          target = wire::parse_ip("fe80::2").value();
    std::array<std::uint8_t, 86> out{};
    write_solicit({kMac, kMac, 0}, source, target, target, out);
    EXPECT_EQ(hear(out, 0).kind, Kind::nd_solicit);
    out[21] = 254;
    EXPECT_EQ(hear(out, 0).kind, Kind::other);
}

// No builder writes past its span: with any shorter span it returns 0.
TEST(NeighbourFrames, BuildersRefuseShortSpans) {
    const wire::IpAddress v6 = wire::parse_ip("fe80::1").value(), v4 = wire::parse_ip("10.0.0.1").value();
    for (std::size_t room = 0; room < 86; ++room) {
        std::vector<std::uint8_t> out(room);
        EXPECT_EQ(write_arp({kMac, kMac, 0}, true, v4, kMac, v4, out), room < 42 ? 0u : 42u) << room;
        EXPECT_EQ(write_solicit({kMac, kMac, 0}, v6, v6, v6, out), 0u) << room;
        EXPECT_EQ(write_advertise({kMac, kMac, 0}, v6, v6, true, out), 0u) << room;
    }
}

// Whatever arrives, cut anywhere or with any byte changed: no byte outside the frame is read (sanitizers
// watch), an answer fits its span, and a changed echo or ND message is not taken for a good one.
TEST(NeighbourFrames, AnyBytesAreHandled) {
    constexpr std::uint64_t kSeed = 11;
    Random random(kSeed);
    const wire::IpAddress own = wire::parse_ip("fd00::1").value();
    Neighbours host(kMac, {parse_prefix("10.77.0.1/24").value(), parse_prefix("fd00::1/64").value()}, {}, {},
                    0);
    std::vector<std::vector<std::uint8_t>> seeds(3, std::vector<std::uint8_t>(128));
    seeds[0].resize(write_arp({{2, 9}, kMac, 0}, false, wire::parse_ip("10.77.0.2").value(), kMac,
                              wire::parse_ip("10.77.0.1").value(), seeds[0]));
    seeds[1].resize(write_solicit({{2, 9}, kMac, 0}, wire::parse_ip("fd00::2").value(), own, own, seeds[1]));
    seeds[2].resize(
        write_advertise({{2, 9}, kMac, 0}, wire::parse_ip("fd00::2").value(), own, true, seeds[2]));
    for (unsigned round = 0; round < 20'000; ++round) {
        std::vector<std::uint8_t> frame = seeds[random.below(seeds.size())];
        frame.resize(random.below(frame.size() + 1));
        for (std::uint64_t flips = random.below(4); flips != 0 && !frame.empty(); --flips)
            frame[random.below(frame.size())] = static_cast<std::uint8_t>(random.next());
        std::vector<std::uint8_t> reply(random.below(200));
        EXPECT_LE(host.handle(frame, round * kSecond, reply), reply.size())
            << "seed " << kSeed << " round " << round;
    }
    for (std::size_t at = 18; at < seeds[1].size(); ++at) {  // from the payload length on
        auto changed = seeds[1];
        changed[at] ^= 0x40;
        EXPECT_EQ(hear(changed, 0).kind, Kind::other) << "byte " << at;
    }
}

}  // namespace
}  // namespace longhaul::nic
