// JSON from a peer gone mad: every field of every message missing, of every wrong type, negative, too large,
// too long.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>

#include "dataplane/base/random.h"
#include "tests/unit/command/samples.h"

namespace longhaul::command {
namespace {

using nlohmann::json;

struct Message {
    const char* name;
    json good;
    std::function<std::optional<Error>(const json&)> parse;  // the error, if any
};

template <typename Parse>
Message message(const char* name, json good, Parse parse) {
    return {name, std::move(good), [parse](const json& in) -> std::optional<Error> {
                const auto result = parse(in);
                if (result.ok()) return std::nullopt;
                return result.error();
            }};
}

std::vector<Message> messages() {
    return {message("link_add", samples::settings(), link_settings_from),
            message("offer", samples::offer(), link_offer_from),
            message("start", samples::start(), link_start_from),
            message("status", samples::status(), link_status_from),
            message("bundle_offer", samples::bundle_offer(), bundle_offer_from),
            message("event", samples::event(), bundle_event_from),
            message("report", samples::report(), status_report_from)};
}

void expect_refused(const Message& message, const json& changed, const std::string& field) {
    const auto error = message.parse(changed);
    ASSERT_TRUE(error.has_value()) << message.name << '.' << field << " = "
                                   << changed[field].dump().substr(0, 60);
    EXPECT_EQ(error->code, ErrorCode::protocol_error);
    EXPECT_NE(error->text.find("'" + field + "'"), std::string::npos) << error->text;
}

// Proves that a missing field is named in the error, for every field but the one that is optional.
TEST(HostileJson, MissingFieldsAreNamed) {
    for (const Message& message : messages()) {
        for (const auto& [field, value] : message.good.items()) {
            json changed = message.good;
            changed.erase(field);
            if (field == "fixed_parity") {
                EXPECT_FALSE(message.parse(changed).has_value());
                continue;
            }
            expect_refused(message, changed, field);
        }
    }
}

// Proves that a value of another JSON type is refused in every field, never converted and never thrown on.
TEST(HostileJson, WrongTypesAreRefused) {
    const std::vector<json> others{json(nullptr),  json(true),
                                   json("text"),   json(1.5),
                                   json(-1),       json::array(),
                                   json::object(), json(7u),
                                   json(-1e300),   json(json::array({json::array({json::object()})}))};
    for (const Message& message : messages()) {
        for (const auto& [field, value] : message.good.items()) {
            if (field == "peer") continue;  // an object of its own: see PartsAreChecked
            for (const json& other : others) {
                const bool same_kind = other.type() == value.type() ||
                                       (other.is_number() && value.is_number_float()) ||
                                       (other.is_null() && field == "fixed_parity");
                if (same_kind) continue;
                json changed = message.good;
                changed[field] = other;
                expect_refused(message, changed, field);
            }
        }
    }
}

// Proves that no whole number may be negative, fractional or wider than its field.
TEST(HostileJson, NumbersOutOfRangeAreRefused) {
    for (const Message& message : messages()) {
        for (const auto& [field, value] : message.good.items()) {
            if (!value.is_number_unsigned()) continue;
            for (const char* number : {"-1", "-9223372036854775808", "1.0", "1e3", "18446744073709551616"}) {
                json changed = message.good;
                changed[field] = json::parse(number);
                expect_refused(message, changed, field);
            }
        }
    }
    json offer = samples::bundle_offer();
    offer["link"] = 256;
    EXPECT_FALSE(bundle_offer_from(offer).ok());
    offer["link"] = 255;
    offer["generation"] = std::uint64_t{1} << 32;
    EXPECT_FALSE(bundle_offer_from(offer).ok());
}

// Proves that the whole must be an object.
TEST(HostileJson, OnlyObjectsAreMessages) {
    for (const Message& message : messages())
        for (const json& whole :
             {json(nullptr), json(1), json("x"), json::array({message.good}), json(true), json()})
            EXPECT_TRUE(message.parse(whole).has_value()) << message.name;
}

// Proves that every list stops at its named limit, before its items are looked at.
TEST(HostileJson, HugeListsAreRefused) {
    const auto too_long = [](std::size_t most, const json& item) {
        return json(std::vector<json>(most + 1, item));
    };
    json offer = samples::offer();
    offer["spis"] = too_long(wire::kLanesMax, 1);
    EXPECT_FALSE(link_offer_from(offer).ok());
    json event = samples::event();
    event["failures"] = too_long(wire::kFailuresListed, json::array({0, 1}));
    EXPECT_FALSE(bundle_event_from(event).ok());
    json report = samples::report();
    report["links"] = too_long(kLinksMax, samples::status());
    EXPECT_FALSE(status_report_from(report).ok());
    for (const char* stores : {"source_stores", "target_stores"}) {
        report = samples::report();
        report[stores] = too_long(1'000'000, 1);
        EXPECT_FALSE(status_report_from(report).ok());
    }
    for (const char* bundles : {"bundles", "in_flight"}) {
        report = samples::report();
        report[bundles] = too_long(kBundlesListedMax, json(nullptr));
        const auto result = status_report_from(report);
        ASSERT_FALSE(result.ok());
        EXPECT_NE(result.error().text.find("at most"), std::string::npos) << result.error().text;
    }
}

// Proves that what stands inside lists and parts is checked like the whole, and the error says where.
TEST(HostileJson, PartsAreChecked) {
    for (const json& spis : {json::array({-1}), json::array({"1"}), json::array({std::uint64_t{1} << 32}),
                             json::array({nullptr})}) {
        json start = samples::start();
        start["peer"]["spis"] = spis;
        const auto result = link_start_from(start);
        ASSERT_FALSE(result.ok());
        EXPECT_NE(result.error().text.find("'spis'"), std::string::npos) << result.error().text;
    }
    for (const json& peer : {json(nullptr), json(7), json::array(), json::object()}) {
        json start = samples::start();
        start["peer"] = peer;
        EXPECT_FALSE(link_start_from(start).ok());
    }
    for (const json& failure :
         {json(1), json::array({1}), json::array({1, 2, 3}), json::array({-1, 1}), json::array({1, 15}),
          json::array({1, 256}), json::array({std::uint64_t{1} << 32, 1}), json::array({"1", 1}),
          json::object()}) {
        json event = samples::event();
        event["failures"] = json::array({failure});
        EXPECT_FALSE(bundle_event_from(event).ok()) << failure;
    }
    json report = samples::report();
    report["links"][1]["state"] = "sideways";
    EXPECT_FALSE(status_report_from(report).ok());
    report = samples::report();
    report["bundles"][0]["reason"] = 62;
    EXPECT_FALSE(status_report_from(report).ok());
    for (const json& id : {json(1), json("xyz"), json(std::string(33, '0')), json("")}) {
        report = samples::report();
        report["in_flight"][0] = id;
        EXPECT_FALSE(status_report_from(report).ok()) << id;
    }
}

// Proves that keys, nonces and ids are taken at exactly their length only.
TEST(HostileJson, HexFieldsHaveOneLength) {
    for (const char* field : {"secret", "own_nonce"}) {
        for (const std::string& text : {std::string(), std::string(62, '0'), std::string(66, '0'),
                                        std::string(63, '0'), std::string(64, 'z')}) {
            json start = samples::start();
            start[field] = text;
            const auto result = link_start_from(start);
            ASSERT_FALSE(result.ok()) << field << ' ' << text;
            EXPECT_EQ(result.error().text.find("0000"), std::string::npos)
                << "an error must not repeat a secret";
        }
    }
}

// Proves that random damage to the text of a good message ends in a value or an error, never in a crash (run
// it under the sanitizers), and that fields nobody knows do no harm.
TEST(HostileJson, DamagedTextNeverCrashes) {
    const std::uint64_t seed = 4242;
    SCOPED_TRACE("seed " + std::to_string(seed) +
                 "; replay: unit-command --gtest_filter=HostileJson.Damaged*");
    Random random(seed);
    unsigned refused = 0;
    for (const Message& message : messages()) {
        json extended = message.good;
        extended["from_the_future"] = json::array({1, "x"});
        EXPECT_FALSE(message.parse(extended).has_value());
        const std::string text = write_document(message.good);
        for (unsigned round = 0; round < 3000; ++round) {
            std::string damaged = text;
            for (std::uint64_t i = 0; i <= random.below(4); ++i) {
                static constexpr std::string_view kBytes = "0-19.eE\"{}[],:tfn\\\xff ";
                damaged[random.below(damaged.size())] = kBytes[random.below(kBytes.size())];
            }
            const auto document = parse_document(damaged);
            if (!document.ok() || message.parse(document.value()).has_value()) ++refused;
        }
    }
    EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace longhaul::command
