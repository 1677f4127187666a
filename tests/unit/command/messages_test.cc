// Every message survives the way through JSON text with each of its fields, and what a link may not be is
// refused.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "tests/unit/command/samples.h"

namespace longhaul::command {
namespace {

using nlohmann::json;

// The value after the journey object -> JSON -> text -> JSON -> object; fails the test when it does not
// arrive.
template <typename T, typename Parse>
T through_text(const T& value, Parse parse) {
    auto document = parse_document(write_document(json(value)));
    if (!document.ok()) {
        ADD_FAILURE() << document.error().text;
        return T{};
    }
    auto back = parse(document.value());
    if (!back.ok()) {
        ADD_FAILURE() << back.error().text;
        return T{};
    }
    return back.value();
}

// Equality by the written form would miss a field that nobody writes, so the read value is compared field by
// field.
void expect_same(const LinkStatus& a, const LinkStatus& b) {
    EXPECT_EQ(std::tie(a.link, a.name, a.session, a.state, a.rate_cap_bps, a.rate_bps),
              std::tie(b.link, b.name, b.session, b.state, b.rate_cap_bps, b.rate_bps));
    EXPECT_EQ(std::tie(a.loss_upper, a.loss_burst, a.tx_parity_steady, a.tx_parity_tail,
                       a.tx_interleave_depth, a.tx_redundancy_off, a.rx_loss_events),
              std::tie(b.loss_upper, b.loss_burst, b.tx_parity_steady, b.tx_parity_tail,
                       b.tx_interleave_depth, b.tx_redundancy_off, b.rx_loss_events));
    EXPECT_EQ(std::tie(a.rtt_ms, a.rtt_min_ms, a.queue_ms, a.loss),
              std::tie(b.rtt_ms, b.rtt_min_ms, b.queue_ms, b.loss));
    EXPECT_EQ(std::tie(a.mode, a.phase, a.bandwidth_bps, a.delivered_bps, a.rtt_base_ms, a.queue_target_ms,
                       a.loss_floor),
              std::tie(b.mode, b.phase, b.bandwidth_bps, b.delivered_bps, b.rtt_base_ms, b.queue_target_ms,
                       b.loss_floor));
    EXPECT_EQ(std::tie(a.tx_packets, a.tx_wire_bytes, a.tx_payload_bytes, a.tx_parity_packets,
                       a.tx_repair_packets, a.tx_lost_packets, a.tx_inflight_bytes, a.tx_brakes),
              std::tie(b.tx_packets, b.tx_wire_bytes, b.tx_payload_bytes, b.tx_parity_packets,
                       b.tx_repair_packets, b.tx_lost_packets, b.tx_inflight_bytes, b.tx_brakes));
    EXPECT_EQ(std::tie(a.rx_packets, a.rx_wire_bytes, a.rx_payload_bytes, a.rx_symbols_restored,
                       a.rx_stripes_repaired),
              std::tie(b.rx_packets, b.rx_wire_bytes, b.rx_payload_bytes, b.rx_symbols_restored,
                       b.rx_stripes_repaired));
    EXPECT_EQ(std::tie(a.tx_bundles_open, a.rx_bundles_open, a.symbol_bytes, a.lanes, a.reason),
              std::tie(b.tx_bundles_open, b.rx_bundles_open, b.symbol_bytes, b.lanes, b.reason));
}

void expect_same(const BundleEvent& a, const BundleEvent& b) {
    EXPECT_EQ(std::tie(a.id, a.generation, a.link, a.stage, a.reason, a.failed_entries, a.failures),
              std::tie(b.id, b.generation, b.link, b.stage, b.reason, b.failed_entries, b.failures));
}

void expect_same(const LinkOffer& a, const LinkOffer& b) {
    EXPECT_EQ(std::tie(a.nonce, a.spis, a.symbol_bytes), std::tie(b.nonce, b.spis, b.symbol_bytes));
}

// Proves that no field of the settings is lost or mixed up, with and without the optional one.
TEST(Messages, LinkSettingsRoundTrip) {
    LinkSettings sent = samples::settings();
    for (const auto parity :
         {std::optional<unsigned>(2), std::optional<unsigned>(0), std::optional<unsigned>()}) {
        sent.fixed_parity = parity;
        const LinkSettings got = through_text(sent, link_settings_from);
        EXPECT_EQ(
            std::tie(sent.link, sent.name, sent.port, sent.local_ip, sent.remote_ip, sent.udp_port_base),
            std::tie(got.link, got.name, got.port, got.local_ip, got.remote_ip, got.udp_port_base));
        EXPECT_EQ(std::tie(sent.lanes, sent.rate_bps, sent.share, sent.rtt_max_ms, sent.mode, sent.goal,
                           sent.fixed_parity, sent.traffic_class),
                  std::tie(got.lanes, got.rate_bps, got.share, got.rtt_max_ms, got.mode, got.goal,
                           got.fixed_parity, got.traffic_class));
    }
}

// Proves that nonces, SPIs and secrets arrive bit for bit: a single wrong bit would make a link that never
// comes up.
TEST(Messages, LinkOfferAndStartRoundTrip) {
    expect_same(through_text(samples::offer(), link_offer_from), samples::offer());
    expect_same(through_text(LinkOffer{}, link_offer_from), LinkOffer{});
    const LinkStart sent = samples::start();
    const LinkStart got = through_text(sent, link_start_from);
    EXPECT_EQ(std::tie(sent.link, sent.session, sent.initiator, sent.secret, sent.own_nonce,
                       sent.symbol_bytes, sent.lanes),
              std::tie(got.link, got.session, got.initiator, got.secret, got.own_nonce, got.symbol_bytes,
                       got.lanes));
    expect_same(got.peer, sent.peer);
}

// Proves that every counter arrives in its own field, at full width.
TEST(Messages, LinkStatusRoundTrip) {
    expect_same(through_text(samples::status(), link_status_from), samples::status());
    expect_same(through_text(LinkStatus{}, link_status_from), LinkStatus{});
}

// Proves that each state has a name of its own that is read back as the same state.
TEST(Messages, LinkStatesHaveDistinctNames) {
    std::set<std::string> names;
    for (unsigned i = 0; i <= static_cast<unsigned>(LinkState::down); ++i) {
        LinkStatus status;
        status.state = static_cast<LinkState>(i);
        names.insert(to_string(status.state));
        EXPECT_EQ(through_text(status, link_status_from).state, status.state);
    }
    EXPECT_EQ(names.size(), static_cast<std::size_t>(LinkState::down) + 1);
}

// Proves that a ratio over nothing (0/0) in the status cannot make a document that the other end refuses.
TEST(Messages, NonFiniteMeasurementsBecomeZero) {
    LinkStatus status;
    status.loss = std::numeric_limits<double>::quiet_NaN();
    status.rtt_ms = std::numeric_limits<double>::infinity();
    const LinkStatus got = through_text(status, link_status_from);
    EXPECT_EQ(got.loss, 0.0);
    EXPECT_EQ(got.rtt_ms, 0.0);
}

// Proves that offers and events keep id, generation, stage, reason and the list of failures.
TEST(Messages, BundleMessagesRoundTrip) {
    const BundleOfferMessage sent = samples::bundle_offer();
    const BundleOfferMessage got = through_text(sent, bundle_offer_from);
    EXPECT_EQ(std::tie(sent.link, sent.id, sent.generation, sent.source_store),
              std::tie(got.link, got.id, got.generation, got.source_store));

    BundleEvent event = samples::event();
    for (const auto stage :
         {wire::Stage::complete, wire::Stage::durable, wire::Stage::published, wire::Stage::failed}) {
        event.stage = stage;
        expect_same(through_text(event, bundle_event_from), event);
    }
    event.failures.assign(wire::kFailuresListed, {1, wire::FailReason::target_io});
    expect_same(through_text(event, bundle_event_from), event);
}

// Proves that an order event keeps its bundle, both places and every state, and that a state it cannot be is refused.
TEST(Messages, OrderEventRoundTrip) {
    OrderEvent event{samples::kOdd64,    samples::event().id,  3,     200,
                     OrderState::staged, {9, samples::kOdd64}, {8, 7}};
    for (const auto state : {OrderState::staged, OrderState::publishing, OrderState::published,
                             OrderState::failed, OrderState::refused, OrderState::gone}) {
        event.state = state;
        const OrderEvent got = through_text(event, order_event_from);
        EXPECT_EQ(std::tie(got.store, got.id, got.generation, got.link, got.state, got.place, got.position),
                  std::tie(event.store, event.id, event.generation, event.link, event.state, event.place,
                           event.position));
    }
    json wrong = event;
    wrong["state"] = "visible";
    EXPECT_FALSE(order_event_from(wrong).ok());
    wrong = event;
    wrong.erase("number");
    EXPECT_FALSE(order_event_from(wrong).ok());
}

// Proves that the report that re-states everything keeps each list in order.
TEST(Messages, StatusReportRoundTrip) {
    const StatusReport sent = samples::report();
    const StatusReport got = through_text(sent, status_report_from);
    EXPECT_EQ(std::tie(sent.boot_id, sent.source_stores, sent.target_stores, sent.in_flight),
              std::tie(got.boot_id, got.source_stores, got.target_stores, got.in_flight));
    ASSERT_EQ(got.links.size(), sent.links.size());
    for (std::size_t i = 0; i < sent.links.size(); ++i)
        expect_same(got.links[i], sent.links[i]);
    ASSERT_EQ(got.bundles.size(), sent.bundles.size());
    for (std::size_t i = 0; i < sent.bundles.size(); ++i)
        expect_same(got.bundles[i], sent.bundles[i]);
}

// Proves that the largest report within the named limits fits one frame, so that write_frame's assertion
// holds.
TEST(Messages, LargestReportFitsAFrame) {
    StatusReport report;
    report.boot_id = std::string(32, 'f');
    LinkStatus link = samples::status();
    link.name = std::string(kNameBytesMax, 'n');
    link.reason = std::string(1000, 'r');
    report.links.assign(kLinksMax, link);
    report.source_stores.assign(kStoresListedMax, ~std::uint64_t{0});
    report.target_stores = report.source_stores;
    BundleEvent event = samples::event();
    event.failures.assign(wire::kFailuresListed, {0xffffffff, wire::FailReason::internal});
    report.bundles.assign(kBundlesListedMax, event);
    report.in_flight.assign(kBundlesListedMax, event.id);
    const std::string text = write_document(json(report));
    EXPECT_LE(text.size(), kFrameBytesMax);
    EXPECT_TRUE(status_report_from(parse_document(text).value()).ok());
}

// Proves that settings that no worker could build are refused with the name of the field to change.
TEST(Messages, UnusableLinkSettingsAreRefused) {
    const json good = samples::settings();
    ASSERT_TRUE(link_settings_from(good).ok());
    const std::vector<std::pair<std::string, json>> wrong{
        {"lanes", 0},      {"lanes", 65},         {"udp_port_base", 65535}, {"udp_port_base", 0},
        {"rate_bps", 0},   {"rtt_max_ms", 0},     {"share", 0.49},          {"share", 1.01},
        {"share", "most"}, {"mode", "fair"},      {"goal", "fast"},         {"name", ""},
        {"port", ""},      {"fixed_parity", 129}, {"traffic_class", 256},   {"name", std::string(65, 'n')}};
    for (const auto& [field, value] : wrong) {
        json changed = good;
        changed[field] = value;
        const auto settings = link_settings_from(changed);
        ASSERT_FALSE(settings.ok()) << field << ' ' << value;
        EXPECT_NE(settings.error().text.find("'" + field + "'"), std::string::npos) << settings.error().text;
    }
    json highest = good;
    highest["udp_port_base"] = 65536 - 64;
    EXPECT_TRUE(link_settings_from(highest).ok());
}

// Proves that a session cannot start without a lane's SPI or with a session name that is not its 32 digits.
TEST(Messages, UnusableLinkStartsAreRefused) {
    const json good = samples::start();
    ASSERT_TRUE(link_start_from(good).ok());
    json changed = good;
    changed["lanes"] = 5;
    EXPECT_FALSE(link_start_from(changed).ok());
    for (const char* session :
         {"", "00", "00112233445566778899aabbccddeefg", "00112233445566778899aabbccddeeff00"}) {
        changed = good;
        changed["session"] = session;
        EXPECT_FALSE(link_start_from(changed).ok()) << session;
    }
}

}  // namespace
}  // namespace longhaul::command
