// Small parts of the session: queue, blocks, round trips, symbols and their repair, pings.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "dataplane/session/fixed_queue.h"
#include "dataplane/session/liveness.h"
#include "dataplane/session/ping_schedule.h"
#include "dataplane/session/rtt_estimator.h"
#include "dataplane/session/symbol_source.h"
#include "tests/unit/session/fixture.h"

namespace longhaul::session {
namespace {

using testing::Pool;
using testing::small_parameters;

// A block goes back when its handle dies, moves keep it alive once, and an empty pool gives an empty handle.
TEST(BlockPool, HandlesReturnTheirBlocks) {
    Pool memory(small_parameters(), 2);
    {
        Block one = memory.pool.take();
        Block two = memory.pool.take();
        EXPECT_FALSE(memory.pool.take());
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one.data()) % 4096, 0u);
        const Block moved = std::move(one);
        EXPECT_FALSE(one);
        two = memory.pool.take();  // nothing free: the old block goes back all the same
        EXPECT_EQ(memory.pool.free_count(), 1u);
    }
    EXPECT_EQ(memory.pool.free_count(), 2u);
}

TEST(FixedQueue, KeepsOrderAcrossTheWrap) {
    FixedQueue<int> queue(5);
    for (int i = 0; i < 100; ++i) {
        queue.push(i);
        if (i >= 4) {
            EXPECT_EQ(queue.pop(), i - 4);
        }
    }
    EXPECT_EQ(queue.size(), 4u);
    EXPECT_EQ(queue.back(), 99);
}

