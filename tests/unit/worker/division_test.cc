// A link's rate among its lane groups: never above the cap in whatever order the workers hear, and nothing is left unused.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/rate_division.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

namespace longhaul::node {
namespace {

constexpr std::uint64_t kCap = 10'000'000'000;

// Workers that obey, each when the test lets it, and what they pace at.
struct Workers {
    explicit Workers(unsigned groups, std::uint64_t cap = kCap)
        : division(cap, groups), pace(groups, division.even_share()), heard(groups), told(groups) {}

    void orders() {
        while (const auto order = division.next())
            heard[order->group].push_back(order->rate_bps);
    }
    bool obey(unsigned group) {
        if (heard[group].empty()) return false;
        pace[group] = heard[group].front();
        told[group].push_back(pace[group]);
        heard[group].pop_front();
        return true;
    }
    bool confirm(unsigned group) {
        if (told[group].empty()) return false;
        division.taken(group, told[group].front());
        told[group].pop_front();
        return true;
    }
    void settle() {
        for (bool more = true; more;) {
            more = false;
            orders();
            for (unsigned group = 0; group < pace.size(); ++group) {
                const bool obeyed = obey(group);
                more = confirm(group) || obeyed || more;
            }
        }
    }
    std::uint64_t sum() const {
        std::uint64_t all = 0;
        for (const std::uint64_t one : pace)
            all += one;
        return all;
    }
    RateDivision division;
    std::vector<std::uint64_t> pace;
    std::vector<std::deque<std::uint64_t>> heard, told;
};

// One busy group has nearly all; a second one takes half of it; when all are idle, all are ready for an even start.
TEST(RateDivisionTest, BusyGroupsUseWhatIdleOnesLeave) {
    Workers workers(4);
    workers.division.set_busy(2, true);
    workers.settle();
    EXPECT_GE(workers.pace[2], kCap * 98 / 100);
    EXPECT_LE(workers.sum(), kCap);
    EXPECT_GT(workers.pace[0], 0u);
    workers.division.set_busy(0, true);
    workers.settle();
    EXPECT_EQ(workers.pace[0], workers.pace[2]);
    EXPECT_GE(workers.pace[0], kCap * 49 / 100);
    EXPECT_LE(workers.sum(), kCap);
    workers.division.set_busy(0, false);
    workers.division.set_busy(2, false);
    workers.settle();
    for (const std::uint64_t pace : workers.pace)
        EXPECT_EQ(pace, kCap / 4);
}

// A raise waits for the confirmation of who gives up, not for the order to be told.
TEST(RateDivisionTest, RaisesOnlyWhatIsGivenUp) {
    Workers workers(2);
    workers.division.set_busy(0, true);
    workers.orders();
    ASSERT_TRUE(workers.heard[0].empty()) << "the other has not given up anything yet";
    ASSERT_TRUE(workers.obey(1));
    workers.orders();
    EXPECT_TRUE(workers.heard[0].empty());
    ASSERT_TRUE(workers.confirm(1));
    workers.orders();
    EXPECT_FALSE(workers.heard[0].empty());
}

// An order that found no room is told again; a cap that falls is obeyed by all, one that rises is used by all.
TEST(RateDivisionTest, FollowsTheCapAndFullQueues) {
    Workers workers(3);
    for (unsigned group = 0; group < 3; ++group)
        workers.division.set_busy(group, true);
    workers.division.set_cap(kCap / 10);
    const auto order = workers.division.next();
    ASSERT_TRUE(order);
    workers.division.withdrawn(order->group);
    workers.settle();
    EXPECT_LE(workers.sum(), kCap / 10);
    EXPECT_GE(workers.sum(), kCap / 10 * 99 / 100);
    workers.division.set_cap(kCap);
    workers.settle();
    EXPECT_LE(workers.sum(), kCap);
    EXPECT_GE(workers.sum(), kCap * 99 / 100);
    workers.division.set_cap(1);  // less than there are groups: each keeps a crawl
    workers.settle();
    for (const std::uint64_t pace : workers.pace)
        EXPECT_GT(pace, 0u);
}

// Whatever the order of loads, orders and confirmations: together the workers never pace above the cap.
TEST(RateDivisionTest, NeverAboveTheCap) {
    for (unsigned seed = 1; seed <= 200; ++seed) {
        std::mt19937 random(seed);
        const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
        const unsigned groups = 1 + below(16);
        Workers workers(groups);
        for (unsigned step = 0; step < 500; ++step) {
            const unsigned group = below(groups);
            switch (below(4)) {
                case 0:
                    workers.division.set_busy(group, below(2) == 0);
                    break;
                case 1:
                    workers.orders();
                    break;
                case 2:
                    workers.obey(group);
                    break;
                default:
                    workers.confirm(group);
            }
            ASSERT_LE(workers.sum(), kCap) << "seed " << seed << " step " << step;
            ASSERT_LE(workers.division.granted_bps(), kCap) << "seed " << seed << " step " << step;
        }
        workers.settle();
        ASSERT_LE(workers.sum(), kCap);
        ASSERT_GE(workers.sum(), kCap * 98 / 100) << "seed " << seed << ": a share is left unused";
    }
}

}  // namespace
}  // namespace longhaul::node
