// The dataplane's configuration: right files give right values, wrong ones are refused with file, line and remedy.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/config.h"

#include <gtest/gtest.h>

#include "dataplane/command/rate.h"

namespace longhaul::worker {
namespace {

const char* const kRight = R"([dataplane]
name = "east"
socket = "/run/east.sock"
plan_rate = "2.5G"
hugepages = "never"
poll = true

[[port]]
name = "wan0"
device = "net_memif0,role=client"
addresses = ["10.77.0.1/24", "fd00::1/64"]
mtu = 1500
)";

// Expects a refusal whose text holds every one of `parts`.
void expect_refused(const std::string& text, std::initializer_list<const char*> parts) {
    const auto config = parse_config(text, "east.toml");
    ASSERT_FALSE(config.ok()) << text;
    for (const char* part : parts)
        EXPECT_NE(config.error().text.find(part), std::string::npos) << config.error().text;
}

// Every value of the file arrives, and what the file leaves out has its documented default.
TEST(DataplaneConfigTest, ReadsARightFile) {
    const auto config = parse_config(kRight, "east.toml");
    ASSERT_TRUE(config.ok()) << config.error().text;
    EXPECT_EQ(config.value().name, "east");
    EXPECT_EQ(config.value().plan_rate_bps, 2'500'000'000u);
    EXPECT_FALSE(config.value().hugepages);
    EXPECT_TRUE(config.value().poll);
    EXPECT_EQ(config.value().idle_sleep_us, 100u);
    ASSERT_EQ(config.value().ports.size(), 1u);
    EXPECT_EQ(config.value().ports[0].addresses.size(), 2u);
    EXPECT_TRUE(config.value().ports[0].addresses[1].address.v6);
}

// A wrong value names the file, the line it stands on and what would be right.
TEST(DataplaneConfigTest, RefusesWithFileLineAndRemedy) {
    expect_refused("[dataplane]\nplan_rate = \"1X\"\n[[port]]\n", {"east.toml:2", "1X", "\"1G\""});
    expect_refused("[dataplane]\nidle_sleep_us = 5\n", {"east.toml:2", "from 10 to 10000"});
    expect_refused("[dataplane]\n\nworkers = 17\n", {"east.toml:3", "workers", "from 1 to 16"});
    expect_refused("[dataplane]\nsokket = \"x\"\n", {"east.toml:2", "sokket", "socket"});
    expect_refused("[dataplane]\npoll = \"yes\"\n", {"east.toml:2", "true or false"});
    expect_refused("[dataplane]\nlog_level = \"loud\"\n", {"east.toml:2", "warning"});
    expect_refused("[wan]\n", {"east.toml:1", "unknown section"});
    expect_refused("[dataplane\n", {"east.toml:1", "TOML"});
    expect_refused("[dataplane]\n", {"no [[port]]"});
    expect_refused("[[port]]\nname = \"a\"\ndevice = \"net_null0\"\n", {"east.toml:1", "addresses"});
    expect_refused("[[port]]\nname = \"a\"\ndevice = \"d\"\naddresses = [\"10.0.0.300/24\"]\n",
                   {"east.toml:4"});
    expect_refused("[[port]]\nname = \"a\"\ndevice = \"d\"\nmtu = 100\n",
                   {"east.toml:4", "from 576 to 9216"});
}

// Rates are read with their units; everything else is refused.
TEST(DataplaneConfigTest, ParsesRates) {
    EXPECT_EQ(command::parse_rate_bps("1G").value(), 1'000'000'000u);
    EXPECT_EQ(command::parse_rate_bps("250M").value(), 250'000'000u);
    EXPECT_EQ(command::parse_rate_bps("64000").value(), 64'000u);
    for (const char* wrong : {"", "G", "1T", "-1G", "0", "nan", "1G ", "1e99G"})
        EXPECT_FALSE(command::parse_rate_bps(wrong).ok()) << wrong;
}

// Flags override the file; help ends without needing one; nonsense is refused.
TEST(DataplaneConfigTest, CommandLine) {
    const char* help[] = {"longhaul-dataplane", "--help"};
    const auto shown = read_command_line(2, help);
    ASSERT_TRUE(shown.ok());
    EXPECT_TRUE(shown.value().exit_now);
    EXPECT_NE(shown.value().text.find("Overrides of the configuration file"), std::string::npos);
    const char* missing[] = {"longhaul-dataplane"};
    EXPECT_FALSE(read_command_line(1, missing).ok());
    const char* absent[] = {"longhaul-dataplane", "--config", "/nonexistent/east.toml"};
    const auto refused = read_command_line(3, absent);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().text.find("/nonexistent/east.toml"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::worker