// The echo is arithmetic modulo 2^32 microseconds; an impossible echo changes nothing.
TEST(RttEstimator, EchoSurvivesWrapAndNonsense) {
    RttEstimator rtt(100 * kMillisecond);
    EXPECT_EQ(rtt.smallest(), 100 * kMillisecond);
    const TimeNs now = (TimeNs{1} << 32) * kMicrosecond + 20 * kMillisecond;  // wire clock: 20000
    rtt.sample_echo(now, 0xffff'ffff - 29'999, 10'000);                       // sent 50 ms ago, held 10 ms
    EXPECT_EQ(rtt.smallest(), 40 * kMillisecond);
    rtt.sample_echo(now, wire_clock_us(now) + 500, 0);  // from the future
    EXPECT_EQ(rtt.smallest(), 40 * kMillisecond);
    EXPECT_GE(rtt.timeout(), 40 * kMillisecond);
}

struct Stripe {
    Stripe() : memory(small_parameters(), 1) {
        stripe.block = memory.pool.take();
        stripe.k = 4;
        stripe.m = 2;
        for (std::size_t i = 0; i < 4096; ++i)
            stripe.block.data()[i] = static_cast<std::uint8_t>(i * 7 + i / 1024);
    }
    Pool memory;
    SentStripe stripe;
    fec::Codec codec;
    SymbolSource source{small_parameters(), codec};
};

wire::Nack nack_for(std::uint8_t need, std::uint64_t have) {
    wire::Nack nack;
    nack.need = need;
    nack.epoch = 1;
    nack.have = {have, 0};
    return nack;
}

// First pass: every data symbol in order, then rows 0..m-1, each the codec's.
TEST(SymbolSource, FirstPassIsDataThenRows) {
    Stripe s;
    for (unsigned i = 0; i < 4; ++i) {
        const Symbol symbol = s.source.first_pass(s.stripe);
        EXPECT_EQ(symbol.number, i);
        EXPECT_EQ(symbol.bytes, s.stripe.block.data() + i * 1024);
    }
    std::vector<std::uint8_t> rows(2 * 1024);
    s.codec.encode(s.stripe.block.data(), 4, 1024, 0, 2, rows.data());
    for (unsigned i = 0; i < 2; ++i) {
        const Symbol symbol = s.source.first_pass(s.stripe);
        EXPECT_EQ(symbol.number, 128 + i);
        EXPECT_EQ(std::memcmp(symbol.bytes, rows.data() + i * 1024, 1024), 0);
    }
    EXPECT_TRUE(s.stripe.sent());
}

// Repairs use rows that were never sent before, until all 128 are used up; each row has the bytes that its
// number says.
TEST(SymbolSource, RepairRowsNeverRepeatBeforeAllAreUsed) {
    Stripe s;
    std::set<unsigned> used;
    while (!s.stripe.sent())
        used.insert(s.source.first_pass(s.stripe).number);
    std::vector<std::uint8_t> row(1024);
    while (used.size() < 4 + 128) {
        s.source.ask(s.stripe, nack_for(1, 0b0111), 0.01);
        while (s.stripe.repair_pending() && used.size() < 4 + 128) {
            const Symbol symbol = s.source.repair(s.stripe);
            ASSERT_TRUE(symbol.parity());
            ASSERT_TRUE(used.insert(symbol.number).second) << "row " << symbol.number - 128 << " twice";
            s.codec.encode(s.stripe.block.data(), 4, 1024, symbol.number - 128u, 1, row.data());
            ASSERT_EQ(std::memcmp(symbol.bytes, row.data(), 1024), 0);
        }
    }
    while (s.stripe.repair_pending())
        s.source.repair(s.stripe);
    s.source.ask(s.stripe, nack_for(1, 0b0111), 0);
    EXPECT_LT(s.source.repair(s.stripe).number, 128 + 16);  // begun again
}

// When nothing of a stripe has arrived its data is sent again; parity alone could not hold it all.
TEST(SymbolSource, MuchMissingIsSentAgain) {
    Parameters wide;
    wide.symbol_bytes = 1024;
    wide.stripe_symbols = 64;
    Pool memory(wide, 1);
    fec::Codec codec;
    SymbolSource source(wide, codec);
    SentStripe stripe;
    stripe.block = memory.pool.take();
    std::memset(stripe.block.data(), 1, wide.stripe_bytes());
    stripe.k = 64;
    while (!stripe.sent())
        source.first_pass(stripe);
    wire::Nack nack = nack_for(wire::kNeedUnknown, 0);
    source.ask(stripe, nack, 0);
    std::set<unsigned> sent;
    while (stripe.repair_pending())
        sent.insert(source.repair(stripe).number);
    EXPECT_EQ(sent.size(), 64u);
    EXPECT_EQ(*sent.rbegin(), 63u);

    // 20 are missing and 12 rows are there: eight symbols of the missing ones do, and only of those.
    nack = nack_for(8, ~std::uint64_t{0} << 20);
    source.ask(stripe, nack, 0);
    sent.clear();
    while (stripe.repair_pending())
        sent.insert(source.repair(stripe).number);
    EXPECT_EQ(sent.size(), 8u);
    EXPECT_LT(*sent.rbegin(), 20u);
}

// One lane per interval, in turn, and per 100 ms while nobody waits; a burst reaches all lanes at once.
TEST(PingSchedule, CoversEveryLane) {
    PingSchedule pings(4, 20 * kMillisecond, kSecond);
    TimeNs now = kSecond;
    std::set<unsigned> hello;
    while (const auto due = pings.next(now, false))
        hello.insert(due->lane);
    EXPECT_EQ(hello.size(), 4u);

    unsigned idle = 0, active = 0;
    for (; now < 2 * kSecond; now += kMillisecond)
        idle += pings.next(now, false) ? 1 : 0;
    EXPECT_NEAR(idle, 10, 1);
    for (; now < 3 * kSecond; now += kMillisecond)
        active += pings.next(now, true) ? 1 : 0;
    EXPECT_NEAR(active, 50, 1);
    pings.all_lanes();
    std::set<unsigned> burst;
    while (const auto due = pings.next(now, true)) {
        EXPECT_TRUE(due->ack_now);
        burst.insert(due->lane);
        if (burst.size() == 4) break;
    }
    EXPECT_EQ(burst.size(), 4u);
}

// Pings every 20 ms and their answers, on a clock that looks every 5 ms.
struct Probed {
    Liveness liveness{kSecond};
    TimeNs now = kSecond, rtt = 40 * kMillisecond;
    void run(TimeNs time, bool answers) {
        for (const TimeNs end = now + time; now < end; now += 5 * kMillisecond) {
            if (now % (20 * kMillisecond) == 0) {
                liveness.pinged();
                if (answers) liveness.answered(now);
            }
            liveness.look(now, rtt);
        }
    }
    // How long until it is what it was not.
    TimeNs until(bool wanted, bool answers) {
        const TimeNs begin = now;
        while (liveness.answering() != wanted && now < begin + 10 * kSecond)
            run(5 * kMillisecond, answers);
        return now - begin;
    }
};

// Dead after max(150 ms, 1.5 RTT) and three pings, alive again only after a second of answers; the first answer counts
// at once.
TEST(Liveness, FindsADeadPathSoonAndBelievesItLate) {
    Probed path;
    EXPECT_FALSE(path.liveness.answering());
    EXPECT_LE(path.until(true, true), 25 * kMillisecond);
    path.run(kSecond, true);
    const TimeNs dead = path.until(false, false);
    EXPECT_GE(dead, 150 * kMillisecond);
    EXPECT_LE(dead, 200 * kMillisecond);
    const TimeNs alive = path.until(true, true);
    EXPECT_GE(alive, kSecond);
    EXPECT_LE(alive, 1100 * kMillisecond);
    path.rtt = 300 * kMillisecond;
    const TimeNs far = path.until(false, false);
    EXPECT_GE(far, 450 * kMillisecond);
    EXPECT_LE(far, 500 * kMillisecond);
}

// A path that answers for half a second now and then is not gone back to.
TEST(Liveness, DoesNotBelieveAFlappingPath) {
    Probed path;
    path.run(kSecond, true);
    path.run(kSecond, false);
    for (unsigned i = 0; i < 20; ++i) {
        path.run(500 * kMillisecond, true);
        EXPECT_FALSE(path.liveness.answering());
        path.run(300 * kMillisecond, false);
    }
}

// A worker that was put aside for a second has not heard what came meanwhile: its own pause is nobody's silence.
TEST(Liveness, DoesNotBlameThePathForItsOwnPause) {
    Probed path;
    path.run(kSecond, true);
    path.liveness.pinged();
    path.liveness.pinged();
    path.liveness.pinged();
    path.now += kSecond;
    path.liveness.look(path.now, path.rtt);
    EXPECT_TRUE(path.liveness.answering());
}

}  // namespace
}  // namespace longhaul::session
