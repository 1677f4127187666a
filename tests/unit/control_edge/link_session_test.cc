// Proves the life of link sessions between two whole edges over real mTLS: established once, kept, renewed
// after each kind of loss, never with an old secret, and refused with a reason when the two ends' settings
// contradict.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "control/edge.h"
#include "control/rpo/clock_offset.h"
#include "tests/unit/control_edge/support.h"

namespace longhaul::control::test {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::uint8_t kLink = 1;
constexpr LinkSupervisor::Timing kFast{50ms, 400ms};

class LinkSession : public ::testing::Test {
  protected:
    void SetUp() override {
        make_certificates(directory_.path());
        configure(east_config_, "east", "west", east_port_, west_port_);
        configure(west_config_, "west", "east", west_port_, east_port_);
        east_config_.links = {sample_link("west", "10.77.0.1", "10.77.0.2")};
        west_config_.links = {sample_link("east", "10.77.0.2", "10.77.0.1")};
    }
    void configure(ControlConfig& config, const std::string& own, const std::string& other,
                   const ReservedPort& own_port, const ReservedPort& other_port) {
        config.pki = pki_of(directory_.path(), own);
        config.peer_listen.port = own_port.port();
        config.sites = {{other, "https://127.0.0.1:" + std::to_string(other_port.port())}};
    }
    void start() {
        start_edge(east_, east_config_, east_core_);
        start_edge(west_, west_config_, west_core_);
        east_dataplane_.start();
        west_dataplane_.start();
    }
    static void start_edge(std::unique_ptr<Edge>& edge, const ControlConfig& config, FakeCore& core) {
        edge = std::make_unique<Edge>(config, kFast);
        const auto started = edge->start(core);
        ASSERT_TRUE(started.ok()) << started.error().text;
    }
    bool agreed() {
        const std::string session = east_dataplane_.session(kLink);
        return !session.empty() && session == west_dataplane_.session(kLink);
    }
    bool agreed_on_another_than(const std::string& old) {
        return eventually([&] { return agreed() && east_dataplane_.session(kLink) != old; });
    }

