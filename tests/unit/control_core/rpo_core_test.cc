// Proves what Core makes of peers that contradict it, and that events, breaches and attainment outlive it.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

constexpr WallNs kSec = 1'000'000'000;

PeerReport report(WallNs now, std::vector<PeerReport::Claim> claims) {
    return {now, now, now, now, std::move(claims)};
}

std::vector<Event> of_kind(Core& core, const std::string& kind) {
    std::vector<Event> found;
    for (auto& event : core.events(0, 1000))
        if (event.kind == kind) found.push_back(std::move(event));
    return found;
}

// A peer that claims what was never sent to it, or speaks of an ended epoch, or has forgotten the replica: the lag is
// unknown, with the reason, and one event says so. The truth mends it.
TEST_F(Site, DoesNotBelieveAPeerThatContradicts) {
    start();
    create();
    ASSERT_TRUE(converged());
    ASSERT_EQ(rpo().quality, "proven") << rpo().quality_reason;
    const auto w_pub = rpo().watermarks.w_pub;
    const auto believed = [&](const std::vector<PeerReport::Claim>& claims) {
        advance(1);
        core->on_peer("west", report(clock, claims));
        EXPECT_TRUE(eventually(
            [&] { return !core->peer_clocks().empty() && core->peer_clocks()[0].measured_at == clock; }));
        return rpo();
    };
    auto view = believed({{"lake", 77, *w_pub + 3600 * kSec}});
    EXPECT_EQ(view.state, "UNKNOWN");
    EXPECT_FALSE(view.rpo_lag_s);
    EXPECT_NE(view.quality_reason.find("never sent"), std::string::npos) << view.quality_reason;
    view = believed({{"lake", 77, w_pub}});
    EXPECT_EQ(view.quality, "proven") << view.quality_reason;
    EXPECT_NE(believed({{"lake", 76, w_pub}}).quality_reason.find("epoch"), std::string::npos);
    believed({{"lake", 77, w_pub}});
    EXPECT_NE(believed({}).quality_reason.find("does not know"), std::string::npos);
    EXPECT_EQ(of_kind(*core, "PEER_REFUSED").size(), 3u) << "once each, however often it is said";
    believed({});
    EXPECT_EQ(of_kind(*core, "PEER_REFUSED").size(), 3u);
    EXPECT_EQ(rpo().watermarks.w_pub, w_pub) << "no claim moves a watermark";
}

// A mark from the future of the source's own clock is refused; the lag goes on from the last one that was true.
TEST_F(Site, RefusesAMarkFromTheFuture) {
    start();
    auto wanted = spec();
    wanted.target = {"east", "posix:" + base + "/replica"};
    const auto store = core->accept_target("west", wanted).value().store;
    // The source's clock is ten minutes ahead of ours: its watermarks look like the future, and are not.
    const WallNs now = clock, theirs = now + 600 * kSec;
    core->on_peer("west", {now, now, theirs, theirs, {}});
    core->on_mark(store, theirs - 5 * kSec);
    ASSERT_TRUE(eventually([&] { return core->rpo()[0].rpo_lag_s.has_value(); }));
    EXPECT_NEAR(*core->rpo()[0].rpo_lag_s, 5, 0.01);
    EXPECT_EQ(core->rpo()[0].quality, "estimated") << "somebody has to look after NTP";
    core->on_mark(store, theirs + 60 * kSec);
    ASSERT_TRUE(eventually([&] { return core->rpo()[0].quality == "unknown"; }));
    EXPECT_FALSE(core->rpo()[0].rpo_lag_s);
    EXPECT_EQ(core->rpo()[0].watermarks.w_pub, theirs - 5 * kSec);
    ASSERT_TRUE(eventually([&] { return of_kind(*core, "PEER_REFUSED").size() == 1; }));
    EXPECT_EQ(of_kind(*core, "PEER_REFUSED")[0].who, "site:west");
    advance(10);
    core->on_mark(store, theirs + 8 * kSec);
    ASSERT_TRUE(eventually([&] { return core->rpo()[0].rpo_lag_s.has_value(); }));
    EXPECT_NEAR(*core->rpo()[0].rpo_lag_s, 2, 0.02);
}

