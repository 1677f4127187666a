// A flow keeps its assigned rate whatever the size of its bundles, and a link's yield follows what is measured.
// SPDX-License-Identifier: Apache-2.0
#include "control/schedule/pace.h"

#include <gtest/gtest.h>

#include "control/schedule/link_yield.h"

namespace longhaul::control {
namespace {

// Bytes let through within `seconds`, asked every 20 ms, in bundles of one size.
std::uint64_t let_through(Pace& pace, TimeNs from, int seconds, std::uint64_t bundle) {
    std::uint64_t sent = 0;
    for (TimeNs now = from; now < from + seconds * kSecond; now += 20 * kMillisecond)
        while (pace.may_send(now)) {
            pace.spend(bundle);
            sent += bundle;
        }
    return sent;
}

// 10 and 1,000 Mbit/s in bundles of 1 MiB and of 100 ms: within 2 % over a minute.
TEST(Pace, HoldsTheMeanRate) {
    for (const std::uint64_t rate : {10'000'000u, 1'000'000'000u})
        for (const std::uint64_t bundle : {std::uint64_t{1} << 20, rate / 80}) {
            Pace pace;
            pace.set_rate(rate, kSecond);
            let_through(pace, kSecond, 10, bundle);  // past the burst at the beginning
            const double sent = static_cast<double>(let_through(pace, 11 * kSecond, 60, bundle));
            EXPECT_NEAR(sent / (60.0 * static_cast<double>(rate) / 8), 1, 0.02) << rate << ", " << bundle;
        }
}

// A pause earns a quarter of a second, not the time that it lasted; no rate, nothing.
TEST(Pace, DoesNotSaveUp) {
    Pace pace;
    pace.set_rate(8'000'000, kSecond);
    std::uint64_t burst = 0;
    while (pace.may_send(3600 * kSecond)) {
        pace.spend(1000);
        burst += 1000;
    }
    EXPECT_NEAR(static_cast<double>(burst), 250'000, 2000);
    pace.set_rate(0, 3600 * kSecond);
    EXPECT_FALSE(pace.may_send(7200 * kSecond));
}

// What was overdrawn at a low rate is paid at the rate that is in force.
TEST(Pace, PaysItsDebtAtTheNewRate) {
    Pace pace;
    pace.set_rate(8'000, kSecond);
    ASSERT_TRUE(pace.may_send(kSecond));
    pace.spend(1'000'000);  // 1000 s at this rate
    EXPECT_FALSE(pace.may_send(2 * kSecond));
    pace.set_rate(8'000'000, 2 * kSecond);
    EXPECT_FALSE(pace.may_send(2 * kSecond + 900 * kMillisecond));
    EXPECT_TRUE(pace.may_send(3 * kSecond));
}

// The share of payload follows the counters, survives a new session, and never falls for an idle link.
TEST(LinkYield, FollowsTheCounters) {
    LinkYield yield;
    std::uint64_t wire = 0, payload = 0;
    for (int i = 0; i < 40; ++i)
        yield.add(wire += 10'000'000, payload += 7'300'000);
    EXPECT_NEAR(yield.share(), 0.73, 0.001);
    for (int i = 0; i < 1000; ++i)
        yield.add(wire += 1000, payload);
    EXPECT_NEAR(yield.share(), 0.73, 0.001) << "pings alone say nothing";
    wire = payload = 0;
    for (int i = 0; i < 40; ++i)
        yield.add(wire += 10'000'000, payload += 9'000'000);
    EXPECT_NEAR(yield.share(), 0.9, 0.001);
}

}  // namespace
}  // namespace longhaul::control
