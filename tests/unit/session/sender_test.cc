// The sender alone: what it reads, what it sends in which order, how it answers feedback.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/sender.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "tests/unit/session/fixture.h"

namespace longhaul::session {
namespace {

using testing::head_for;
using testing::Pool;
using testing::small_parameters;
using testing::trailer_for;
using wire::Section;

class SenderTest : public ::testing::Test {
  protected:
    SenderTest() : memory(small_parameters(), 64) { make({}); }

    void make(SenderConfig config) {
        sender.reset();
        config.parameters = small_parameters();
        congestion::ReservedConfig control;
        control.cap_bps = 1'000'000'000;
        sender =
            std::make_unique<Sender>(config, codec, memory.pool, congestion::make_reserved(control), now);
        while (sender->next_ping(now)) {
        }
    }
    std::uint32_t offer(std::uint64_t payload_bytes, std::uint64_t id = 1) {
        BundleOffer bundle;
        bundle.id = {9, id};
        bundle.generation = 1;
        bundle.head = head_for(payload_bytes, id);
        bundle.payload_bytes = payload_bytes;
        const auto handle = sender->offer(std::move(bundle), now);
        EXPECT_TRUE(handle);
        return *handle;
    }
    void read_all() {
        while (const auto read = sender->next_read(now)) {
            std::fill_n(read->into, read->bytes, std::uint8_t{7});
            sender->read_done(read->block, now);
        }
    }
    void give_trailers() {
        while (const auto handle = sender->next_trailer_wanted())
            sender->trailer(*handle, trailer_for(*handle), now);
    }
    // Everything that leaves within `duration`, headers only.
    std::vector<wire::Header> send(TimeNs duration = 50 * kMillisecond) {
        std::vector<wire::Header> sent;
        for (const TimeNs end = now + duration; now < end; now += 10 * kMicrosecond) {
            read_all();
            give_trailers();
            while (const auto packet = sender->next_packet(now)) {
                EXPECT_EQ(packet->payload_bytes, 1024u);
                sent.push_back(packet->header);
            }
        }
        return sent;
    }
    wire::Feedback feedback(std::uint64_t complete_below, std::uint64_t limit = 1000) {
        wire::Feedback message;
        message.sequence = ++sequence;
        message.complete_below = complete_below;
        message.stripe_limit = limit;
        return message;
    }
    wire::BundleStatus status(std::uint32_t bundle, wire::Stage stage) {
        wire::BundleStatus s;
        s.bundle = bundle;
        s.stage = stage;
        return s;
    }

