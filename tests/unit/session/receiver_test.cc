// The receiver alone: packets in by hand, what it asks for, what it hands out, what it tells.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/receiver.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "tests/unit/session/fixture.h"

namespace longhaul::session {
namespace {

using testing::head_for;
using testing::Pool;
using testing::small_parameters;
using testing::symbol_header;
using testing::trailer_for;
using wire::DropReason;
using wire::Section;

class ReceiverTest : public ::testing::Test {
  protected:
    ReceiverTest() : memory(small_parameters(), 16) {
        ReceiverConfig config;
        config.parameters = small_parameters();
        config.stripes_open_max = 16;
        receiver = std::make_unique<Receiver>(config, codec, memory.pool, now);
    }

    DropReason arrive(wire::Header header, const std::uint8_t* bytes, bool authentic = true) {
        header.packet_number = number++;
        header.tx_time_us = wire_clock_us(now);
        const Ticket ticket = receiver->admit(header, 1024, now);
        if (ticket.drop == DropReason::none) {
            std::memcpy(ticket.into, bytes, 1024);
            receiver->settle(header, ticket, authentic, now);
        }
        if (authentic) receiver->on_authentic(header, 1024 + 48, now);
        return ticket.drop;
    }
    // All symbols of a stripe with `bytes`, except those whose bit is set in `lost`.
    void stripe(std::uint64_t index, Section section, std::vector<std::uint8_t> bytes, bool first = false,
                unsigned lost = 0) {
        const unsigned k = static_cast<unsigned>((bytes.size() + 1023) / 1024);
        bytes.resize(k * 1024);
        for (unsigned i = 0; i < k; ++i)
            if ((lost >> i & 1) == 0)
                arrive(symbol_header(index, i, k, section, first), bytes.data() + i * 1024);
    }
    void ping(std::uint64_t next_stripe, std::uint32_t settled_below = 1) {
        wire::Ping message;
        message.next_stripe = next_stripe;
        message.settled_below = settled_below;
        receiver->on_ping(0, message, now);
    }
    // The next feedback within `patience`, moving the clock as a worker would.
    std::optional<wire::Feedback> feedback(TimeNs patience = kSecond) {
        const TimeNs end = now + patience;
        for (;;) {
            if (const auto lane = receiver->next_feedback(now, message_bytes)) {
                EXPECT_LT(*lane, 2);
                wire::Feedback message;
                EXPECT_EQ(wire::parse_feedback({message_bytes.data(), message_bytes.size()}, message),
                          DropReason::none);
                return message;
            }
            const TimeNs wake = receiver->next_wake(now);
            EXPECT_GT(wake, now);
            if (wake > end) return std::nullopt;
            now = wake;
        }
    }
    std::vector<std::uint8_t> payload(std::size_t size) {
        std::vector<std::uint8_t> all(size);
        for (std::size_t i = 0; i < size; ++i)
            all[i] = static_cast<std::uint8_t>(i * 31 + i / 1000);
        return all;
    }
    void write_all(std::vector<std::uint8_t>& target) {
        while (const auto write = receiver->next_write()) {
            ASSERT_LE(write->payload_offset + write->bytes, target.size());
            std::memcpy(target.data() + write->payload_offset, write->from, write->bytes);
            receiver->write_done(write->block, now);
        }
    }

