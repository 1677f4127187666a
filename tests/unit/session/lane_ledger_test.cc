// The sender's books: flight by echo, loss by gaps that persist, lanes that fall behind.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/lane_ledger.h"

#include <gtest/gtest.h>

namespace longhaul::session {
namespace {

constexpr TimeNs kPatience = 2 * kMillisecond;
constexpr std::uint32_t kBytes = 1500;

wire::LaneReport report(unsigned lane, std::uint64_t largest, std::uint64_t packets, std::uint32_t echo_us) {
    wire::LaneReport r;
    r.lane = static_cast<std::uint8_t>(lane);
    r.largest_packet_number = largest;
    r.packets = packets;
    r.bytes = packets * 1454;
    r.echo_tx_time_us = echo_us;
    return r;
}

// Everything sent no later than the echoed time has left the flight, whether it arrived or was lost.
TEST(LaneLedger, EchoEmptiesTheFlight) {
    LaneLedger ledger(1, 46);
    for (std::uint32_t i = 0; i < 10; ++i)
        ledger.sent(0, 1000 + i * 1000, kBytes);
    EXPECT_EQ(ledger.inflight_bytes(), 10u * kBytes);
    ledger.report(report(0, 4, 4, 5000), kSecond, kPatience);
    EXPECT_EQ(ledger.inflight_bytes(), 5u * kBytes);
    ledger.report(report(0, 9, 9, 10000), kSecond, kPatience);
    EXPECT_EQ(ledger.inflight_bytes(), 0u);
}

// The wire clock wraps every 71 minutes; flight and echo do not notice.
TEST(LaneLedger, SurvivesTheWrapOfTheWireClock) {
    LaneLedger ledger(1, 46);
    ledger.sent(0, 0xffff'fff0, kBytes);
    ledger.sent(0, 0x0000'0200, kBytes);
    ledger.report(report(0, 0, 1, 0xffff'fff0), kSecond, kPatience);
    EXPECT_EQ(ledger.inflight_bytes(), kBytes);
    ledger.report(report(0, 1, 2, 0x0000'0200), kSecond, kPatience);
    EXPECT_EQ(ledger.inflight_bytes(), 0u);
}

// A gap that closes within the patience was reordering; one that stays is loss, counted once.
TEST(LaneLedger, OnlyPersistentGapsAreLoss) {
    LaneLedger ledger(1, 46);
    TimeNs now = kSecond;
    std::uint64_t lost = ledger.report(report(0, 9, 8, 1000), now, kPatience).lost_packets;
    lost += ledger.report(report(0, 10, 11, 1100), now += kMillisecond, kPatience)
                .lost_packets;  // both turned up
    lost += ledger.report(report(0, 20, 21, 1200), now += 2 * kMillisecond, kPatience).lost_packets;
    EXPECT_EQ(lost, 0u);
    for (unsigned i = 0; i < 10; ++i)
        lost +=
            ledger.report(report(0, 30 + i, 28 + i, 1300 + i), now += kMillisecond, kPatience).lost_packets;
    EXPECT_EQ(lost, 3u);
}

// Reports out of order or repeated teach nothing: no delivery is counted twice.
TEST(LaneLedger, OldReportsTeachNothing) {
    LaneLedger ledger(1, 46);
    EXPECT_EQ(ledger.report(report(0, 9, 10, 1000), kSecond, kPatience).delivered_packets, 10u);
    EXPECT_EQ(ledger.report(report(0, 9, 10, 1000), kSecond, kPatience).delivered_packets, 0u);
    const auto old = ledger.report(report(0, 5, 6, 500), kSecond, kPatience);
    EXPECT_EQ(old.delivered_packets, 0u);
    EXPECT_FALSE(old.progressed);
}

// A lane that stays behind while the others move goes down, gives its flight back, is passed over, and
// returns.
TEST(LaneLedger, DeadLaneIsPassedOver) {
    LaneLedger ledger(3, 46);
    TimeNs now = kSecond;
    for (unsigned i = 0; i < 400; ++i) {
        now += kMillisecond;
        for (unsigned lane = 0; lane < 3; ++lane) {
            if (ledger.down(lane)) continue;
            ledger.sent(lane, wire_clock_us(now), kBytes);
            if (lane != 1) ledger.report(report(lane, i, i + 1, wire_clock_us(now)), now, kPatience);
        }
        ledger.judge(now, 20 * kMillisecond);
    }
    EXPECT_TRUE(ledger.down(1));
    EXPECT_EQ(ledger.inflight_bytes(), 0u);
    for (unsigned i = 0; i < 9; ++i)
        EXPECT_NE(ledger.next_lane(false), 1u);

    const auto lesson = ledger.report(report(1, 500, 1, wire_clock_us(now)), now, kPatience);
    EXPECT_TRUE(lesson.progressed);
    EXPECT_TRUE(lesson.excused);
    EXPECT_FALSE(ledger.down(1));
}

// With every lane down packets still go somewhere: only traffic can find out that a lane is back.
TEST(LaneLedger, SomeLaneIsAlwaysChosen) {
    LaneLedger ledger(1, 46);
    for (unsigned i = 0; i < 5; ++i)
        EXPECT_EQ(ledger.next_lane(true), 0u);
}

// The ring of flight records is bounded: a flight longer than it joins records and still adds up.
TEST(LaneLedger, FlightLongerThanTheRingStillAddsUp) {
    LaneLedger ledger(1, 46);
    constexpr std::uint32_t kPackets = 10000;
    for (std::uint32_t i = 0; i < kPackets; ++i)
        ledger.sent(0, i * 1000, kBytes);
    EXPECT_EQ(ledger.inflight_bytes(), std::uint64_t{kPackets} * kBytes);
    ledger.report(report(0, kPackets - 1, kPackets, (kPackets - 1) * 1000), kSecond, kPatience);
    EXPECT_EQ(ledger.inflight_bytes(), 0u);
}

// A lane that loses clearly more than the others carries fresh packets on, but no repairs; a loss that all lanes have
// in common keeps none away.
TEST(LaneLedger, RepairsAvoidALaneThatLosesMore) {
    for (const bool common : {false, true}) {
        LaneLedger ledger(4, 46);
        TimeNs now = kSecond;
        for (std::uint64_t i = 1; i <= 40; ++i) {
            now += 5 * kMillisecond;
            for (unsigned lane = 0; lane < 4; ++lane) {
                const bool loses = common || lane == 2;
                ledger.report(report(lane, i * 1000, i * (loses ? 800 : 999), wire_clock_us(now)), now,
                              kPatience);
            }
            ledger.judge(now, 10 * kMillisecond);
        }
        unsigned fresh = 0, repairs = 0;
        for (unsigned i = 0; i < 40; ++i)
            fresh += ledger.next_lane(false) == 2 ? 1 : 0;
        for (unsigned i = 0; i < 40; ++i)
            repairs += ledger.next_lane(true) == 2 ? 1 : 0;
        EXPECT_GT(fresh, 0u);
        EXPECT_EQ(repairs > 0, common);
    }
}

}  // namespace
}  // namespace longhaul::session
