// The neighbour duties, frame by frame: what is asked, what is answered, what is learnt and what is refused.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/nic/nic.h"

#include <gtest/gtest.h>

#include <array>

#include "drivers/nic/neighbour_frames.h"

namespace longhaul::nic {
namespace {

const wire::MacAddress kOwnMac = {2, 0, 0, 0, 0, 1};
const wire::MacAddress kPeerMac = {2, 0, 0, 0, 0, 2};
const wire::MacAddress kOtherMac = {2, 0, 0, 0, 0, 3};

wire::IpAddress ip(std::string_view text) {
    return wire::parse_ip(text).value();
}

class NeighboursTest : public testing::Test {
  protected:
    static std::vector<IpPrefix> prefixes() {
        return {parse_prefix("10.77.0.1/24").value(), parse_prefix("fd00:77::1/64").value()};
    }
    // One frame that is due, empty when none is.
    ByteView request(TimeNs now) { return {buffer_.data(), host_.next_request(now, buffer_)}; }
    ByteView reply_to(ByteView frame, TimeNs now) {
        const std::vector<std::uint8_t> copy(frame.begin(), frame.end());
        return {buffer_.data(), host_.handle(copy, now, buffer_)};
    }
    void skip_announcements() {
        for (TimeNs now = 0; now <= 3 * kSecond; now += kSecond)
            while (!request(now).empty()) {
            }
    }
    ByteView peer_arp(bool is_reply, std::string_view sender, std::string_view target,
                      const wire::MacAddress& mac = kPeerMac) {
        return {frame_.data(),
                write_arp({mac, kOwnMac, 0}, is_reply, ip(sender), kOwnMac, ip(target), frame_)};
    }

