// The pacer holds the rate over any window and forgives only a bounded pause.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/congestion/pacer.h"

#include <gtest/gtest.h>

namespace longhaul::congestion {
namespace {

constexpr std::uint64_t kRate = 1'000'000'000;
constexpr std::uint64_t kPacket = 1500;

std::uint64_t send_all_that_may(Pacer& pacer, TimeNs now) {
    std::uint64_t sent = 0;
    for (; pacer.may_send(now); sent += kPacket)
        pacer.charge(now, kPacket, kRate);
    return sent;
}

// Polled often, the bytes of one second are the rate's bytes, give or take the last packet and the first
// catch-up.
TEST(Pacer, HoldsTheRateWhenPolledOften) {
    Pacer pacer;
    std::uint64_t sent = 0;
    for (TimeNs now = kSecond; now < 2 * kSecond; now += 5 * kMicrosecond)
        sent += send_all_that_may(pacer, now);
    EXPECT_NEAR(static_cast<double>(sent), kRate / 8.0, kRate / 8.0 * 0.001);
}

// After a long pause a burst is bounded by the catch-up time, not by the length of the pause.
TEST(Pacer, ForgivesOnlyTheCatchUp) {
    Pacer pacer(200 * kMicrosecond);
    send_all_that_may(pacer, kSecond);
    const std::uint64_t burst = send_all_that_may(pacer, 10 * kSecond);
    EXPECT_LE(burst, kRate / 8 / 5000 + kPacket);
    EXPECT_GE(burst, kRate / 8 / 5000 - kPacket);
}

// A wake-up that is late by less than the catch-up loses nothing.
TEST(Pacer, MakesGoodASmallDelay) {
    Pacer pacer(200 * kMicrosecond);
    std::uint64_t sent = 0;
    for (TimeNs now = kSecond; now < 2 * kSecond; now += 150 * kMicrosecond)
        sent += send_all_that_may(pacer, now);
    EXPECT_NEAR(static_cast<double>(sent), kRate / 8.0, kRate / 8.0 * 0.002);
}

// next() is when may_send() turns true, to the nanosecond.
TEST(Pacer, NextIsExact) {
    Pacer pacer;
    send_all_that_may(pacer, kSecond);
    const TimeNs next = pacer.next();
    EXPECT_FALSE(pacer.may_send(next - 1));
    EXPECT_TRUE(pacer.may_send(next));
}

}  // namespace
}  // namespace longhaul::congestion
