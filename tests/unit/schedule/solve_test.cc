// What a turn gives to whom: each rule alone, in numbers that can be checked by hand.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/schedule/schedule.h"

namespace longhaul::control {
namespace {

constexpr std::uint64_t kMega = 1'000'000;
constexpr WallNs kNow = 1'795'392'000'000'000'000;

LinkNow link(std::uint8_t number, std::uint64_t payload_bps, const char* site = "west") {
    LinkNow link;
    link.choice.name = "link-" + std::to_string(number);
    link.choice.link = number;
    link.choice.peer_site = site;
    link.choice.up = link.open = true;
    link.capacity_bps = payload_bps;
    return link;
}

Demand wants(const char* name, const char* traffic, std::uint64_t megabytes_behind = 10'000) {
    Demand demand;
    demand.dataset = name;
    demand.target_site = "west";
    demand.traffic = traffic;
    demand.active = true;
    demand.bytes_behind = megabytes_behind * kMega;
    return demand;
}

double mega(const Flow& flow) {
    return static_cast<double>(flow.rate_bps) / 1e6;
}

// Latency counts twice bulk, its own weight multiplies; scavengers get the trickle while others want more.
TEST(Solve, SharesByClassAndWeight) {
    auto heavy = wants("c", "bulk");
    heavy.weight = 3;
    const auto flows = solve({wants("a", "latency"), wants("b", "bulk"), heavy, wants("d", "scavenger")},
                             {link(1, 1000 * kMega)}, 0);
    const double trickle = 1000 * 0.02 / 13;  // of weight 1
    EXPECT_NEAR(mega(flows[3]), trickle, 0.01);
    const double rest = 1000 - trickle;
    EXPECT_NEAR(mega(flows[0]), rest * 4 / 12, 0.01);
    EXPECT_NEAR(mega(flows[1]), rest * 2 / 12, 0.01);
    EXPECT_NEAR(mega(flows[2]), rest * 6 / 12, 0.01);
    EXPECT_STREQ(to_string(flows[0].reason), "share");
    EXPECT_STREQ(to_string(flows[3].reason), "leftover");
}

// Caps and small demands leave their rest to the others, last to scavengers; nothing stays idle.
TEST(Solve, LeavesNothingIdle) {
    auto capped = wants("a", "latency");
    capped.cap_bps = 100 * kMega;
    auto small = wants("b", "bulk", 0);
    small.bytes_behind = 5 * kMega;  // 20 Mbit/s over a turn
    const auto flows = solve({capped, small, wants("c", "scavenger")}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(flows[0]), 100, 0.01);
    EXPECT_EQ(flows[0].reason, FlowReason::cap);
    EXPECT_NEAR(mega(flows[1]), 20.5, 0.01);
    EXPECT_NEAR(mega(flows[2]), 1000 - 120.5, 0.01);
    const auto alone = solve({small}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(alone[0]), 1000, 0.01) << "room for what comes before the next turn";
    EXPECT_EQ(alone[0].reason, FlowReason::demand);
}

// A floor is kept against heavier ones, and is no gift on top of a share that is larger.
TEST(Solve, KeepsFloors) {
    auto promised = wants("a", "bulk");
    promised.floor_bps = 300 * kMega;
    auto heavy = wants("b", "latency");
    heavy.weight = 10;
    auto flows = solve({promised, heavy}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(flows[0]), 300, 0.01);
    EXPECT_EQ(flows[0].reason, FlowReason::floor);
    EXPECT_NEAR(mega(flows[1]), 700, 0.01);
    flows = solve({promised, wants("b", "bulk")}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(flows[0]), 500, 0.01);
    auto also = wants("b", "bulk");
    also.floor_bps = 900 * kMega;
    flows = solve({promised, also}, {link(1, 1000 * kMega)}, 0);  // more than there is: in proportion
    EXPECT_GE(mega(flows[0]), 980 * 300.0 / 1200);
    EXPECT_GE(mega(flows[1]), 980 * 900.0 / 1200);
    EXPECT_LE(mega(flows[0]) + mega(flows[1]), 1000);
}

// Who would breach at an ordinary share gets what it needs first, least slack first, and no more.
TEST(Solve, ServesTheEndangeredFirst) {
    auto urgent = wants("a", "bulk", 0);
    urgent.bytes_behind = 10'000 * kMega;  // 80 Gbit
    urgent.rpo_target_s = 300;
    urgent.lag_s = 196;  // 100 s are left after two turns: 880 Mbit/s with the margin
    auto calm = wants("b", "latency");
    calm.rpo_target_s = 3600;
    calm.lag_s = 10;
    auto flows = solve({urgent, calm}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(flows[0]), 880, 1);
    EXPECT_EQ(flows[0].reason, FlowReason::deadline);
    EXPECT_NEAR(*flows[0].slack_s, 104 - 80'000.0 / 880, 0.2);
    EXPECT_NEAR(mega(flows[1]), 120, 1);

    auto second = urgent;
    second.dataset = "c";
    second.lag_s = 150;
    flows = solve({second, urgent}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(flows[1]), 880, 1) << "less slack: it goes first, whatever the order they came in";
    EXPECT_NEAR(mega(flows[0]), 120, 1);
}

// What can no longer be saved does not drag down what can, and is still served.
TEST(Solve, SavesWhoCanBeSaved) {
    auto lost = wants("a", "latency");
    lost.rpo_target_s = 60;
    lost.lag_s = 600;
    auto savable = wants("b", "bulk", 5'000);
    savable.rpo_target_s = 100;
    savable.lag_s = 40;  // 40 Gbit in 56 s: 786 Mbit/s
    const auto flows = solve({lost, savable}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(flows[1]), 40'000 * 1.1 / 56, 1);
    EXPECT_EQ(flows[0].reason, FlowReason::late);
    EXPECT_GT(mega(flows[0]), 200);
}

// An idle dataset is told what it may begin with, beside those who work; it takes nothing from them.
TEST(Solve, TellsTheIdleWhatTheyMayBeginWith) {
    auto idle = wants("b", "bulk");
    idle.active = false;
    const auto flows = solve({wants("a", "bulk"), idle}, {link(1, 1000 * kMega)}, 0);
    EXPECT_NEAR(mega(flows[0]), 1000, 0.01);
    EXPECT_NEAR(mega(flows[1]), 500, 0.01);
    EXPECT_EQ(flows[1].reason, FlowReason::idle);
}

// New ones go where they get most; those who are settled stay until another link is clearly better.
TEST(Solve, PlacesAndKeeps) {
    const std::vector<LinkNow> links = {link(1, 300 * kMega), link(2, 100 * kMega),
                                        link(3, 900 * kMega, "north")};
    auto flows =
        solve({wants("a", "bulk"), wants("b", "bulk"), wants("c", "bulk"), wants("d", "bulk")}, links, 0);
    int on_one = 0;
    for (const auto& flow : flows)
        on_one += flow.link.link == 1;
    EXPECT_EQ(on_one, 3) << "three share 300, one has 100";

    auto settled = wants("a", "bulk");
    settled.on_link = 2;
    settled.moved_at = 100 * kSecond;
    flows = solve({settled}, links, 100 * kSecond + kDwell - 1);
    EXPECT_EQ(flows[0].link.link, 2) << "it has moved only lately";
    EXPECT_EQ(flows[0].moved_at, 100 * kSecond);
    flows = solve({settled}, links, 100 * kSecond + kDwell);
    EXPECT_EQ(flows[0].link.link, 1);
    EXPECT_EQ(flows[0].moved_at, 100 * kSecond + kDwell);
    auto nearly = links;
    nearly[1].capacity_bps = 250 * kMega;
    EXPECT_EQ(solve({settled}, nearly, 1000 * kSecond)[0].link.link, 2)
        << "1.2 times as much is not worth a move";
}

// A link that is lost is left at once; one that is about to close, before it does, if there is another.
TEST(Solve, LeavesALinkThatIsLostOrCloses) {
    std::vector<LinkNow> links = {link(1, 300 * kMega), link(2, 100 * kMega)};
    auto settled = wants("a", "bulk");
    settled.on_link = 1;
    settled.moved_at = 100 * kSecond;
    links[0].closing = true;
    auto flows = solve({settled}, links, 101 * kSecond);
    EXPECT_EQ(flows[0].link.link, 2);
    EXPECT_EQ(flows[0].moved_at, 101 * kSecond);
    links[1].open = false;
    EXPECT_EQ(solve({settled}, links, 101 * kSecond)[0].link.link, 1) << "better than none while it lasts";
    links[0].open = links[0].choice.up = false;
    links[1].choice.up = true;
    links[1].why = "maintenance 2026-11-23T22:00Z/2026-11-24T02:00Z";
    flows = solve({settled}, links, 101 * kSecond);
    EXPECT_FALSE(flows[0].assigned);
    EXPECT_EQ(flows[0].obstacle,
              "no link to site west is open: link link-1 is not up; link link-2 is closed by its maintenance "
              "2026-11-23T22:00Z/2026-11-24T02:00Z");
}

// One flow over two links that are as good, turn after turn: where it is, and where it was driven from.
class Driven {
  public:
    Demand demand = wants("a", "bulk");
    std::vector<LinkNow> links = {link(1, 300 * kMega), link(2, 300 * kMega)};
    TimeNs now = 1000 * kSecond;
    explicit Driven(std::uint8_t at) { demand.on_link = at; }

    std::uint8_t turn() {
        now += kScheduleTurn;
        history_.note(links, now);
        const auto flow = solve({demand}, links, now).at(0);
        if (flow.assigned) demand.on_link = flow.link.link;
        demand.moved_at = flow.moved_at;
        demand.home = flow.home;
        return flow.link.link;
    }
    void open(std::size_t index, bool is) { links[index].open = links[index].choice.up = is; }
    TimeNs turns_until_on(std::uint8_t number) {
        const TimeNs begin = now;
        while (turn() != number && now - begin < kSecond * 600)
            ;
        return now - begin;
    }

  private:
    LinkHistory history_;
};

// Driven from its link it goes back by itself, whether it has work or not, when that has been open again for a while:
// not at once, and a link that flaps is waited for anew. Settled there it stays.
TEST(Solve, GoesBackToALinkThatWasLost) {
    for (const bool active : {true, false}) {
        Driven flow(2);
        flow.demand.active = active;
        EXPECT_EQ(flow.turn(), 2);
        flow.open(1, false);
        EXPECT_EQ(flow.turn(), 1);
        EXPECT_EQ(flow.demand.home, 2);
        flow.open(1, true);
        EXPECT_EQ(flow.turn(), 1) << "open again, and not believed yet";
        flow.now += kWaitToRestore - 2 * kScheduleTurn;
        EXPECT_EQ(flow.turn(), 1);
        flow.open(1, false);
        EXPECT_EQ(flow.turn(), 1);
        flow.open(1, true);
        const TimeNs waited = flow.turns_until_on(2);
        EXPECT_GE(waited, kWaitToRestore);
        EXPECT_LE(waited, kWaitToRestore + 2 * kScheduleTurn);
        EXPECT_EQ(flow.demand.home, std::nullopt);
        EXPECT_EQ(flow.demand.moved_at, flow.now);
        for (int i = 0; i < 50; ++i)
            EXPECT_EQ(flow.turn(), 2);
    }
}

// It stays where it was driven to while its old link is about to close or would give clearly less, and where the
// operator has put it meanwhile. When it is driven on from there, home is still where it first was.
TEST(Solve, StaysAwayFromAHomeThatIsNoBetter) {
    const auto away = [] {
        Driven flow(1);
        flow.turn();
        flow.open(0, false);
        EXPECT_EQ(flow.turn(), 2);
        flow.open(0, true);
        flow.turn();
        flow.now += kWaitToRestore;
        return flow;
    };
    EXPECT_EQ(away().turn(), 1);
    Driven closing = away();
    closing.links[0].closing = true;
    EXPECT_EQ(closing.turn(), 2);
    Driven poorer = away();
    poorer.links[0].capacity_bps = 250 * kMega;
    EXPECT_EQ(poorer.turn(), 2);
    poorer.links[0].capacity_bps = 290 * kMega;
    EXPECT_EQ(poorer.turn(), 1);
    Driven wished = away();
    wished.demand.link = "link-2";
    EXPECT_EQ(wished.turn(), 2);
    wished.demand.link.clear();
    EXPECT_EQ(wished.turn(), 2) << "the wish was the newer word";

    Driven twice(1);
    twice.links.push_back(link(3, 300 * kMega));
    twice.turn();
    twice.open(0, false);
    twice.turn();
    twice.open(1, false);
    EXPECT_EQ(twice.turn(), 3);
    twice.open(0, true);
    twice.open(1, true);
    EXPECT_LE(twice.turns_until_on(1), kWaitToRestore + kScheduleTurn);
}

// A link that was lost takes nobody from another link before it has been open for a while, however much it offers; who
// has no other takes it at once.
TEST(Solve, DoesNotTrustALinkThatJustCameBack) {
    Driven flow(2);
    flow.links[0].capacity_bps = 3000 * kMega;
    flow.open(0, true);
    flow.demand.moved_at = flow.now;  // within its dwell
    EXPECT_EQ(flow.turn(), 2);
    flow.open(0, false);
    flow.turn();
    flow.now += 2 * kDwell;
    flow.open(0, true);
    EXPECT_EQ(flow.turn(), 2);
    EXPECT_LE(flow.turns_until_on(1), kWaitToRestore + kScheduleTurn);

    flow.open(0, false);
    flow.open(1, false);
    flow.turn();
    flow.open(0, true);
    EXPECT_EQ(flow.turn(), 1);
}

// Without a way there, the operator is told what to change.
TEST(Solve, SaysWhyThereIsNoWay) {
    std::vector<LinkNow> links = {link(1, 300 * kMega), link(3, 300 * kMega, "north")};
    auto elsewhere = wants("a", "bulk");
    elsewhere.target_site = "south";
    auto wrong = wants("b", "bulk");
    wrong.link = "link-3";
    auto pinned = wants("c", "bulk");
    pinned.link = "link-1";
    links[0].open = links[0].choice.up = false;
    const auto flows = solve({elsewhere, wrong, pinned}, links, 0);
    EXPECT_EQ(flows[0].obstacle, "no link to site south is configured: add one");
    EXPECT_EQ(flows[1].obstacle, "link link-3 does not lead to site west: name one that does, or none");
    EXPECT_EQ(flows[2].obstacle, "link link-1 is not up");
}

// A link's payload is what its session paces at, less what is not payload, within its calendar.
TEST(Solve, KnowsWhatALinkCarriesNow) {
    LinkChoice choice{"one", 1, "west", true, 1000 * kMega, 0.9, 0.05, {}};
    const auto open = links_now({choice}, kNow)[0];
    EXPECT_NEAR(static_cast<double>(open.capacity_bps) / 1e6, 1000 * 0.9 * 1.02, 0.01);
    choice.calendar.windows = {parse_week_window("daily 00:00-24:00 100M").value()};
    EXPECT_NEAR(static_cast<double>(links_now({choice}, kNow)[0].capacity_bps) / 1e6, 91.8, 0.1);
    choice.calendar.blackouts = {{kNow - 1, kNow + 1}};
    EXPECT_FALSE(links_now({choice}, kNow)[0].open);
    choice.calendar.blackouts = {{kNow + 1'000'000'000, kNow + 86'400'000'000'000}};
    EXPECT_TRUE(links_now({choice}, kNow)[0].open);
    choice.calendar.blackouts[0].from = kNow / 60'000'000'000 * 60'000'000'000;
    choice.up = false;
    EXPECT_FALSE(links_now({choice}, kNow)[0].open);
}

// A link that does not answer is closed while another one to the site does, and kept while there is no better.
TEST(LinksNow, LeavesALinkThatDoesNotAnswer) {
    std::vector<LinkChoice> links{link(1, 0).choice, link(2, 0).choice, link(3, 0, "north").choice};
    for (auto& choice : links)
        choice.rate_bps = 700 * kMega;
    const auto open = [&] {
        std::string out;
        for (const auto& each : links_now(links, kNow))
            out += each.open ? "o" : "-";
        return out;
    };
    EXPECT_EQ(open(), "ooo");
    links[1].answering = true;
    EXPECT_EQ(open(), "-oo") << "the only one to the north is nobody's alternative";
    EXPECT_EQ(links_now(links, kNow)[0].why.substr(0, 7), "silence");
    links[0].answering = true;
    EXPECT_EQ(open(), "ooo");
}

}  // namespace
}  // namespace longhaul::control