// A breach is raised, stands in the ledger over a restart, and ends there once; ids go on; the audit stays.
TEST_F(Site, RemembersBreachesAndEvents) {
    start();
    create();
    ASSERT_TRUE(converged());
    ports->set_link_up(false);
    advance(10 * spec().rpo_target_s);
    ASSERT_TRUE(eventually([&] { return !core->breaches().empty(); }));
    const auto before = core->breaches()[0];
    EXPECT_FALSE(before.ended);
    EXPECT_GT(before.peak_lag_s, spec().rpo_target_s);
    Event asked;
    asked.kind = "POLICY_REFUSED";
    asked.who = "rest:127.0.0.1";
    asked.text = "because";
    core->note(asked);
    ASSERT_TRUE(eventually([&] { return of_kind(*core, "POLICY_REFUSED").size() == 1; }));
    const auto last = core->last_event();
    crash();
    ports->set_link_up(true);
    start();
    EXPECT_EQ(core->last_event(), last);
    EXPECT_EQ(of_kind(*core, "POLICY_REFUSED").at(0).who, "rest:127.0.0.1");
    ASSERT_TRUE(converged());
    ASSERT_TRUE(eventually([&] { return core->breaches()[0].ended.has_value(); }));
    EXPECT_EQ(core->breaches().size(), 1u);
    EXPECT_EQ(core->breaches()[0].id, before.id);
    EXPECT_EQ(of_kind(*core, "BREACH").size(), 1u);
    ASSERT_TRUE(eventually([&] { return of_kind(*core, "BREACH_ENDED").size() == 1; }));
    EXPECT_GT(of_kind(*core, "BREACH_ENDED")[0].id, last);
    advance(120);
    ASSERT_TRUE(eventually([&] { return rpo().slo.hour.minutes_missed > 0; }));
}

// Whoever would publish out of order is refused by the dataplane; control says so, and counts it.
TEST_F(Site, SaysWhenAPublicationWouldHaveBrokenTheOrder) {
    start();
    auto wanted = spec();
    wanted.target = {"east", "posix:" + base + "/replica"};
    command::OrderEvent refused;
    refused.store = core->accept_target("west", wanted).value().store;
    refused.id = {1, 2};
    refused.place = {3, 7};
    refused.position = {3, 5};
    refused.state = command::OrderState::refused;
    core->on_order(refused);
    ASSERT_TRUE(eventually([&] { return of_kind(*core, "ORDER_VIOLATION").size() == 1; }));
    const auto event = of_kind(*core, "ORDER_VIOLATION")[0];
    EXPECT_EQ(event.dataset, wanted.name);
    EXPECT_EQ(event.role, "target");
    EXPECT_NE(event.text.find("run 3, number 7"), std::string::npos) << event.text;
    EXPECT_TRUE(eventually([&] { return core->stats().order_violations == 1; }));
}

// What does not arrive as it was sent is an event, not only a counter.
TEST_F(Site, SaysWhenTheTargetReadsOtherBytes) {
    start();
    write("file", "bytes");
    ports->fail("file", wire::FailReason::integrity, 1);
    create();
    ASSERT_TRUE(eventually([&] { return of_kind(*core, "VERIFY_FAIL").size() == 1; }));
    EXPECT_EQ(of_kind(*core, "VERIFY_FAIL")[0].object, "file");
}

// Whoever waits for a published watermark is woken when one moves, and only then.
TEST_F(Site, APublishedWatermarkWakesWhoWaits) {
    using std::chrono::milliseconds;
    start();
    const auto nothing = core->wait_for_published(0, milliseconds(0));
    EXPECT_EQ(core->wait_for_published(nothing, milliseconds(1)), nothing) << "patience is over";
    create();
    ASSERT_TRUE(converged());
    const auto proven = core->wait_for_published(nothing, milliseconds(20'000));
    EXPECT_NE(proven, nothing);
    EXPECT_EQ(core->wait_for_published(proven, milliseconds(1)), proven);
    advance(1);
    rescan();
    auto seen = proven;
    const WallNs before = *rpo().watermarks.w_pub;
    while (*rpo().watermarks.w_pub <= before && seen - proven < 100)
        seen = core->wait_for_published(seen, milliseconds(20'000));
    EXPECT_GT(*rpo().watermarks.w_pub, before);
}

}  // namespace
}  // namespace longhaul::control::test