    TimeNs now = kSecond;
    fec::Codec codec;
    Pool memory;
    std::unique_ptr<Receiver> receiver;
    std::uint64_t number = 0;
    std::vector<std::uint8_t> message_bytes;
};

// Head, two payload stripes, trailer: each handed out once, in the right order, with the right bytes.
TEST_F(ReceiverTest, DeliversABundle) {
    const auto data = payload(6000);
    stripe(0, Section::head, head_for(6000), true);
    const auto head = receiver->next_head();
    ASSERT_TRUE(head);
    EXPECT_EQ(head->head, head_for(6000));
    EXPECT_FALSE(receiver->next_head());
    receiver->open_bundle(1);
    stripe(1, Section::payload, {data.begin(), data.begin() + 4096});
    stripe(2, Section::payload, {data.begin() + 4096, data.end()});
    stripe(3, Section::trailer, trailer_for());
    EXPECT_FALSE(receiver->next_trailer()) << "writes are still open";
    std::vector<std::uint8_t> written(6000);
    write_all(written);
    EXPECT_EQ(written, data);
    const auto trailer = receiver->next_trailer();
    ASSERT_TRUE(trailer);
    EXPECT_EQ(trailer->trailer, trailer_for());
    EXPECT_FALSE(receiver->next_trailer());
    const auto told = feedback();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->complete_below, 4u);
    ASSERT_EQ(told->bundles.size(), 1u);
    EXPECT_EQ(told->bundles[0].stage, wire::Stage::complete);
    ping(4, 2);
    EXPECT_EQ(receiver->stats().bundles_open, 0u);
    EXPECT_EQ(memory.pool.free_count(), memory.pool.total());
}

// Any order does: trailer first, payload before the head, the first stripe last.
TEST_F(ReceiverTest, DeliversInAnyOrder) {
    const auto data = payload(6000);
    stripe(3, Section::trailer, trailer_for());
    stripe(2, Section::payload, {data.begin() + 4096, data.end()});
    stripe(1, Section::payload, {data.begin(), data.begin() + 4096});
    EXPECT_FALSE(receiver->next_head());
    stripe(0, Section::head, head_for(6000), true);
    ASSERT_TRUE(receiver->next_head());
    EXPECT_FALSE(receiver->next_write()) << "nobody has opened the bundle yet";
    receiver->open_bundle(1);
    std::vector<std::uint8_t> written(6000);
    write_all(written);
    EXPECT_EQ(written, data);
    EXPECT_TRUE(receiver->next_trailer());
}

// A bundle cut short: the trailer at an early stripe number ends it, however its stripes arrive.
TEST_F(ReceiverTest, TrailerEndsABundleEarly) {
    const auto data = payload(20000);
    stripe(0, Section::head, head_for(20000), true);
    ASSERT_TRUE(receiver->next_head());
    receiver->open_bundle(1);
    stripe(2, Section::trailer, trailer_for());
    EXPECT_FALSE(receiver->next_trailer()) << "stripe 1 might be a trailer stripe too";
    stripe(1, Section::payload, {data.begin(), data.begin() + 4096});
    std::vector<std::uint8_t> written(20000);
    write_all(written);
    EXPECT_TRUE(receiver->next_trailer());
    EXPECT_EQ(feedback()->complete_below, 3u);
}

// Packets that fail authentication change nothing at all: no block, no feedback, no bundle.
TEST_F(ReceiverTest, UnauthenticPacketsLeaveNoState) {
    const auto before = feedback();
    const auto data = payload(1024);
    for (std::uint64_t s = 0; s < 16; ++s)
        for (unsigned symbol : {0u, 1u, 128u, 200u})
            arrive(
                symbol_header(s, symbol, 4, Section::payload, s == 0, static_cast<std::uint32_t>(1 + s % 3)),
                data.data(), false);
    EXPECT_EQ(memory.pool.free_count(), memory.pool.total());
    EXPECT_EQ(receiver->stats().stripes_open, 0u);
    EXPECT_EQ(receiver->stats().bundles_open, 0u);
    EXPECT_EQ(receiver->stats().packets, 0u);
    const auto after = feedback();
    ASSERT_TRUE(before && after);
    EXPECT_EQ(after->stripe_limit, before->stripe_limit);
    EXPECT_TRUE(after->nacks.empty());
}

// Parity restores what is missing, and the write carries the right bytes.
TEST_F(ReceiverTest, ParityRestoresLostSymbols) {
    const auto data = payload(4096);
    stripe(0, Section::head, head_for(4096), true);
    ASSERT_TRUE(receiver->next_head());
    receiver->open_bundle(1);
    stripe(1, Section::payload, data, false, 0b0110);
    EXPECT_FALSE(receiver->next_write());
    std::vector<std::uint8_t> rows(2 * 1024);
    codec.encode(data.data(), 4, 1024, 77, 2, rows.data());
    arrive(symbol_header(1, 128 + 77, 4, Section::payload), rows.data());
    arrive(symbol_header(1, 128 + 78, 4, Section::payload), rows.data() + 1024);
    std::vector<std::uint8_t> written(4096);
    write_all(written);
    EXPECT_EQ(written, data);
    EXPECT_EQ(receiver->stats().symbols_restored, 2u);
}

// A stripe is asked for only after later packets and the patience, twice, and again with a higher epoch.
TEST_F(ReceiverTest, AsksForWhatIsShort) {
    const auto data = payload(4096);
    stripe(0, Section::head, head_for(12288), true);
    stripe(1, Section::payload, data, false, 0b0001);
    EXPECT_TRUE(feedback()->nacks.empty()) << "nothing later has come: it may still be on its way";
    const TimeNs passed = now;
    stripe(2, Section::payload, data);
    stripe(3, Section::payload, data);
    std::optional<wire::Feedback> message;
    do
        message = feedback();
    while (message && message->nacks.empty());
    ASSERT_TRUE(message);
    EXPECT_GE(now, passed + 100 * kMillisecond / 8);
    ASSERT_EQ(message->nacks.size(), 1u);
    EXPECT_EQ(message->nacks[0].stripe, 1u);
    EXPECT_EQ(message->nacks[0].need, 1);
    EXPECT_EQ(message->nacks[0].epoch, 1);
    EXPECT_EQ(message->nacks[0].have[0], 0b1110u);
    const auto copy = feedback(0);
    ASSERT_TRUE(copy) << "urgent feedback goes out twice";
    EXPECT_EQ(copy->nacks, message->nacks);
    do
        message = feedback();
    while (message && message->nacks.empty());
    ASSERT_TRUE(message);
    EXPECT_EQ(message->nacks[0].epoch, 2);
    EXPECT_GE(now, passed + 100 * kMillisecond);
}

// Five stripes take turns and lose their first symbol. While the sender pauses none is asked for, however long it takes;
// once several turns of others have passed, each is, though its last symbols never came.
TEST_F(ReceiverTest, WaitsForStripesThatTakeTurns) {
    const auto data = payload(1024);
    const auto turn_of = [&](std::uint64_t from, unsigned symbol) {
        for (std::uint64_t s = from; s < from + 5; ++s)
            arrive(symbol_header(s, symbol, 4, Section::payload), data.data());
    };
    stripe(0, Section::head, head_for(64 * 4096), true);
    const auto asked_within = [&](TimeNs time) {
        std::set<std::uint64_t> asked;
        for (const TimeNs end = now + time; now < end; now += kMillisecond)
            while (const auto message = feedback(0))
                for (const wire::Nack& nack : message->nacks)
                    asked.insert(nack.stripe);
        return asked.size();
    };
    turn_of(1, 1);
    turn_of(1, 2);
    EXPECT_EQ(asked_within(kSecond), 0u) << "the sender is not let run: none of them is late";
    ping(1);
    EXPECT_EQ(asked_within(kSecond), 0u) << "it says itself that their first pass goes on";
    turn_of(6, 1);
    turn_of(6, 2);
    EXPECT_EQ(asked_within(kSecond), 0u) << "they may only have fallen behind";
    turn_of(6, 0);
    turn_of(6, 3);
    turn_of(11, 1);
    EXPECT_EQ(asked_within(50 * kMillisecond), 5u) << "turn after turn has passed without them";
}

// A ping that says that the first pass is over is enough, after the time that reordering takes.
TEST_F(ReceiverTest, PingEndsTheTurns) {
    const auto data = payload(1024);
    stripe(0, Section::head, head_for(64 * 4096), true);
    for (const std::uint64_t s : {1u, 2u})
        arrive(symbol_header(s, 1, 4, Section::payload), data.data());
    now += kSecond;
    ping(3);
    const TimeNs told = now;
    std::optional<wire::Feedback> message;
    do
        message = feedback();
    while (message && message->nacks.empty());
    ASSERT_TRUE(message);
    EXPECT_EQ(message->nacks.size(), 2u);
    EXPECT_GE(now, told + 100 * kMillisecond / 8);
    EXPECT_LT(now, told + 100 * kMillisecond / 4);
}

// A ping says how far the sender came, so a lost tail is asked for though nothing follows it.
TEST_F(ReceiverTest, PingRevealsALostTail) {
    stripe(0, Section::head, head_for(4096), true);
    ping(3);
    std::optional<wire::Feedback> message;
    do
        message = feedback();
    while (message && message->nacks.empty());
    ASSERT_TRUE(message);
    ASSERT_EQ(message->nacks.size(), 2u);
    EXPECT_EQ(message->nacks[0].need, wire::kNeedUnknown);
    EXPECT_EQ(message->complete_below, 1u);
}

// A head that does not parse fails its bundle and nothing else; the rest of it is let through and dropped.
TEST_F(ReceiverTest, MalformedHeadFailsItsBundle) {
    auto head = head_for(4096);
    head[0] ^= 0xff;
    stripe(1, Section::payload, payload(4096));
    stripe(0, Section::head, head, true);
    stripe(2, Section::trailer, trailer_for());
    EXPECT_FALSE(receiver->next_head());
    EXPECT_FALSE(receiver->next_write());
    EXPECT_FALSE(receiver->next_trailer());
    EXPECT_EQ(memory.pool.free_count(), memory.pool.total());
    const auto message = feedback();
    ASSERT_TRUE(message);
    ASSERT_EQ(message->bundles.size(), 1u);
    EXPECT_EQ(message->bundles[0].reason, wire::FailReason::manifest_malformed);
    EXPECT_EQ(message->complete_below, 3u);
}

// A refused bundle frees what it held, also what comes later.
TEST_F(ReceiverTest, RefusedBundleIsDropped) {
    stripe(0, Section::head, head_for(8192), true);
    stripe(1, Section::payload, payload(4096));
    ASSERT_TRUE(receiver->next_head());
    receiver->refuse_bundle(1, wire::FailReason::store_unknown, now);
    stripe(2, Section::payload, payload(4096));
    EXPECT_FALSE(receiver->next_write());
    EXPECT_EQ(memory.pool.free_count(), memory.pool.total());
    EXPECT_EQ(feedback()->bundles.at(0).reason, wire::FailReason::store_unknown);
}

// Stages are repeated until the sender has settled the bundle, only ever rise, and then are forgotten.
TEST_F(ReceiverTest, StagesAreRepeatedUntilSettled) {
    stripe(0, Section::head, head_for(0), true);
    stripe(1, Section::trailer, trailer_for());
    ASSERT_TRUE(receiver->next_head());
    receiver->open_bundle(1);
    ASSERT_TRUE(receiver->next_trailer());
    wire::BundleStatus status;
    status.stage = wire::Stage::published;
    receiver->set_stage(1, status, now);
    status.stage = wire::Stage::durable;
    receiver->set_stage(1, status, now);
    unsigned told = 0;
    for (const TimeNs end = now + kSecond; now < end;)
        if (const auto message = feedback()) {
            for (const auto& bundle : message->bundles) {
                EXPECT_EQ(bundle.stage, wire::Stage::published);
                ++told;
            }
        }
    EXPECT_GT(told, 5u);
    ping(2, 2);
    const auto message = feedback();
    ASSERT_TRUE(message);
    EXPECT_TRUE(message->bundles.empty());
}

// Feedback about feedback would never end: only the idle interval remains.
TEST_F(ReceiverTest, FeedbackIsNotAnswered) {
    while (feedback(100 * kMillisecond)) {
    }
    wire::Header header;
    header.type = wire::PacketType::feedback;
    header.tx_time_us = wire_clock_us(now);
    receiver->on_authentic(header, 100, now);
    EXPECT_GE(receiver->next_wake(now), now + 50 * kMillisecond);
}

}  // namespace
}  // namespace longhaul::session
