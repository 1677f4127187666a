// Proves that the dataplane's client connects by itself, states links first, matches answers, orders events,
// bounds every wait, and gets over a dataplane that dies, hangs or talks nonsense.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "control/edge.h"
#include "tests/unit/control_edge/support.h"

namespace longhaul::control::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// An edge without other sites: its Ports and events are what is tested.
class DataplaneClientTest : public ::testing::Test {
  protected:
    void start() {
        const auto started = edge_.start(core_);
        ASSERT_TRUE(started.ok()) << started.error().text;
    }
    void start_both() {
        dataplane_.start();
        start();
        ASSERT_TRUE(eventually([&] { return core_.ups_seen() == 1; }));
    }
    static command::BundleEvent durable(std::uint64_t low) {
        command::BundleEvent event;
        event.id = {7, low};
        event.stage = wire::Stage::durable;
        return event;
    }
    static json event_of(const char* kind, json fields) {
        fields["event"] = kind;
        return fields;
    }

    TempDir directory_;
    ControlConfig config_ = sample_config(directory_, "east");
    FakeDataplane dataplane_{config_.dataplane_socket};
    FakeCore core_;
    Edge edge_{config_};
};

// Control may start long before its dataplane: requests are refused at once, and it connects when there is
// one.
TEST_F(DataplaneClientTest, WaitsForADataplane) {
    start();
    const auto refused = edge_.store_open(1, "/lake", false, false);
    EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
    EXPECT_THAT(refused.error().text, HasSubstr("dataplane"));
    dataplane_.start();
    ASSERT_TRUE(eventually([&] { return core_.ups_seen() == 1; }));
    EXPECT_EQ(core_.ups.at(0).boot_id, dataplane_.boot_id());
    EXPECT_TRUE(edge_.store_open(1, "/lake", true, true).ok());
    const json request = dataplane_.requests("store_open").at(0);
    EXPECT_EQ(request.at("role"), "target");
    EXPECT_EQ(request.at("directory"), "/lake");
}

// A dataplane that restarts is announced again with its new boot id; what waits for the old one fails at
// once.
TEST_F(DataplaneClientTest, ReconnectsAfterARestart) {
    start_both();
    dataplane_.set_silent(true);
    std::thread asking([&] {
        const auto lost = edge_.bundle_cancel({1, 2});
        EXPECT_EQ(lost.error().code, ErrorCode::unavailable);
    });
    ASSERT_TRUE(eventually([&] { return dataplane_.requests("bundle_cancel").size() == 1; }));
    dataplane_.kill();
    asking.join();
    ASSERT_TRUE(
        eventually([&] { return core_.locked<bool>([](FakeCore& core) { return core.downs == 1; }); }));
    dataplane_.set_silent(false);
    dataplane_.start();
    ASSERT_TRUE(eventually([&] { return core_.ups_seen() == 2; }));
    EXPECT_EQ(core_.ups.at(1).boot_id, dataplane_.boot_id());
    EXPECT_NE(core_.ups.at(1).boot_id, core_.ups.at(0).boot_id);
    EXPECT_TRUE(edge_.bundle_cancel({1, 2}).ok());
}

// A request that is never answered ends as unavailable, and later ones still work.
TEST_F(DataplaneClientTest, TimesOutAndGoesOn) {
    start_both();
    dataplane_.set_silent(true);
    const auto lost = edge_.bundle_ack({{1, 2}});
    ASSERT_FALSE(lost.ok());
    EXPECT_EQ(lost.error().code, ErrorCode::unavailable);
    EXPECT_THAT(lost.error().text, HasSubstr("within 2 s"));
    dataplane_.set_silent(false);
    EXPECT_TRUE(eventually([&] { return edge_.bundle_ack({{1, 2}}).ok(); }));
}

// A dataplane that stays silent is not believed to be up: the connection is made anew.
TEST_F(DataplaneClientTest, GivesUpASilentConnection) {
    start_both();
    dataplane_.set_silent(true);
    EXPECT_TRUE(
        eventually([&] { return core_.locked<bool>([](FakeCore& core) { return core.downs == 1; }); }));
    dataplane_.set_silent(false);
    EXPECT_TRUE(eventually([&] { return core_.ups_seen() == 2; }));
}