    TimeNs now = kSecond;
    fec::Codec codec;
    Pool memory;
    std::unique_ptr<Sender> sender;
    std::uint32_t sequence = 0;
};

// A bundle leaves as head, payload, trailer on consecutive stripes; only the very first is flagged first.
TEST_F(SenderTest, CutsABundleIntoSections) {
    offer(6000);
    const auto sent = send();
    std::map<std::uint64_t, std::pair<Section, unsigned>> stripes;
    for (const auto& header : sent) {
        stripes[header.stripe] = {header.section(), header.data_symbols};
        EXPECT_EQ((header.flags & wire::Flags::first) != 0, header.stripe == 0);
        EXPECT_EQ(header.bundle, 1u);
    }
    const std::map<std::uint64_t, std::pair<Section, unsigned>> expected{{0, {Section::head, 1}},
                                                                         {1, {Section::payload, 4}},
                                                                         {2, {Section::payload, 2}},
                                                                         {3, {Section::trailer, 1}}};
    EXPECT_EQ(stripes, expected);
}

// All payloads of a batch hold what their headers say until the next call, also where repair rows wrap from 127 to 0
// and take places that the batch has handed out already.
TEST_F(SenderTest, BatchedPayloadsStayValidTogether) {
    offer(6000);
    send();
    const std::vector<std::uint8_t> data(4 * 1024, 7);  // stripe 1, as read_all fills it
    std::set<unsigned> rows;
    std::vector<std::uint8_t> row(1024);
    for (std::uint8_t epoch = 1; epoch < 60; ++epoch) {
        now += kSecond;
        wire::Feedback message = feedback(1);
        message.nacks.push_back({1, 4, epoch, {}});
        sender->on_feedback(message, now);
        for (unsigned calls = 0; calls < 8; ++calls, now += kMillisecond) {
            std::array<PacketOut, 32> packets;
            const std::size_t count = sender->next_packets(now, packets);
            for (std::size_t i = 0; i < count; ++i) {
                ASSERT_EQ(packets[i].header.stripe, 1u);
                ASSERT_GE(packets[i].header.symbol, 128u);
                rows.insert(packets[i].header.symbol - 128u);
                codec.encode(data.data(), 4, 1024, packets[i].header.symbol - 128u, 1, row.data());
                ASSERT_TRUE(std::equal(row.begin(), row.end(), packets[i].payload))
                    << "row " << packets[i].header.symbol - 128 << " of a batch of " << count;
            }
        }
    }
    EXPECT_EQ(rows.size(), 128u);  // it wrapped
}

// Before the first feedback eight stripes may leave, then what the receiver grants.
TEST_F(SenderTest, StaysInsideCredit) {
    offer(40 * 4096);
    std::set<std::uint64_t> stripes;
    for (const auto& header : send())
        stripes.insert(header.stripe);
    EXPECT_EQ(stripes.size(), 8u);
    sender->on_feedback(feedback(8, 20), now);
    for (const auto& header : send())
        stripes.insert(header.stripe);
    EXPECT_EQ(stripes.size(), 20u);
    sender->on_feedback(feedback(8, 12), now);  // credit never goes back
    sender->on_feedback(feedback(20, 21), now);
    for (const auto& header : send())
        stripes.insert(header.stripe);
    EXPECT_EQ(stripes.size(), 21u);
}

// Blocks are kept until complete, and reads stop short of the reserve.
TEST_F(SenderTest, KeepsBlocksUntilComplete) {
    offer(200 * 4096);
    sender->on_feedback(feedback(0, 1000), now);
    send();
    EXPECT_LE(memory.pool.free_count(), 2u);
    const std::uint64_t sent = sender->stats().stripes_sent;
    EXPECT_EQ(send().size(), 0u) << "no memory, no packets";
    sender->on_feedback(feedback(sent, 1000), now);
    EXPECT_GT(memory.pool.free_count(), 40u);
    EXPECT_GT(send().size(), 0u);
}

// A request is answered with rows never sent before, flagged again, before any fresh stripe; the same epoch
// only once.
TEST_F(SenderTest, RepairsComeFirstAndOnce) {
    offer(100 * 4096);
    sender->on_feedback(feedback(0, 10), now);
    std::set<unsigned> rows;
    for (const auto& header : send())
        if (header.stripe == 3 && header.symbol >= 128) rows.insert(header.symbol);
    auto message = feedback(0, 20);
    wire::Nack nack;
    nack.stripe = 3;
    nack.need = 1;
    nack.epoch = 1;
    nack.have = {0b0111, 0};
    message.nacks = {nack};
    sender->on_feedback(message, now);
    const auto sent = send();
    ASSERT_FALSE(sent.empty());
    EXPECT_EQ(sent[0].stripe, 3u);
    EXPECT_GE(sent[0].symbol, 128);
    EXPECT_EQ(rows.count(sent[0].symbol), 0u);
    EXPECT_TRUE(sent[0].flags & wire::Flags::again);
    sender->on_feedback(message, now);
    for (const auto& header : send())
        EXPECT_NE(header.stripe, 3u);
}

// Requests for stripes that are complete, never sent, or still in their first pass change nothing.
TEST_F(SenderTest, SenselessRequestsAreIgnored) {
    offer(4096);
    send();
    auto message = feedback(2, 10);
    for (const std::uint64_t stripe : {0u, 1u, 999u}) {
        wire::Nack nack;
        nack.stripe = stripe;
        nack.need = 200;
        nack.epoch = 1;
        message.nacks.push_back(nack);
    }
    sender->on_feedback(message, now);
    EXPECT_EQ(send().size(), 0u);
    message = feedback(~std::uint64_t{0}, ~std::uint64_t{0});  // complete beyond what was sent
    sender->on_feedback(message, now);
    EXPECT_EQ(sender->stats().stripes_complete, 3u);
}

// Stages come once each and in order, also when the words before the last were lost.
TEST_F(SenderTest, StagesOnceAndInOrder) {
    const std::uint32_t handle = offer(4096);
    send();
    auto message = feedback(3);
    message.bundles = {status(handle, wire::Stage::durable)};
    sender->on_feedback(message, now);
    sender->on_feedback(message, now);
    message.bundles = {status(handle, wire::Stage::published), status(handle, wire::Stage::durable)};
    sender->on_feedback(message, now);
    std::vector<wire::Stage> stages;
    while (const auto result = sender->next_result()) {
        EXPECT_EQ(result->bundle, handle);
        stages.push_back(result->status.stage);
    }
    const std::vector<wire::Stage> expected{wire::Stage::complete, wire::Stage::durable,
                                            wire::Stage::published};
    EXPECT_EQ(stages, expected);
    EXPECT_EQ(sender->stats().bundles_open, 0u);
}

// Cancelled before anything of it left: failed at once, nothing is sent, its blocks come home when the reads
// end.
TEST_F(SenderTest, CancelBeforeTheStart) {
    offer(4 * 4096, 1);
    const auto read = sender->next_read(now);
    ASSERT_TRUE(read);
    sender->cancel({9, 1}, now);
    const auto result = sender->next_result();
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status.reason, wire::FailReason::cancelled);
    sender->read_done(read->block, now);
    EXPECT_EQ(memory.pool.free_count(), memory.pool.total());
    EXPECT_EQ(send().size(), 0u);
    EXPECT_EQ(sender->stats().bundles_open, 0u);
}

// Cancelled on its way: payload stops, a trailer full of `cancelled` follows at the next stripe number.
TEST_F(SenderTest, CancelOnTheWay) {
    offer(100 * 4096);
    sender->on_feedback(feedback(0, 8), now);
    send();
    sender->cancel({9, 1}, now);
    sender->on_feedback(feedback(0, 100), now);
    std::vector<wire::Header> sent;
    std::vector<std::uint8_t> trailer;
    for (unsigned i = 0; i < 5000; ++i, now += 10 * kMicrosecond)
        while (const auto packet = sender->next_packet(now)) {
            if (packet->header.symbol == 0) trailer.assign(packet->payload, packet->payload + 1024);
            sent.push_back(packet->header);
        }
    ASSERT_FALSE(sent.empty());
    for (const auto& header : sent) {
        EXPECT_EQ(header.stripe, 8u);
        EXPECT_EQ(header.section(), Section::trailer);
    }
    const auto bytes = wire::parse_trailer_bytes({trailer.data(), trailer.size()});
    ASSERT_TRUE(bytes.ok());
    const auto parsed = wire::parse_trailer({trailer.data(), bytes.value()});
    ASSERT_TRUE(parsed.ok());
    ASSERT_EQ(parsed.value().verdicts.size(), 1u);
    EXPECT_EQ(parsed.value().verdicts[0].reason, wire::FailReason::cancelled);
    EXPECT_FALSE(sender->next_trailer_wanted());
}

// A bundle that fails at the target is not sent to its end.
TEST_F(SenderTest, FailureAtTheTargetStopsTheRest) {
    const std::uint32_t handle = offer(100 * 4096);
    sender->on_feedback(feedback(0, 8), now);
    send();
    auto message = feedback(8, 100);
    message.bundles = {status(handle, wire::Stage::failed)};
    message.bundles[0].reason = wire::FailReason::target_no_space;
    sender->on_feedback(message, now);
    for (const auto& header : send())
        EXPECT_EQ(header.section(), Section::trailer);
    EXPECT_EQ(sender->next_result()->status.reason, wire::FailReason::target_no_space);
    sender->on_feedback(feedback(9, 100), now);
    EXPECT_EQ(sender->stats().bundles_open, 0u);
    EXPECT_EQ(memory.pool.free_count(), memory.pool.total());
}

// Many more bundles than may be open: the surplus is refused, and accepted when others have settled.
TEST_F(SenderTest, OpenBundlesAreBounded) {
    SenderConfig config;
    config.bundles_open_max = 3;
    make(config);
    for (unsigned i = 1; i <= 3; ++i)
        offer(0, i);
    BundleOffer surplus;
    surplus.head = head_for(0);
    EXPECT_FALSE(sender->offer(surplus, now));
    send();
    auto message = feedback(6);
    message.bundles = {status(1, wire::Stage::published)};
    sender->on_feedback(message, now);
    while (sender->next_result()) {
    }
    EXPECT_TRUE(sender->offer(surplus, now));
}

// After a silence that no round trip explains all lanes are pinged, ever less often; then the sender says it
// is silent.
TEST_F(SenderTest, SilenceIsProbedWithBackOff) {
    offer(4096);
    send();
    std::vector<TimeNs> probes;
    for (const TimeNs end = now + 5 * kSecond; now < end; now += kMillisecond) {
        unsigned urgent = 0;
        while (const auto ping = sender->next_ping(now))
            urgent += (ping->header.flags & wire::Flags::ack_now) != 0;
        if (urgent >= 2) probes.push_back(now);
    }
    ASSERT_GE(probes.size(), 3u);
    EXPECT_GT(probes[2] - probes[1], (probes[1] - probes[0]) * 3 / 2);
    EXPECT_TRUE(sender->silent(now));
    sender->on_feedback(feedback(0), now);
    EXPECT_FALSE(sender->silent(now));
}

// Pings echo the newest send time seen from the peer, so that its receiver learns the round trip.
TEST_F(SenderTest, PingsEchoThePeersClock) {
    wire::Header header;
    header.lane = 0;
    header.tx_time_us = 12345;
    sender->on_authentic(header, now);
    header.tx_time_us = 12000;  // overtaken on the way
    sender->on_authentic(header, now);
    now += 2 * kSecond;
    for (unsigned i = 0; i < 2; ++i) {
        now += kSecond;
        const auto packet = sender->next_ping(now);
        ASSERT_TRUE(packet);
        wire::Ping ping;
        ASSERT_EQ(wire::parse_ping({packet->payload, packet->payload_bytes}, ping), wire::DropReason::none);
        if (packet->header.lane == 0) {
            EXPECT_EQ(ping.echo_tx_time_us, 12345u);
            EXPECT_GE(ping.hold_us, 3'000'000u);
        } else {
            EXPECT_EQ(ping.hold_us, ~std::uint32_t{0});
        }
    }
}

// With nothing to do only the next ping wakes the worker; with something to send it is the pacer.
TEST_F(SenderTest, WakesExactlyWhenSomethingIsDue) {
    EXPECT_EQ(sender->next_wake(now), now + 20 * kMillisecond);
    offer(40 * 4096);
    EXPECT_EQ(sender->next_wake(now), now);  // the head may leave
    sender->on_feedback(feedback(0, 1000), now);
    read_all();
    while (sender->next_packet(now)) {
    }
    const TimeNs wake = sender->next_wake(now);
    ASSERT_GT(wake, now);
    EXPECT_FALSE(sender->next_packet(wake - 1));
    EXPECT_TRUE(sender->next_packet(wake));
}

// A stripe that completes before its parity has left needs none.
TEST_F(SenderTest, CompletionEndsTheFirstPass) {
    SenderConfig config;
    config.fixed_parity = 4;
    make(config);
    offer(4 * 4096);
    read_all();
    std::optional<PacketOut> packet;
    while (!(packet = sender->next_packet(now)) || packet->header.symbol != 128)
        now += 10 * kMicrosecond;
    sender->on_feedback(feedback(packet->header.stripe + 1), now);
    const std::uint64_t done = packet->header.stripe;
    for (const auto& header : send())
        EXPECT_GT(header.stripe, done);
}

// A stripe that is short holds up its own block only: those decoded behind it are freed, and need no repair any more.
TEST_F(SenderTest, FreesWhatIsDecodedBehindAGap) {
    offer(200 * 4096);
    sender->on_feedback(feedback(0, 1000), now);
    send();
    ASSERT_EQ(send().size(), 0u) << "no memory, no packets";
    wire::Feedback gap = feedback(0, 1000);
    gap.decoded_from = 0;
    gap.decoded = {(std::uint64_t{1} << 50) - 2};  // all of the first fifty but stripe 0
    gap.nacks = {{0, 1, 1, {}}, {7, 1, 1, {}}};
    sender->on_feedback(gap, now);
    EXPECT_EQ(sender->stats().stripes_complete, 49u);
    EXPECT_EQ(sender->stats().nacks, 1u);
    std::set<std::uint64_t> again, fresh;
    for (const auto& header : send())
        ((header.flags & wire::Flags::again) != 0 ? again : fresh).insert(header.stripe);
    EXPECT_EQ(again, std::set<std::uint64_t>{0});
    EXPECT_GE(fresh.size(), 40u);
    // Told again, also with bits beyond what was sent, it changes nothing.
    gap.sequence = ++sequence;
    gap.decoded.push_back(~std::uint64_t{0});
    gap.nacks.clear();
    const std::uint64_t complete = sender->stats().stripes_complete;
    gap.decoded_from = std::uint64_t{1} << 40;
    sender->on_feedback(gap, now);
    EXPECT_EQ(sender->stats().stripes_complete, complete);
}

// Where losses come in bursts stripes take turns, inside a quarter of the pool; the ping names the lowest of them,
// because all below have been sent. A contract's rows stay what they are.
TEST_F(SenderTest, StripesTakeTurnsWhenBurstsAreKnown) {
    for (const auto& fixed : {std::optional<unsigned>{}, std::optional<unsigned>{3}}) {
        SenderConfig config;
        config.goal = fec::Goal::latency;
        config.fixed_parity = fixed;
        make(config);
        sequence = 0;
        wire::LaneReport lane;
        wire::Feedback message = feedback(0);
        for (unsigned i = 1; i <= 80; ++i) {
            lane.largest_packet_number = i * 10'000 - 1;
            lane.packets = i * 9'900;  // 1 % lost
            lane.bytes = lane.packets * 1072;
            lane.echo_tx_time_us = wire_clock_us(now + 40 * kMillisecond);  // a round trip of 10 ms
            message = feedback(0, 1000);
            message.lanes = {lane};
            message.loss_events = i * 12;
            sender->on_feedback(message, now += 50 * kMillisecond);
        }
        EXPECT_NEAR(sender->stats().loss_burst, 100.0 / 12, 1);
        EXPECT_EQ(sender->stats().interleave_depth, 64u);
        offer(40 * 4096, fixed ? 2 : 1);
        const auto sent = send(100 * kMicrosecond);
        std::set<std::uint64_t> before_the_second_symbol;
        for (const auto& header : sent) {
            if (header.stripe == 1 && header.symbol == 1) break;
            before_the_second_symbol.insert(header.stripe);
        }
        EXPECT_GE(before_the_second_symbol.size(), 8u);
        EXPECT_LE(before_the_second_symbol.size(), 33u);
        const auto rest = send();
        std::map<std::uint64_t, unsigned> rows;
        for (const auto* part : {&sent, &rest})
            for (const auto& header : *part)
                rows[header.stripe] += header.symbol >= 128 ? 1 : 0;
        for (const auto& [stripe, count] : rows) {
            if (fixed)
                EXPECT_EQ(count, 3u) << stripe;
            else
                EXPECT_GE(count, 2u) << stripe;
        }
    }
}

// Another congestion mode takes over at the rate of the one before, and counts its brakes on; the same one again
// changes nothing.
TEST_F(SenderTest, CongestionModeChangesLive) {
    const std::uint64_t before = sender->stats().rate_bps;
    for (const congestion::Mode mode : {congestion::Mode::shared, congestion::Mode::scavenger,
                                        congestion::Mode::delay, congestion::Mode::reserved}) {
        sender->set_mode(mode, 1'000'000'000);
        EXPECT_EQ(sender->stats().congestion.mode, mode);
        EXPECT_NEAR(static_cast<double>(sender->stats().rate_bps), static_cast<double>(before), 0.03e9);
        EXPECT_GT(sender->stats().inflight_cap_bytes, 0u);
        const auto rate = sender->stats().rate_bps;
        sender->set_mode(mode, 500'000'000);
        EXPECT_EQ(sender->stats().rate_bps, rate);
    }
    EXPECT_EQ(sender->stats().brakes, 0u);
    offer(64 << 10);
    EXPECT_FALSE(send().empty());
}

}  // namespace
}  // namespace longhaul::session