    TempDir directory_;
    ReservedPort east_port_, west_port_;
    ControlConfig east_config_ = sample_config(directory_, "east"),
                  west_config_ = sample_config(directory_, "west");
    FakeDataplane east_dataplane_{east_config_.dataplane_socket},
        west_dataplane_{west_config_.dataplane_socket};
    FakeCore east_core_, west_core_;
    std::unique_ptr<Edge> east_, west_;
};

// Each end hears the other's clock and what it holds of the own datasets, over the same authenticated channel: ten
// minutes ahead is measured as ten minutes, within the uncertainty that is reported.
TEST_F(LinkSession, MeasuresThePeersClock) {
    west_core_.clock_ahead = 600'000'000'000;
    west_core_.claims = {{"lake", 77, 1'790'000'000'000'000'001}, {"new", 78, std::nullopt}};
    start();
    const auto reports = [&] {
        return east_core_.locked<std::vector<std::pair<std::string, PeerReport>>>(
            [](FakeCore& core) { return core.peer_reports; });
    };
    ASSERT_TRUE(eventually([&] { return !reports().empty(); }));
    const auto [site, report] = reports().front();
    EXPECT_EQ(site, "west");
    const auto clock = estimate_clock(report);
    ASSERT_TRUE(clock.ok()) << clock.error().text;
    EXPECT_LE(std::abs(clock.value().offset_ns - 600'000'000'000), clock.value().uncertainty_ns);
    EXPECT_LT(clock.value().uncertainty_ns, 5'000'000'000);
    ASSERT_EQ(report.claims.size(), 2u);
    EXPECT_EQ(report.claims[0].store, 77u);
    EXPECT_EQ(report.claims[0].w_pub, 1'790'000'000'000'000'001);
    EXPECT_FALSE(report.claims[1].w_pub);
}

// What a peer says of clocks and replicas is checked before it is believed.
TEST(PeerMessages, RefuseMalformedClocksAndReplicas) {
    PeerStatus status;
    status.site = "west";
    status.received = status.answered = 5;
    status.replicas = {{"lake", 77, 9}};
    const nlohmann::json good = peer_status_document(status);
    EXPECT_EQ(peer_status_from(good).value().replicas.at(0).w_pub, 9);
    for (const auto& [field, wrong] : std::map<std::string, std::vector<nlohmann::json>>{
             {"received_ns", {"now", -1, 0, 1.5, nullptr}},
             {"answered_ns", {"now", -1, nullptr}},
             {"replicas",
              {"all",
               nullptr,
               {{{"dataset", 1}}},
               {{{"dataset", "a"}, {"store", -1}, {"w_pub_ns", 1}}},
               {{{"dataset", "a"}, {"store", 1}, {"w_pub_ns", "x"}}},
               {{{"dataset", std::string(64, 'a')}, {"store", 1}, {"w_pub_ns", 1}}}}}}) {
        for (const auto& value : wrong) {
            auto bad = good;
            bad[field] = value;
            EXPECT_FALSE(peer_status_from(bad).ok()) << bad.dump();
        }
    }
    auto older = good;  // a version that does not tell
    older.erase("received_ns");
    EXPECT_TRUE(peer_status_from(older).value().replicas.empty());
}

// Both dataplanes get the same session, secret, symbol size and lanes, each the other's offer, one as
// initiator.
TEST_F(LinkSession, IsEstablishedWithMatchingHalves) {
    start();
    ASSERT_TRUE(eventually([&] { return agreed(); }));
    const auto east = east_dataplane_.started(kLink), west = west_dataplane_.started(kLink);
    EXPECT_TRUE(east->initiator);
    EXPECT_FALSE(west->initiator);
    EXPECT_EQ(east->secret, west->secret);
    EXPECT_NE(east->secret, (std::array<std::uint8_t, 32>{}));
    EXPECT_EQ(east->own_nonce, west->peer.nonce);
    EXPECT_EQ(west->own_nonce, east->peer.nonce);
    EXPECT_EQ(east->symbol_bytes, 1360);  // the smaller of 1408 and 1360
    EXPECT_EQ(west->symbol_bytes, 1360);
    EXPECT_EQ(east->lanes, 4u);
    EXPECT_TRUE(
        eventually([&] { return east_->links().view(kLink)->up() && west_->links().view(kLink)->up(); }));
    EXPECT_EQ(east_->links().view(kLink)->reason, "");
    EXPECT_TRUE(eventually([&] { return east_->links_to("west").at(0).up; }));
}

// A living session is left alone: many looks later it is still the first one.
TEST_F(LinkSession, IsKeptWhileItLives) {
    start();
    ASSERT_TRUE(eventually([&] { return agreed(); }));
    const std::string session = east_dataplane_.session(kLink);
    const std::size_t looks = east_dataplane_.requests("status").size();
    ASSERT_TRUE(eventually([&] { return east_dataplane_.requests("status").size() > looks + 20; }));
    EXPECT_EQ(east_dataplane_.session(kLink), session);
    EXPECT_EQ(west_dataplane_.starts(kLink), 1u);
}

// Either dataplane may restart, at any time: both ends get a new session with a new secret.
TEST_F(LinkSession, IsRenewedAfterARestartOfEitherDataplane) {
    start();
    ASSERT_TRUE(eventually([&] { return agreed(); }));
    for (FakeDataplane* restarted : {&west_dataplane_, &east_dataplane_}) {
        const auto before = *east_dataplane_.started(kLink);
        restarted->kill();
        restarted->start();
        ASSERT_TRUE(agreed_on_another_than(before.session));
        EXPECT_NE(east_dataplane_.started(kLink)->secret, before.secret);
    }
}

// A control process that restarts finds the session alive and keeps it.
TEST_F(LinkSession, SurvivesARestartOfEitherControl) {
    start();
    ASSERT_TRUE(eventually([&] { return agreed(); }));
    const std::string session = east_dataplane_.session(kLink);
    east_.reset();
    start_edge(east_, east_config_, east_core_);
    west_.reset();
    start_edge(west_, west_config_, west_core_);
    ASSERT_TRUE(eventually([&] { return east_core_.ups_seen() == 2 && west_core_.ups_seen() == 2; }));
    const std::size_t looks = east_dataplane_.requests("status").size();
    ASSERT_TRUE(eventually([&] { return east_dataplane_.requests("status").size() > looks + 20; }));
    EXPECT_EQ(east_dataplane_.session(kLink), session);
    EXPECT_EQ(west_dataplane_.session(kLink), session);
}

// A session over which nothing is heard is replaced after a while, and the link says that it is down
// meanwhile.
TEST_F(LinkSession, IsRenewedWhenSilentForTooLong) {
    east_dataplane_.set_links_come_up(false);
    start();
    ASSERT_TRUE(eventually([&] { return agreed(); }));
    const std::string first = east_dataplane_.session(kLink);
    ASSERT_TRUE(eventually([&] { return east_->links().view(kLink)->state == "down"; }));
    EXPECT_THAT(east_->links().view(kLink)->reason, HasSubstr("nothing heard"));
    ASSERT_TRUE(agreed_on_another_than(first));
    const std::string second = east_dataplane_.session(kLink);
    EXPECT_TRUE(agreed_on_another_than(second));
}

// Half a session (the responder started, the initiator could not) is noticed and repaired.
TEST_F(LinkSession, RepairsAHalfStartedSession) {
    east_dataplane_.refuse("link_start",
                           Error{ErrorCode::exhausted, "no memory for 4 lanes: raise memory_mib"});
    start();
    ASSERT_TRUE(
        eventually([&] { return west_dataplane_.starts(kLink) >= 2; }));  // tried again, each time afresh
    EXPECT_TRUE(eventually(
        [&] { return east_->links().view(kLink)->reason.find("raise memory_mib") != std::string::npos; }));
    EXPECT_TRUE(east_dataplane_.session(kLink).empty());
}

// Settings that contradict are never tried; both operators read what differs and what to change.
TEST_F(LinkSession, NamesContradictingSettingsAtBothEnds) {
    west_config_.links[0].settings.lanes = 2;
    west_config_.links[0].settings.remote_ip = "10.77.0.9";
    start();
    for (const auto& edge : {east_.get(), west_.get()}) {
        EXPECT_TRUE(eventually(
            [&] { return edge->links().view(kLink)->reason.find("lanes is") != std::string::npos; }));
        EXPECT_THAT(edge->links().view(kLink)->reason, HasSubstr("_ip is 10.77.0."));
    }
    EXPECT_THAT(east_->links().view(kLink)->reason,
                HasSubstr("lanes is 4 here and 2 at west: set the same in both control.toml"));
    EXPECT_EQ(east_dataplane_.starts(kLink), 0u);
    EXPECT_EQ(west_dataplane_.starts(kLink), 0u);
}

// What is missing at the far end is named: its control, its dataplane, its link.
TEST_F(LinkSession, SaysWhatIsMissingAtTheFarEnd) {
    start_edge(east_, east_config_, east_core_);
    east_dataplane_.start();
    const auto reason_contains = [&](const std::string& part) {
        return eventually([&] { return east_->links().view(kLink)->reason.find(part) != std::string::npos; });
    };
    EXPECT_TRUE(reason_contains("check peer_url"));
    west_config_.links.clear();
    start_edge(west_, west_config_, west_core_);
    EXPECT_TRUE(reason_contains("has no link 1 toward this one"));
    west_.reset();
    west_config_.links = {sample_link("east", "10.77.0.2", "10.77.0.1")};
    start_edge(west_, west_config_, west_core_);
    EXPECT_TRUE(reason_contains("the dataplane at west is down"));
    west_dataplane_.start();
    EXPECT_TRUE(eventually([&] { return agreed(); }));
}

// Only the site whose name sorts first begins sessions: the other's attempt is refused, its dataplane
// untouched.
TEST_F(LinkSession, IsBegunByTheInitiatorOnly) {
    start();
    ASSERT_TRUE(eventually([&] { return agreed(); }));
    const unsigned starts = east_dataplane_.starts(kLink);
    PeerClient west_asks(west_config_.pki, west_config_.sites.at(0));
    SessionRequest request;
    request.session = std::string(32, 'a');
    request.settings = west_config_.links[0].settings;
    request.offer.spis = {1, 2, 3, 4};
    request.offer.symbol_bytes = 1408;
    const auto refused = west_asks.start_session(kLink, request);
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().text, HasSubstr("begun by east"));
    EXPECT_EQ(east_dataplane_.starts(kLink), starts);
    EXPECT_EQ(west_asks.start_session(9, request).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace longhaul::control::test
