// The scheduler in random worlds, every rule asserted at every turn: sums within capacity, nobody starves,
// nothing idle that somebody can use, floors kept, danger first, and no move before the dwell has passed.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "control/schedule/solve.h"
#include "tests/sim/schedule_world.h"

namespace longhaul::control::sim {
namespace {

constexpr double kRounding_bps = 2;

class Judge {
  public:
    explicit Judge(const ScheduleWorld& world) : world_(world) {
        for (const auto& demand : world.demands)
            claims_.push_back(claim_of(demand));
        for (std::size_t i = 0; i < world.flows.size(); ++i)
            if (world.flows[i].assigned && claims_[i].active) on_link_[world.flows[i].link.link].push_back(i);
    }

    std::string wrong() {
        placed();
        for (const auto& link : world_.links)
            shared(link);
        return wrong_;
    }

  private:
    void say(std::size_t i, const std::string& what) {
        if (wrong_.empty()) wrong_ = world_.demands[i].dataset + ": " + what;
    }
    double rate(std::size_t i) const { return static_cast<double>(world_.flows[i].rate_bps); }

    const LinkNow* link_of(std::uint8_t number) const {
        for (const auto& link : world_.links)
            if (link.choice.link == number) return &link;
        return nullptr;
    }

    // Assigned if and only if a way is open, to the right site, as wished; moved only when allowed to.
    void placed() {
        for (std::size_t i = 0; i < world_.flows.size(); ++i) {
            const auto& demand = world_.demands[i];
            const auto& flow = world_.flows[i];
            bool way = false;
            for (const auto& link : world_.links)
                way = way || (link.open && link.choice.peer_site == demand.target_site &&
                              (demand.link.empty() || demand.link == link.choice.name));
            if (way != flow.assigned)
                say(i, way ? "a link is open and it has none: " + flow.obstacle : "assigned to nothing");
            if (!flow.assigned) {
                if (flow.obstacle.empty()) say(i, "has no link and no reason");
                continue;
            }
            const LinkNow* link = link_of(flow.link.link);
            if (!link->open) say(i, "is on a closed link");
            if (!demand.on_link || *demand.on_link == flow.link.link) continue;
            const LinkNow* left = link_of(*demand.on_link);
            const bool had_to = !left->open || left->closing;
            if (!had_to && demand.moved_at != 0 && world_.now - demand.moved_at < kDwell)
                say(i, "moved again within the dwell");
            if (flow.moved_at != world_.now) say(i, "moved and does not say so");
        }
    }

    void shared(const LinkNow& link) {
        const auto found = on_link_.find(link.choice.link);
        if (found == on_link_.end()) return;
        const auto& who = found->second;
        const double capacity = static_cast<double>(link.capacity_bps);
        double sum = 0, weights = 0, floors = 0;
        bool all_at_cap = true;
        for (const std::size_t i : who) {
            sum += rate(i);
            weights += claims_[i].weight;
            floors += claims_[i].floor;
            all_at_cap = all_at_cap && rate(i) >= claims_[i].cap - kRounding_bps;
        }
        const double slop = kRounding_bps * static_cast<double>(who.size());
        if (sum > capacity) say(who[0], "its link is assigned beyond its capacity");
        if (sum < capacity - slop && !all_at_cap) say(who[0], "its link is left idle");
        const double kept = std::min(1.0, capacity * (1 - kTrickleShare) / std::max(floors, 1.0));
        std::map<std::size_t, double> promised;
        bool in_need = false;
        for (const std::size_t i : who) {
            const double trickle =
                std::min(claims_[i].cap, capacity * kTrickleShare * claims_[i].weight / weights);
            promised[i] = std::max(trickle, claims_[i].floor * kept);
            if (rate(i) <= 0) say(i, "starves");
            if (rate(i) < trickle - kRounding_bps) say(i, "gets less than the trickle");
            if (rate(i) < claims_[i].floor * kept - kRounding_bps) say(i, "its floor is not kept");
            if (rate(i) > claims_[i].cap + kRounding_bps) say(i, "is above its cap");
            in_need = in_need || rate(i) < claims_[i].need - kRounding_bps;
        }
        // Who does not make its deadline is not outdone by anybody who is in no danger.
        for (const std::size_t i : who)
            if (in_need && rate(i) > std::max(promised[i], claims_[i].need) + kRounding_bps)
                say(i, "gets more than it was promised while another misses its deadline");
    }

