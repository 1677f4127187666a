// Lane groups: both ends agree on them, every lane has one owner, bundles go where least is open, and control sees one link.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/link_groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "dataplane/worker/link_session.h"
#include "dataplane/worker/memory_plan.h"

namespace longhaul::node {
namespace {

using command::LinkState;
using command::LinkStatus;

// Both ends come to the same number from the two offers, whatever these say; it is never 0 nor more than the lanes.
TEST(GroupsTest, BothEndsAgree) {
    for (unsigned a = 0; a <= 20; ++a) {
        for (unsigned b = 0; b <= 20; ++b) {
            for (unsigned lanes : {1u, 2u, 5u, 16u, 64u}) {
                const unsigned agreed = groups_agreed(a, b, lanes);
                EXPECT_EQ(agreed, groups_agreed(b, a, lanes));
                EXPECT_GE(agreed, 1u);
                EXPECT_LE(agreed, std::min(lanes, worker::kGroupsMax));
                if (a <= 16 && b <= 16 && lanes == 64) {
                    EXPECT_EQ(agreed, std::max({a, b, 1u}));
                }
            }
        }
    }
}

// Every lane belongs to exactly one group, groups differ by one lane at most, workers by one group at most, and the
// parts of a worker's memory are each given once.
TEST(GroupsTest, PlacesEverything) {
    for (unsigned workers = 1; workers <= 8; ++workers) {
        for (unsigned groups = 1; groups <= 16; ++groups) {
            for (unsigned lanes : {groups, groups + 1, 64u}) {
                const auto places = place_groups(groups, workers, 3, lanes);
                unsigned lane = 0;
                std::set<std::pair<unsigned, unsigned>> parts;
                std::map<unsigned, unsigned> of_worker;
                for (const GroupPlace& place : places) {
                    EXPECT_EQ(place.first_lane, lane);
                    EXPECT_GE(place.lanes, lanes / groups);
                    EXPECT_LE(place.lanes, lanes / groups + 1);
                    lane += place.lanes;
                    EXPECT_LT(place.worker, workers);
                    EXPECT_LT(place.part, place.parts);
                    EXPECT_TRUE(parts.insert({place.worker, place.part}).second);
                    ++of_worker[place.worker];
                }
                EXPECT_EQ(lane, lanes);
                EXPECT_EQ(of_worker.size(), std::min(workers, groups));
                for (const GroupPlace& place : places)
                    EXPECT_EQ(place.parts, of_worker[place.worker]);
            }
        }
    }
}

// A group's worker does not depend on how many groups there are: a bundle that stays in its group stays where it is.
TEST(GroupsTest, GroupsKeepTheirWorkers) {
    const auto few = place_groups(2, 4, 1, 16), many = place_groups(9, 4, 1, 16);
    for (std::size_t i = 0; i < few.size(); ++i)
        EXPECT_EQ(few[i].worker, many[i].worker);
}

// The next bundle goes where the fewest bytes are open; what settles makes room; groups that go take nothing along.
TEST(GroupsTest, SpreadsBundles) {
    BundleSpread spread;
    spread.resize(3);
    spread.add({1, 1}, spread.choose(), 100);
    spread.add({1, 2}, spread.choose(), 10);
    spread.add({1, 3}, spread.choose(), 50);
    EXPECT_EQ(*spread.group_of({1, 1}), 0u);
    EXPECT_EQ(*spread.group_of({1, 2}), 1u);
    EXPECT_EQ(*spread.group_of({1, 3}), 2u);
    EXPECT_EQ(spread.choose(), 1u);
    spread.settle({1, 1});
    EXPECT_EQ(spread.choose(), 0u);
    EXPECT_EQ(spread.group_of({1, 1}), nullptr);
    EXPECT_TRUE(spread.any(2));
    spread.resize(2);
    EXPECT_EQ(spread.choose(), 0u);
    spread.add({1, 3}, 0, 50);  // it came back from the group that went, and was given to another
    EXPECT_EQ(spread.choose(), 1u);
    spread.settle({1, 3});
    EXPECT_EQ(spread.choose(), 0u);
    spread.settle({9, 9});  // unknown: nothing happens
}

// Sums are summed, the state is the worst one with its reason, and a link whose groups disagree has no session.
TEST(GroupsTest, CombinesIntoOneLink) {
    LinkStatus a, b;
    a.session = b.session = "same";
    a.state = b.state = LinkState::up;
    a.tx_packets = 300;
    b.tx_packets = 100;
    a.loss = 0.01;
    b.loss = 0.05;
    a.rate_bps = b.rate_bps = 7;
    a.lanes = 2;
    b.lanes = 3;
    a.rtt_min_ms = 50;
    b.rtt_min_ms = 49;
    const LinkStatus both = combined(std::array{a, b});
    EXPECT_EQ(both.tx_packets, 400u);
    EXPECT_EQ(both.rate_bps, 14u);
    EXPECT_EQ(both.lanes, 5u);
    EXPECT_EQ(both.groups, 2u);
    EXPECT_EQ(both.session, "same");
    EXPECT_EQ(both.state, LinkState::up);
    EXPECT_NEAR(both.loss, 0.02, 1e-9);
    EXPECT_EQ(both.rtt_min_ms, 49);
    b.state = LinkState::connecting;
    EXPECT_EQ(combined(std::array{a, b}).state, LinkState::connecting);
    a.state = LinkState::down;
    a.reason = "silent";
    EXPECT_EQ(combined(std::array{a, b}).state, LinkState::down);
    EXPECT_EQ(combined(std::array{a, b}).reason, "silent");
    b.state = LinkState::idle;
    b.session.clear();
    EXPECT_EQ(combined(std::array{a, b}).state, LinkState::idle);
    EXPECT_TRUE(combined(std::array{a, b}).session.empty()) << "so that both controls agree on a new one";
}

// A link answers when every group does; its lanes are those of all groups, in order, each told of once although a group may
// still tell of the session before.
TEST(GroupsTest, CombinesLanes) {
    const auto lane = [](std::uint8_t number, std::uint64_t sent) {
        command::LaneStatus status;
        status.lane = number;
        status.tx_packets = sent;
        return status;
    };
    LinkStatus a, b;
    a.answering = b.answering = true;
    a.lane_list = {lane(0, 10), lane(1, 11), lane(2, 12)};
    b.lane_list = {lane(2, 22), lane(3, 23)};
    const LinkStatus both = combined(std::array{b, a});
    EXPECT_TRUE(both.answering);
    ASSERT_EQ(both.lane_list.size(), 4u);
    for (std::uint8_t i = 0; i < 4; ++i)
        EXPECT_EQ(both.lane_list[i].lane, i);
    EXPECT_EQ(both.lane_list[2].tx_packets, 22u);
    a.answering = false;
    EXPECT_FALSE(combined(std::array{a, b}).answering);
}

// All workers together plan what one would, but for the floors of each; more workers do not multiply the memory.
TEST(GroupsTest, MemoryIsDivided) {
    const auto alone = worker::plan_memory(100'000'000'000, 150, 2, 64, 8768);
    for (unsigned workers : {2u, 4u, 8u, 16u}) {
        const auto each = worker::plan_memory(100'000'000'000, 150, 2, 64, 8768, workers);
        EXPECT_GE(each.send_blocks * workers, alone.send_blocks);
        EXPECT_GE(each.receive_blocks * workers, alone.receive_blocks);
        EXPECT_LT(static_cast<double>(each.arena_bytes * workers),
                  1.15 * static_cast<double>(alone.arena_bytes));
        EXPECT_NE(each.text().find(std::to_string(workers) + " workers"), std::string::npos);
    }
}

}  // namespace
}  // namespace longhaul::node
