// The sender's books: flight by echo, loss by gaps that persist, lanes that fall behind.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/lane_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

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

// Packets of one stripe that goes on for ever.
class EndlessStripe {
  public:
    unsigned next_lane(LaneLedger& ledger) { return ledger.next_lane(turn_); }

  private:
    std::uint8_t turn_ = 0;
};

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
    EndlessStripe stripe;
    for (unsigned i = 0; i < 9; ++i)
        EXPECT_NE(stripe.next_lane(ledger), 1u);

    const auto lesson = ledger.report(report(1, 500, 1, wire_clock_us(now)), now, kPatience);
    EXPECT_TRUE(lesson.progressed);
    EXPECT_TRUE(lesson.excused);
    EXPECT_FALSE(ledger.down(1));
}

// With every lane down packets still go somewhere: only traffic can find out that a lane is back.
TEST(LaneLedger, SomeLaneIsAlwaysChosen) {
    LaneLedger ledger(1, 46);
    for (unsigned i = 0; i < 5; ++i)
        EXPECT_EQ(ledger.repair_lane(), 0u);
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
        EndlessStripe stripe;
        unsigned fresh = 0, repairs = 0;
        for (unsigned i = 0; i < 200; ++i)
            fresh += stripe.next_lane(ledger) == 2 ? 1 : 0;
        for (unsigned i = 0; i < 40; ++i)
            repairs += ledger.repair_lane() == 2 ? 1 : 0;
        EXPECT_GT(fresh, 0u);
        EXPECT_EQ(repairs > 0, common);
    }
}

// The symbols of a stripe are spread evenly, however many stripes take turns, and so are all of them together: no lane
// carries more of one stripe than m rows outlast. Lanes that are down leave their part to all the others.
TEST(LaneLedger, SpreadsEachStripeEvenly) {
    constexpr unsigned kSymbols = 70;
    for (const unsigned lanes : {2u, 8u, 12u, 32u}) {
        for (const unsigned depth : {1u, 8u, 32u}) {
            LaneLedger ledger(lanes, 46);
            std::vector<unsigned> all(lanes);
            for (unsigned group = 0; group < 4; ++group) {
                std::vector<std::vector<unsigned>> of_stripe(depth, std::vector<unsigned>(lanes));
                std::vector<std::uint8_t> turns;
                for (unsigned stripe = 0; stripe < depth; ++stripe)
                    turns.push_back(ledger.begin_stripe(kSymbols));
                for (unsigned symbol = 0; symbol < kSymbols; ++symbol) {
                    for (unsigned stripe = 0; stripe < depth; ++stripe) {
                        const unsigned lane = ledger.next_lane(turns[stripe]);
                        ++of_stripe[stripe][lane];
                        ++all[lane];
                    }
                }
                for (const auto& counts : of_stripe)
                    EXPECT_LE(*std::max_element(counts.begin(), counts.end()),
                              (kSymbols + lanes - 1) / lanes);
            }
            const auto [least, most] = std::minmax_element(all.begin(), all.end());
            EXPECT_LE(*most - *least, 1u) << lanes << " lanes, " << depth << " stripes in turn";
        }
    }
}

// Eight of 32 lanes lose 30 %, and go on doing so until the last step. The lanes take their turns by next_lane.
struct Bundle32 {
    LaneLedger ledger{32, 46};
    EndlessStripe stripe;
    TimeNs now = kSecond;
    std::array<std::uint64_t, 32> sent{}, arrived{};
    static constexpr TimeNs kRtt = 10 * kMillisecond;

    void run(unsigned steps, unsigned bad, unsigned lost_of_ten) {
        for (unsigned i = 0; i < steps; ++i) {
            now += 5 * kMillisecond;
            for (unsigned packet = 0; packet < 1600; ++packet) {
                const unsigned lane = stripe.next_lane(ledger);
                ledger.sent(lane, wire_clock_us(now), kBytes);
                if (lane >= bad || sent[lane] % 10 >= lost_of_ten) ++arrived[lane];
                ++sent[lane];
            }
            for (unsigned lane = 0; lane < 32; ++lane)
                ledger.report(report(lane, sent[lane] - 1, arrived[lane], wire_clock_us(now)), now,
                              kPatience);
            ledger.judge(now, kRtt);
        }
    }
    std::uint64_t sent_by(unsigned from, unsigned to) const {
        std::uint64_t sum = 0;
        for (unsigned lane = from; lane < to; ++lane)
            sum += sent[lane];
        return sum;
    }
};

// A lane that loses carries less and less, down to a sixteenth; the others take over. When it is well it comes back.
TEST(LaneLedger, ALossyLaneCarriesLess) {
    Bundle32 lanes;
    lanes.run(400, 8, 3);
    const std::uint64_t bad = lanes.sent_by(0, 8), all = lanes.sent_by(0, 32);
    lanes.run(100, 8, 3);
    const double share =
        static_cast<double>(lanes.sent_by(0, 8) - bad) / static_cast<double>(lanes.sent_by(0, 32) - all);
    EXPECT_LT(share, 0.03);  // 0.25 when even
    EXPECT_GT(share, 0.01);
    EXPECT_EQ(lanes.ledger.figures(3).state, LaneFigures::State::lossy);
    EXPECT_EQ(lanes.ledger.figures(20).weight, 1);
    lanes.run(2000, 8, 0);
    EXPECT_EQ(lanes.ledger.figures(3).weight, 1);
    EXPECT_EQ(lanes.ledger.figures(3).state, LaneFigures::State::up);
}

// Lossy lanes ask for another way after a while, each once, then ever more seldom; lanes that are well never do.
TEST(LaneLedger, ALossyLaneAsksForAnotherWay) {
    Bundle32 lanes;
    lanes.run(40, 8, 3);
    EXPECT_FALSE(lanes.ledger.next_rehash(lanes.now, Bundle32::kRtt)) << "chance is given its time";
    std::vector<TimeNs> asked;
    for (unsigned i = 0; i < 6000; ++i) {
        lanes.run(1, 1, 3);
        while (const auto lane = lanes.ledger.next_rehash(lanes.now, Bundle32::kRtt)) {
            if (*lane == 0) asked.push_back(lanes.now);
            EXPECT_LT(*lane, 8u);
            lanes.ledger.rehashed(*lane, lanes.now, 2 * Bundle32::kRtt);
        }
    }
    ASSERT_GE(asked.size(), 3u);
    EXPECT_LE(asked.size(), 6u) << "30 s";
    EXPECT_GT(asked.back() - asked[asked.size() - 2], 2 * (asked[1] - asked[0]));
    EXPECT_EQ(lanes.ledger.figures(0).rehashes, asked.size());
}

// A loss that all have in common makes nobody look for another way.
TEST(LaneLedger, ACommonLossIsNoLanesFault) {
    Bundle32 lanes;
    lanes.run(1000, 32, 2);
    EXPECT_FALSE(lanes.ledger.next_rehash(lanes.now, Bundle32::kRtt));
    EXPECT_EQ(lanes.ledger.figures(5).weight, 1);
}

}  // namespace
}  // namespace longhaul::session
