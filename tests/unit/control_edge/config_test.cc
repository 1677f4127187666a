// Proves that a configuration is read whole, and that every kind of mistake is refused with file, line and
// remedy.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "tests/unit/control_edge/support.h"

namespace longhaul::control::test {
namespace {

using ::testing::HasSubstr;

const std::string kGood = R"([control]
site = "east"
state_directory = "/var/lib/longhaul"
dataplane_socket = "/run/longhaul/dataplane.sock"
allowed_roots = ["/srv/replica"]

[pki]
ca = "ca.pem"
certificate = "east.pem"
key = "east.key"

[[site]]
name = "west"
peer_url = "https://192.0.2.2:7401"

[[link]]
id = 3
name = "east-west-1"
site = "west"
port = "wan0"
local_ip = "10.77.0.1"
remote_ip = "10.77.0.2"
rate = "2.5G"
fec = "fixed:64,2"
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    LH_ASSERT(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

std::string refusal(const std::string& from, const std::string& to, const Overrides& overrides = {}) {
    const auto config = parse_config(replaced(kGood, from, to), "control.toml", overrides);
    return config ? "accepted" : config.error().text;
}

// A complete file gives every value, with the defaults of the brief for what is not written.
TEST(Config, ReadsACompleteFile) {
    const auto result = parse_config(kGood, "control.toml", {});
    ASSERT_TRUE(result.ok()) << result.error().text;
    const ControlConfig& config = result.value();
    EXPECT_EQ(config.site, "east");
    EXPECT_EQ(to_string(config.rest_listen), "127.0.0.1:7400");
    EXPECT_EQ(to_string(config.peer_listen), "127.0.0.1:7401");
    EXPECT_EQ(config.token_file, "/var/lib/longhaul/token");
    ASSERT_EQ(config.sites.size(), 1u);
    ASSERT_EQ(config.links.size(), 1u);
    const command::LinkSettings& link = config.links[0].settings;
    EXPECT_EQ(link.link, 3);
    EXPECT_EQ(link.rate_bps, 2'500'000'000u);
    EXPECT_EQ(link.fixed_parity, 2u);
    EXPECT_EQ(link.share, 0.97);
    EXPECT_EQ(link.lanes, 4u);
    EXPECT_EQ(link.udp_port_base, 49152);
}

// Sources are listened to unless the file says otherwise; anything else is refused with both words.
TEST(Config, CaptureIsByEventsOrBySweepsAlone) {
    const std::string site = "site = \"east\"\n";
    EXPECT_EQ(parse_config(kGood, "control.toml", {}).value().capture, "events");
    const auto quiet =
        parse_config(replaced(kGood, site, site + "capture = \"sweeps\"\n"), "control.toml", {});
    ASSERT_TRUE(quiet.ok()) << quiet.error().text;
    EXPECT_EQ(quiet.value().capture, "sweeps");
    const std::string text = refusal(site, site + "capture = \"inotify\"\n");
    EXPECT_THAT(text, HasSubstr("control.toml:3"));
    EXPECT_THAT(text, HasSubstr("\"events\", or \"sweeps\""));
}

// Without a word: a lane for every 3 Gbit/s, at least four, at most 64, and as many source ports as there is room for.
TEST(Config, ChoosesLanesByTheRate) {
    const auto lanes = [](const std::string& rate) {
        const auto config = parse_config(replaced(kGood, "\"2.5G\"", "\"" + rate + "\""), "control.toml", {});
        return config.ok() ? config.value().links[0].settings.lanes : 0;
    };
    EXPECT_EQ(lanes("100M"), 4u);
    EXPECT_EQ(lanes("12G"), 4u);
    EXPECT_EQ(lanes("25G"), 9u);
    EXPECT_EQ(lanes("100G"), 34u);
    EXPECT_EQ(lanes("400G"), 64u);
}

// The card's example, word for word: file, line, value, remedy.
TEST(Config, RefusesAWrongRateWithItsLine) {
    EXPECT_THAT(
        refusal("\"2.5G\"", "\"1X\""),
        HasSubstr(
            "control.toml:23: rate \"1X\" is not a rate: write a number with K, M, G (bit/s), e.g. \"1G\""));
}

// A link's calendar: what is wrong is named with its line and an example.
TEST(Config, ReadsALinksCalendar) {
    const auto with = [](const std::string& lines) {
        return parse_config(replaced(kGood, "rate = \"2.5G\"", "rate = \"2.5G\"\n" + lines), "control.toml",
                            {});
    };
    const auto good =
        with("windows = [\"mon-fri 08:00-18:00 1G\", \"sun 00:00-24:00 0\"]\nblackouts = [\"2026-12-24\"]");
    ASSERT_TRUE(good.ok()) << good.error().text;
    EXPECT_EQ(good.value().links[0].calendar.windows.size(), 2u);
    EXPECT_EQ(good.value().links[0].calendar.blackouts.size(), 1u);
    EXPECT_THAT(with("maintenance = [\"tomorrow\"]").error().text,
                HasSubstr("control.toml:24: maintenance \"tomorrow\" is not understood: write e.g. "
                          "\"2026-12-01T22:00Z/2026-12-02T02:00Z\""));
    std::string many = "blackouts = [";
    for (int i = 0; i < 65; ++i)
        many += "\"2026-12-24\",";
    EXPECT_THAT(with(many + "]").error().text, HasSubstr("more than 64 entries"));
}

// Every other kind of wrong value names its own line and what to write.
TEST(Config, RefusesEachKindOfWrongValue) {
    EXPECT_THAT(refusal("id = 3", "id = 300"),
                HasSubstr("control.toml:17: id must be a whole number from 0 to 255"));
    EXPECT_THAT(refusal("\"10.77.0.2\"", "\"10.77.0.2/24\""), HasSubstr("control.toml:22: remote_ip"));
    EXPECT_THAT(refusal("\"10.77.0.2\"", "\"fd00::2\""), HasSubstr("different families"));
    EXPECT_THAT(refusal("\"fixed:64,2\"", "\"fixed:32,2\""), HasSubstr("control.toml:24: fec"));
    EXPECT_THAT(refusal("https://192.0.2.2:7401", "http://192.0.2.2:7401"),
                HasSubstr("control.toml:14: peer_url"));
    EXPECT_THAT(refusal("site = \"west\"", "site = \"wset\""), HasSubstr("did you mean \"west\"?"));
    EXPECT_THAT(refusal("site = \"east\"", "site = \"East!\""), HasSubstr("control.toml:2: site"));
    EXPECT_THAT(refusal("allowed_roots = [\"/srv/replica\"]", "allowed_roots = \"/srv\""),
                HasSubstr("control.toml:5: allowed_roots"));
    EXPECT_THAT(refusal("allowed_roots", "rest_listen = \"0.0.0.0:7400\"\nallowed_roots"),
                HasSubstr("control.toml:5: rest_listen"));
    EXPECT_THAT(refusal("port = \"wan0\"\n", ""), HasSubstr("missing port in [[link]]"));
    EXPECT_EQ(refusal("fec =", "share = 1\nfec ="), "accepted");
    for (const char* share : {"0.4", "1.01", "nan", "\"1\"", "true"})
        EXPECT_THAT(refusal("fec =", std::string("share = ") + share + "\nfec ="),
                    HasSubstr("share must be a number from 0.5 to 1"))
            << share;
    EXPECT_THAT(refusal("[[link]]", "[link]"), HasSubstr("must be written [[link]]"));
    EXPECT_THAT(refusal("[pki]", "[pki"), HasSubstr("control.toml:7: not valid TOML"));
}

// Unknown keys and tables are refused with the nearest name there is.
TEST(Config, RefusesUnknownKeysWithTheNearestName) {
    EXPECT_THAT(
        refusal("remote_ip =", "remot_ip ="),
        HasSubstr("control.toml:22: unknown key \"remot_ip\" in [[link]]: did you mean \"remote_ip\"?"));
    EXPECT_THAT(refusal("[pki]", "[pkii]"),
                HasSubstr("unknown table or key \"pkii\": did you mean \"pki\"?"));
}

// All refusals come at once, so that a file is repaired in one go.
TEST(Config, CollectsAllRefusals) {
    const std::string text =
        refusal("rate = \"2.5G\"\nfec = \"fixed:64,2\"", "rate = \"fast\"\nfec = \"much\"");
    EXPECT_THAT(text, HasSubstr("control.toml:23: rate"));
    EXPECT_THAT(text, HasSubstr("control.toml:24: fec"));
}

// A flag overrides the file, and its own mistakes are reported under the flag's name.
TEST(Config, FlagsOverrideScalars) {
    const auto config = parse_config(kGood, "control.toml",
                                     {{"rest_listen", {"127.0.0.1:9000"}}, {"allowed_roots", {"/a", "/b"}}});
    ASSERT_TRUE(config.ok()) << config.error().text;
    EXPECT_EQ(config.value().rest_listen.port, 9000);
    EXPECT_EQ(config.value().allowed_roots, (std::vector<std::string>{"/a", "/b"}));
    EXPECT_THAT(refusal("[pki]", "[pki]", {{"rest_listen", {"nowhere"}}}),
                HasSubstr("--rest-listen: rest_listen \"nowhere\" is not an address"));
}

// The command line knows its flags, prints help in groups, and refuses what it does not know.
TEST(CommandLine, ParsesHelpAndRefusals) {
    const char* good[] = {"longhaul-control", "--config", "a.toml", "--site", "north",
                          "--allowed-root",   "/x"};
    const auto parsed = parse_command_line(7, good);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value().config_file, "a.toml");
    EXPECT_EQ(parsed.value().overrides.at("site").back(), "north");
    const char* help[] = {"longhaul-control", "--help"};
    EXPECT_THAT(parse_command_line(2, help).value().output, HasSubstr("Override [control]"));
    const char* wrong[] = {"longhaul-control", "--colour"};
    EXPECT_FALSE(parse_command_line(2, wrong).ok());
    EXPECT_FALSE(parse_command_line(1, wrong).ok());
}

// Rates, durations, endpoints and times are read and written with their units, and nonsense never passes.
TEST(Values, ParseAndFormat) {
    EXPECT_EQ(parse_rate_bps("500M").value(), 500'000'000u);
    for (const char* wrong : {"", "G", "-1G", "1G ", "1e9", "0", "nan", "2000G", "1..5G", "0x10"})
        EXPECT_FALSE(parse_rate_bps(wrong).ok()) << wrong;
    EXPECT_EQ(parse_duration_s("5m").value(), 300);
    EXPECT_EQ(parse_duration_s("250ms").value(), 0.25);
    EXPECT_FALSE(parse_duration_s("soon").ok());
    EXPECT_EQ(parse_endpoint("[::1]:80").value(), (Endpoint{"::1", 80}));
    for (const char* wrong : {"::1:80", "host", ":80", "host:65536", "host:", "a b:1", "[x]:1"})
        EXPECT_FALSE(parse_endpoint(wrong).ok()) << wrong;
    EXPECT_TRUE(is_loopback("127.9.9.9"));
    EXPECT_FALSE(is_loopback("10.0.0.1"));
    EXPECT_EQ(rfc3339(1'795'356'629'123'456'789), "2026-11-22T14:10:29.123Z");
    EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(format_rate(1e9), "1 Gbit/s");
    EXPECT_EQ(format_bytes(1536), "1.5 KiB");
    EXPECT_EQ(format_duration(185), "3 m 05 s");
}

}  // namespace
}  // namespace longhaul::control::test