    Neighbours host_{kOwnMac, prefixes(), ip("10.77.0.254"), ip("fd00:77::fe"), 0};
    std::array<std::uint8_t, 2048> buffer_{}, frame_{};
};

// A host that starts says so: three gratuitous ARPs and three unsolicited NAs, a second apart.
TEST_F(NeighboursTest, AnnouncesItselfAtStart) {
    unsigned arps = 0, advertisements = 0;
    for (TimeNs now = 0; now < 10 * kSecond; now += 100 * kMillisecond)
        for (ByteView frame = request(now); !frame.empty(); frame = request(now)) {
            const Heard heard = hear(frame, 0);
            EXPECT_EQ(heard.sender, heard.target) << "an announcement speaks of its own sender";
            arps += heard.kind == Kind::arp_request && heard.ethernet_target == kBroadcastMac;
            advertisements += heard.kind == Kind::nd_advertise && heard.mac == kOwnMac && heard.override_flag;
            EXPECT_LE(now, 2 * kSecond);
        }
    EXPECT_EQ(arps, 3u);
    EXPECT_EQ(advertisements, 3u);
    EXPECT_EQ(host_.next_wake(), kNever) << "nothing more to do";
}

// An on-link address is asked for by broadcast, found by its answer, and then usable without further
// requests.
TEST_F(NeighboursTest, ResolvesOnLinkIpv4) {
    skip_announcements();
    const TimeNs now = 10 * kSecond;
    EXPECT_FALSE(host_.resolve(ip("10.77.0.2"), now));
    const Heard asked = hear(request(now), 0);
    EXPECT_EQ(asked.kind, Kind::arp_request);
    EXPECT_EQ(asked.target, ip("10.77.0.2"));
    EXPECT_EQ(asked.sender, ip("10.77.0.1"));
    EXPECT_EQ(asked.ethernet_target, kBroadcastMac);
    EXPECT_TRUE(request(now).empty()) << "one request a second";
    EXPECT_EQ(host_.next_wake(), now + kSecond);

    EXPECT_TRUE(reply_to(peer_arp(true, "10.77.0.2", "10.77.0.1"), now + 1).empty());
    EXPECT_EQ(host_.resolve(ip("10.77.0.2"), now + 1), kPeerMac);
    EXPECT_TRUE(request(now + kSecond).empty());
    ASSERT_EQ(host_.known(now + 1 + kSecond).size(), 1u);
    EXPECT_EQ(host_.known(now + 1 + kSecond)[0].age, kSecond);
}

// IPv6: solicitation to the solicited-node group, with its Ethernet group, hop limit and checksum right.
TEST_F(NeighboursTest, ResolvesOnLinkIpv6) {
    skip_announcements();
    const TimeNs now = 10 * kSecond;
    EXPECT_FALSE(host_.resolve(ip("fd00:77::12:3456"), now));
    const ByteView frame = request(now);
    const Heard asked = hear(frame, 0);
    ASSERT_EQ(asked.kind, Kind::nd_solicit) << "hear() checks hop limit and checksum";
    EXPECT_EQ(asked.target, ip("fd00:77::12:3456"));
    EXPECT_EQ(asked.mac, kOwnMac);
    EXPECT_EQ(asked.ethernet_target, (wire::MacAddress{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}));
    const ByteView group = frame.subspan(14 + 24, 16);
    EXPECT_TRUE(std::equal(group.begin(), group.end(), ip("ff02::1:ff12:3456").bytes.begin()));

    const std::size_t bytes =
        write_advertise({kPeerMac, kOwnMac, 0}, ip("fd00:77::12:3456"), ip("fd00:77::1"), true, frame_);
    EXPECT_TRUE(reply_to({frame_.data(), bytes}, now + 1).empty());
    EXPECT_EQ(host_.resolve(ip("fd00:77::12:3456"), now + 1), kPeerMac);
}

// Off-link targets go by the gateway of their family; without a gateway nobody is asked.
TEST_F(NeighboursTest, OffLinkTargetsUseTheGateway) {
    skip_announcements();
    const TimeNs now = 10 * kSecond;
    EXPECT_FALSE(host_.resolve(ip("192.0.2.9"), now));
    EXPECT_EQ(hear(request(now), 0).target, ip("10.77.0.254"));
    EXPECT_FALSE(host_.resolve(ip("2001:db8::9"), now));
    EXPECT_EQ(hear(request(now), 0).target, ip("fd00:77::fe"));
    reply_to(peer_arp(true, "10.77.0.254", "10.77.0.1"), now);
    EXPECT_EQ(host_.resolve(ip("198.51.100.1"), now), kPeerMac)
        << "every off-link target shares the gateway's entry";

    Neighbours lonely(kOwnMac, prefixes(), {}, {}, 0);
    while (lonely.next_request(3 * kSecond, buffer_) != 0) {
    }
    EXPECT_FALSE(lonely.resolve(ip("192.0.2.9"), 4 * kSecond));
    EXPECT_TRUE(lonely.known(4 * kSecond).empty());
}

// Own, multicast, broadcast and unspecified addresses are nobody's neighbours.
TEST_F(NeighboursTest, SpecialAddressesAreNotAskedFor) {
    skip_announcements();
    for (const char* text :
         {"10.77.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "::", "fd00:77::1"})
        EXPECT_FALSE(host_.resolve(ip(text), 10 * kSecond)) << text;
    EXPECT_TRUE(request(10 * kSecond).empty());
}

// A request for an own address is answered to the asker, tagged as it came; for another address it is not.
TEST_F(NeighboursTest, AnswersArpForItsAddressOnly) {
    const ByteView answer = reply_to(peer_arp(false, "10.77.0.2", "10.77.0.1"), 0);
    const Heard heard = hear(answer, 0);
    EXPECT_EQ(heard.kind, Kind::arp_reply);
    EXPECT_EQ(heard.mac, kOwnMac);
    EXPECT_EQ(heard.sender, ip("10.77.0.1"));
    EXPECT_EQ(heard.target, ip("10.77.0.2"));
    EXPECT_EQ(heard.ethernet_target, kPeerMac);
    EXPECT_TRUE(reply_to(peer_arp(false, "10.77.0.2", "10.77.0.9"), 0).empty());
    EXPECT_EQ(host_.counters().arp_replies, 1u);
}

// On a VLAN port frames carry its tag both ways, and frames of no or another VLAN are not for us.
TEST_F(NeighboursTest, VlanIsKeptApart) {
    Neighbours tagged(kOwnMac, prefixes(), {}, {}, 42);
    const auto ask = [&](std::uint16_t vlan) {
        const std::size_t bytes =
            write_arp({kPeerMac, kBroadcastMac, vlan}, false, ip("10.77.0.2"), {}, ip("10.77.0.1"), frame_);
        return ByteView(buffer_.data(), tagged.handle({frame_.data(), bytes}, 0, buffer_));
    };
    EXPECT_TRUE(ask(0).empty());
    EXPECT_TRUE(ask(43).empty());
    const ByteView answer = ask(42);
    EXPECT_EQ(hear(answer, 42).kind, Kind::arp_reply);
    EXPECT_EQ(hear(answer, 0).kind, Kind::other);
}

// A solicitation is answered with the solicited flag to its sender; a duplicate-address probe to all nodes
// without.
TEST_F(NeighboursTest, AnswersSolicitations) {
    const wire::IpAddress own = ip("fd00:77::1"), group = solicited_node(own);
    std::size_t bytes =
        write_solicit({kPeerMac, multicast_mac(group), 0}, ip("fd00:77::2"), group, own, frame_);
    ByteView answer = reply_to({frame_.data(), bytes}, 0);
    EXPECT_EQ(hear(answer, 0).kind, Kind::nd_advertise);
    EXPECT_EQ(hear(answer, 0).mac, kOwnMac);
    EXPECT_EQ(hear(answer, 0).ethernet_target, kPeerMac);
    EXPECT_EQ(answer[14 + 40 + 4] & 0xe0, 0x60) << "solicited and override";

    std::array<std::uint8_t, 86> probe{};  // a probe has no source and may not carry its link-layer address
    bytes = write_solicit({kPeerMac, multicast_mac(group), 0}, wire::IpAddress{true, {}}, group, own, probe);
    ASSERT_EQ(bytes, probe.size());
    EXPECT_EQ(hear(probe, 0).kind, Kind::other) << "with the option it is invalid";
    probe[14 + 5] = 24;  // cut the option off, and its share of the checksum with it
    const std::uint32_t option_sum = 0x0101 + 0x0200 + 0x0000 + 0x0002 + 8;
    const std::uint32_t sum = static_cast<std::uint32_t>(probe[56] << 8 | probe[57]) + option_sum;
    const std::uint32_t folded = (sum & 0xffff) + (sum >> 16);
    probe[56] = static_cast<std::uint8_t>(folded >> 8);
    probe[57] = static_cast<std::uint8_t>(folded);
    answer = reply_to(ByteView(probe).first(78), 0);
    ASSERT_FALSE(answer.empty());
    EXPECT_EQ(hear(answer, 0).ethernet_target, (wire::MacAddress{0x33, 0x33, 0, 0, 0, 1}));
    EXPECT_EQ(answer[14 + 40 + 4] & 0xe0, 0x20) << "override only";
    EXPECT_EQ(host_.counters().conflicts, 1u);
}

// Somebody else claims our address: counted each time, defended at most once in ten seconds.
TEST_F(NeighboursTest, CountsAndDefendsAgainstDuplicates) {
    skip_announcements();
    const TimeNs now = 20 * kSecond;
    for (int i = 0; i < 5; ++i)
        EXPECT_TRUE(reply_to(peer_arp(false, "10.77.0.1", "10.77.0.1", kOtherMac), now).empty());
    EXPECT_EQ(host_.counters().conflicts, 5u);
    const Heard defence = hear(request(now), 0);
    EXPECT_EQ(defence.kind, Kind::arp_request);
    EXPECT_EQ(defence.sender, ip("10.77.0.1"));
    EXPECT_TRUE(request(now).empty());
    reply_to(peer_arp(false, "10.77.0.1", "10.77.0.1", kOtherMac), now + kSecond);
    EXPECT_TRUE(request(now + kSecond).empty()) << "not again so soon";
    reply_to(peer_arp(false, "10.77.0.1", "10.77.0.1", kOtherMac), now + 11 * kSecond);
    EXPECT_FALSE(request(now + 11 * kSecond).empty());

    const std::size_t bytes =
        write_advertise({kOtherMac, kOwnMac, 0}, ip("fd00:77::1"), ip("fd00:77::1"), false, frame_);
    reply_to({frame_.data(), bytes}, now);
    EXPECT_EQ(host_.counters().conflicts, 8u);
    EXPECT_TRUE(reply_to(peer_arp(false, "10.77.0.1", "10.77.0.1", kOwnMac), now).empty());
    EXPECT_EQ(host_.counters().conflicts, 8u) << "our own announcement coming back is no conflict";
}

// A used entry is confirmed by unicast after 30 s, stays usable meanwhile, and is given up after three silent
// tries.
TEST_F(NeighboursTest, ConfirmsAndGivesUpSilentNeighbours) {
    skip_announcements();
    TimeNs now = 10 * kSecond;
    host_.resolve(ip("10.77.0.2"), now);
    request(now);
    reply_to(peer_arp(true, "10.77.0.2", "10.77.0.1"), now);
    const TimeNs learnt = now;
    unsigned unicast = 0;
    for (; host_.resolve(ip("10.77.0.2"), now); now += 100 * kMillisecond) {
        ASSERT_LT(now, learnt + kSecond * 60) << "never given up";
        const ByteView frame = request(now);
        if (frame.empty()) continue;
        if (hear(frame, 0).ethernet_target == kPeerMac) ++unicast;
        EXPECT_GE(now, learnt + 30 * kSecond);
    }
    EXPECT_EQ(unicast, 3u);
    EXPECT_LE(now, learnt + 35 * kSecond);
    EXPECT_TRUE(host_.known(now).empty());
    reply_to(peer_arp(true, "10.77.0.2", "10.77.0.1", kOtherMac), now);
    EXPECT_EQ(host_.resolve(ip("10.77.0.2"), now), kOtherMac) << "its replacement is found";
}

// An address that nobody wants any more is not asked for for ever.
TEST_F(NeighboursTest, StopsAskingWhenNobodyWants) {
    skip_announcements();
    host_.resolve(ip("10.77.0.2"), 10 * kSecond);
    unsigned requests = 0;
    for (TimeNs now = 10 * kSecond; now < 300 * kSecond; now += 100 * kMillisecond)
        requests += !request(now).empty();
    EXPECT_GE(requests, 3u);
    EXPECT_LE(requests, 5u);
    EXPECT_EQ(host_.next_wake(), kNever);
}

// Strangers do not enter the table: neither by asking us nor by announcing themselves.
TEST_F(NeighboursTest, LearnsOnlyWhatItAskedFor) {
    reply_to(peer_arp(false, "10.77.0.2", "10.77.0.1"), 0);
    reply_to(peer_arp(true, "10.77.0.3", "10.77.0.1"), 0);
    EXPECT_TRUE(host_.known(0).empty());
}

// The table is bounded whatever is asked for.
TEST_F(NeighboursTest, TableIsBounded) {
    Neighbours wide(kOwnMac, {parse_prefix("10.0.0.1/8").value()}, {}, {}, 0);
    for (unsigned i = 2; i < 5000; ++i) {
        wire::IpAddress target;
        target.bytes = {10, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)};
        wide.resolve(target, i);
    }
    unsigned requests = 0;
    while (wide.next_request(6000, buffer_) != 0)
        ++requests;
    EXPECT_LE(requests, 1024u + 1u);
}

// Echo is answered byte for byte, for both families, to own addresses only.
TEST_F(NeighboursTest, AnswersEcho) {
    const auto request_v4 = [&](std::string_view target) {
        std::vector<std::uint8_t> frame(14 + 20 + 8 + 56);
        ByteWriter writer(frame);
        writer.bytes(kOwnMac);
        writer.bytes(kPeerMac);
        writer.u16(0x0800);
        writer.u8(0x45);
        writer.u8(0xb8);
        writer.u16(84);
        writer.u32(0x12344000);
        writer.u8(64);
        writer.u8(1);
        writer.u16(0);
        writer.bytes(ByteView(ip("10.77.0.2").bytes).first(4));
        writer.bytes(ByteView(ip(target).bytes).first(4));
        writer.u8(8);
        writer.u8(0);
        writer.u16(0);
        writer.u32(0xabcd0001);
        for (int i = 0; i < 56; ++i)
            writer.u8(static_cast<std::uint8_t>(i));
        ByteWriter(MutableByteView(frame).subspan(24))
            .u16(wire::internet_checksum(ByteView(frame).subspan(14, 20)));
        ByteWriter(MutableByteView(frame).subspan(36))
            .u16(wire::internet_checksum(ByteView(frame).subspan(34)));
        return frame;
    };
    const auto frame = request_v4("10.77.0.1");
    const ByteView answer = reply_to(frame, 0);
    ASSERT_EQ(answer.size(), frame.size());
    EXPECT_TRUE(std::equal(kPeerMac.begin(), kPeerMac.end(), answer.begin()));
    EXPECT_EQ(wire::internet_checksum(answer.subspan(14, 20)), 0);
    EXPECT_EQ(wire::internet_checksum(answer.subspan(34)), 0);
    EXPECT_EQ(answer[34], 0) << "echo reply";
    EXPECT_EQ(answer[15], 0xb8) << "the traffic class comes back";
    EXPECT_TRUE(std::equal(frame.begin() + 38, frame.end(), answer.begin() + 38));
    EXPECT_EQ(as_text(answer.subspan(26, 4)), as_text(ByteView(frame).subspan(30, 4)));
    EXPECT_TRUE(reply_to(request_v4("10.77.0.3"), 0).empty());
    auto broken = frame;
    broken.back() ^= 1;
    EXPECT_TRUE(reply_to(broken, 0).empty()) << "a wrong checksum is no request";
    auto fragment = frame;
    fragment[20] = 0x20;
    EXPECT_TRUE(reply_to(fragment, 0).empty());
    EXPECT_EQ(host_.counters().echo_replies, 1u);
}

// A flood of questions gets a bounded number of answers, counted as limited beyond it.
TEST_F(NeighboursTest, RepliesAreRateLimited) {
    const ByteView ask = peer_arp(false, "10.77.0.2", "10.77.0.1");
    unsigned answers = 0;
    for (int i = 0; i < 10'000; ++i)
        answers += !reply_to(ask, 1000).empty();
    EXPECT_EQ(answers, 100u);
    EXPECT_EQ(host_.counters().limited, 9'900u);
    EXPECT_FALSE(reply_to(ask, kSecond).empty()) << "and recovers";
}

// After the link came back the host announces itself and asks again for those it knew, keeping them usable.
TEST_F(NeighboursTest, AnnounceRefreshesEverything) {
    skip_announcements();
    const TimeNs now = 100 * kSecond;
    host_.resolve(ip("10.77.0.2"), now);
    request(now);
    reply_to(peer_arp(true, "10.77.0.2", "10.77.0.1"), now);
    EXPECT_TRUE(request(now + 2).empty());
    host_.announce(now + 2);
    unsigned announced = 0, confirmed = 0;
    for (ByteView frame = request(now + 2); !frame.empty(); frame = request(now + 2)) {
        const Heard heard = hear(frame, 0);
        announced += heard.sender == heard.target;
        confirmed += heard.target == ip("10.77.0.2");
    }
    EXPECT_EQ(announced, 2u);
    EXPECT_EQ(confirmed, 1u);
    EXPECT_EQ(host_.resolve(ip("10.77.0.2"), now + 2), kPeerMac);
}

// Addresses of ports as operators write them.
TEST(IpPrefix, ParsesAndRefuses) {
    EXPECT_EQ(parse_prefix("10.77.0.1/24").value().length, 24u);
    EXPECT_TRUE(parse_prefix("fd00::1/64").value().address.v6);
    for (const char* wrong : {"", "10.77.0.1", "10.77.0.1/", "10.77.0.1/33", "10.77.0.1/0", "10.77.0.1/24x",
                              "fd00::1/129", "x/24"}) {
        const auto result = parse_prefix(wrong);
        ASSERT_FALSE(result.ok()) << wrong;
        EXPECT_NE(result.error().text.find("10.77.0.1/24"), std::string::npos);
    }
}

}  // namespace
}  // namespace longhaul::nic