// Offers carry the head as it is, byte for byte; refusals of the dataplane keep code and text.
TEST_F(DataplaneClientTest, CarriesOffersAndRefusals) {
    start_both();
    const std::vector<std::uint8_t> head{0, 255, 10, 13, 0, 1};
    command::BundleOfferMessage offer;
    offer.id = {1, 2};
    offer.source_store = 18'000'000'000'000'000'000u;
    const auto accepted = edge_.bundle_offer(offer, head);
    ASSERT_TRUE(accepted.ok()) << accepted.error().text;
    EXPECT_TRUE(accepted.value());
    EXPECT_EQ(dataplane_.last_blob(), head);
    EXPECT_EQ(dataplane_.requests("bundle_offer").at(0).at("source_store"), 18'000'000'000'000'000'000u);
    dataplane_.refuse("store_open", Error{ErrorCode::permission_denied, "cannot open /x"});
    const auto refused = edge_.store_open(2, "/x", false, false);
    EXPECT_EQ(refused.error().code, ErrorCode::permission_denied);
    EXPECT_EQ(refused.error().text, "cannot open /x");
}

// Events arrive at the core in their order and complete; unknown and malformed ones do no harm.
TEST_F(DataplaneClientTest, DispatchesEvents) {
    start_both();
    json bundle, link;
    to_json(bundle, durable(9));
    command::LinkStatus status;
    status.link = 5;
    status.state = command::LinkState::up;
    to_json(link, status);
    dataplane_.emit({{"event", "comet"}});
    dataplane_.emit({{"event", "bundle"}, {"id", 7}});
    dataplane_.emit({{"neither", "this nor that"}});
    dataplane_.emit(event_of("bundle", bundle));
    dataplane_.emit({{"event", "mark"}, {"store", 18'000'000'000'000'000'000u}, {"watermark_ns", -5}});
    dataplane_.emit(event_of("link", link));
    ASSERT_TRUE(
        eventually([&] { return core_.locked<bool>([](FakeCore& core) { return !core.links.empty(); }); }));
    const std::lock_guard lock(core_.mutex);
    ASSERT_EQ(core_.bundle_events.size(), 1u);
    EXPECT_EQ(core_.bundle_events[0].id.low, 9u);
    EXPECT_EQ(core_.bundle_events[0].stage, wire::Stage::durable);
    ASSERT_EQ(core_.marks.size(), 1u);
    EXPECT_EQ(core_.marks[0], (std::pair<std::uint64_t, WallNs>{18'000'000'000'000'000'000u, -5}));
    EXPECT_EQ(core_.links[0].link, 5);
    EXPECT_EQ(core_.order, (std::vector<std::string>{"up", "bundle", "mark"}));
}

// Many threads ask at once, and each gets the answer to its own question.
TEST_F(DataplaneClientTest, MatchesAnswersOfManyThreads) {
    start_both();
    std::atomic<unsigned> answered{0};
    std::vector<std::thread> askers;
    for (unsigned i = 0; i < 8; ++i)
        askers.emplace_back([&, i] {
            for (unsigned j = 0; j < 50; ++j)
                if (j % 2 ? edge_.bundle_cancel({i, j}).ok() : edge_.bundle_offer({}, {}).ok()) ++answered;
        });
    for (std::thread& asker : askers)
        asker.join();
    EXPECT_EQ(answered, 400u);
}

// Links are stated before anything else is told to the core, at every connection, and a refused one says why.
TEST(DataplaneLinks, AreStatedAtEveryConnection) {
    TempDir directory;
    make_certificates(directory.path());
    ControlConfig config = sample_config(directory, "east");
    const ReservedPort nobody;
    config.pki = pki_of(directory.path(), "east");
    config.sites = {{"west", "https://127.0.0.1:" + std::to_string(nobody.port())}};
    config.links = {sample_link("west", "10.77.0.1", "10.77.0.2")};
    FakeDataplane dataplane(config.dataplane_socket);
    FakeCore core;
    Edge edge(config);
    dataplane.start();
    ASSERT_TRUE(edge.start(core).ok());
    ASSERT_TRUE(eventually([&] { return core.ups_seen() == 1; }));
    EXPECT_EQ(dataplane.requests("link_add").size(), 1u);
    EXPECT_EQ(core.ups.at(0).links.size(), 1u);  // the status was taken after the links were stated

    dataplane.kill();
    dataplane.refuse(
        "link_add", Error{ErrorCode::invalid_argument, "there is no port wan0: name one of the dataplane's"});
    dataplane.start();
    ASSERT_TRUE(eventually([&] { return core.ups_seen() == 2; }));
    EXPECT_THAT(edge.links().view("east-west-1")->reason, HasSubstr("there is no port wan0"));
}

}  // namespace
}  // namespace longhaul::control::test