    const ScheduleWorld& world_;
    std::vector<Claim> claims_;
    std::map<std::uint8_t, std::vector<std::size_t>> on_link_;
    std::string wrong_;
};

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Fifteen minutes of cuts, bursts and windows; then the writers stop, the links stay, and all must arrive.
TEST(Schedule, KeepsItsRulesInRandomWorlds) {
    const std::uint64_t first = number_from("SCHEDULE_SEED", 1);
    const std::uint64_t seeds =
        number_from("SCHEDULE_SEEDS", std::getenv("SCHEDULE_SEED") != nullptr ? 1 : 40);
    std::size_t moves = 0, endangered = 0, turns = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        ScheduleWorld world(seed);
        const auto step = [&] {
            world.turn();
            ASSERT_EQ(Judge(world).wrong(), "")
                << "seed " << seed << ", turn " << world.turns() << "; again: SCHEDULE_SEED=" << seed
                << " build/dev/tests/sim/sim-schedule";
            for (std::size_t i = 0; i < world.flows.size(); ++i) {
                endangered += world.flows[i].reason == FlowReason::deadline;
                moves += !world.before.empty() && world.before[i].moved_at != world.flows[i].moved_at;
            }
        };
        for (int i = 0; i < 450; ++i) {
            step();
            if (HasFatalFailure()) return;
        }
        world.stop_writers();
        world.settle_links();
        for (int i = 0; world.backlog() > 0 && i < 100'000; ++i) {
            step();
            if (HasFatalFailure()) return;
        }
        ASSERT_EQ(world.backlog(), 0u) << "seed " << seed;
        turns += world.turns();
    }
    std::printf("%zu turns, %zu moves, %zu times a deadline was served first\n", turns, moves, endangered);
    EXPECT_GT(endangered, 0u) << "the worlds are too easy";
    EXPECT_GT(moves, 0u);
}

// A pure function: the same question, the same answer.
TEST(Schedule, IsAFunctionOfWhatItIsGiven) {
    ScheduleWorld world(7);
    for (int i = 0; i < 50; ++i) {
        world.turn();
        const auto again = solve(world.demands, world.links, world.now);
        for (std::size_t d = 0; d < again.size(); ++d) {
            ASSERT_EQ(again[d].rate_bps, world.flows[d].rate_bps);
            ASSERT_EQ(again[d].link, world.flows[d].link);
        }
    }
}

// Links that stand still: whoever has work and keeps it moves at most a few times, then never again.
TEST(Schedule, ComesToRest) {
    std::vector<LinkNow> links;
    for (std::uint8_t l = 1; l <= 8; ++l) {
        LinkNow link;
        link.choice = {"link-" + std::to_string(l), l, "west", true, l * 1'000'000'000ull, 1, 0, {}};
        link.open = true;
        link.capacity_bps = link.choice.rate_bps;
        links.push_back(link);
    }
    std::vector<Demand> demands(200);
    Random random(3);
    for (std::size_t i = 0; i < demands.size(); ++i) {
        demands[i].dataset = "d" + std::to_string(i);
        demands[i].target_site = "west";
        demands[i].traffic = i % 3 == 0 ? "latency" : i % 3 == 1 ? "bulk" : "scavenger";
        demands[i].weight = 0.5 + random.unit() * 3;
        demands[i].active = true;
        demands[i].bytes_behind = 1'000'000'000'000;
        demands[i].on_link = static_cast<std::uint8_t>(1);  // all on one: a bad beginning
    }
    TimeNs now = 1000 * kSecond;
    std::size_t last_move = 0;
    for (std::size_t turn = 1; turn <= 1000; ++turn, now += kScheduleTurn) {
        const auto flows = solve(demands, links, now);
        for (std::size_t i = 0; i < demands.size(); ++i) {
            if (*demands[i].on_link != flows[i].link.link) last_move = turn;
            demands[i].on_link = flows[i].link.link;
            demands[i].moved_at = flows[i].moved_at;
        }
    }
    EXPECT_GT(last_move, 0u);
    EXPECT_LT(last_move, 300u);
}

}  // namespace
}  // namespace longhaul::control::sim
