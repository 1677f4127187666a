// What people may write for a link setting, and what they are told when they err.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "drivers/wan/link_model.h"

namespace longhaul::wan {
namespace {

LinkSettings applied(const std::string& name, const std::string& value) {
    const auto result = apply_setting({}, name, value);
    EXPECT_TRUE(result.ok()) << name << "=" << value << ": " << (result.ok() ? "" : result.error().text);
    return result.ok() ? result.value() : LinkSettings{};
}

// Rates, sizes, times, shares and flags mean what a network engineer means by them.
TEST(LinkSettings, HumanValuesAreRead) {
    EXPECT_EQ(applied("rate", "1G").rate_bps, 1'000'000'000u);
    EXPECT_EQ(applied("rate", "100M").rate_bps, 100'000'000u);
    EXPECT_EQ(applied("rate", "2.5Gbit").rate_bps, 2'500'000'000u);
    EXPECT_EQ(applied("rate", "100 Gbps").rate_bps, 100'000'000'000u);
    EXPECT_EQ(applied("rate", "0").rate_bps, 0u);
    EXPECT_EQ(applied("delay", "50ms").delay, 50 * kMillisecond);
    EXPECT_EQ(applied("delay", "0").delay, 0u);
    EXPECT_EQ(applied("jitter", "12.5us").jitter, 12'500u);
    EXPECT_EQ(applied("reorder_delay", "1s").reorder_delay, kSecond);
    EXPECT_EQ(applied("reorder-delay", "7ns").reorder_delay, 7u);
    EXPECT_DOUBLE_EQ(applied("loss", "0.1%").loss, 0.001);
    EXPECT_DOUBLE_EQ(applied("loss", "0.25").loss, 0.25);
    EXPECT_DOUBLE_EQ(applied("loss", "100%").loss, 1);
    EXPECT_DOUBLE_EQ(applied("burst", "8").burst, 8);
    EXPECT_EQ(applied("queue", "64KiB").queue_bytes, 65536u);
    EXPECT_EQ(applied("queue", "2.5M").queue_bytes, 2'500'000u);
    EXPECT_EQ(applied("mtu", "1500").mtu_bytes, 1500u);
    EXPECT_EQ(applied("police", "900M").police_bps, 900'000'000u);
    EXPECT_EQ(applied("police-burst", "1500").police_burst_bytes, 1500u);
    EXPECT_EQ(applied("overhead", "24").frame_overhead_bytes, 24u);
    EXPECT_TRUE(applied("down", "true").down);
    EXPECT_FALSE(applied("down", "off").down);
}

// A value without sense is refused, the settings stay, and the text names the setting and a value that works.
TEST(LinkSettings, WrongValuesAreRefusedWithARemedy) {
    const std::pair<const char*, const char*> wrong[] = {
        {"rate", ""},      {"rate", "fast"},      {"rate", "-1G"},  {"rate", "1GB"},
        {"rate", "1e300"}, {"rate", "nan"},       {"delay", "50"},  {"delay", "50 minutes"},
        {"delay", "1e9s"}, {"loss", "2"},         {"loss", "101%"}, {"loss", "1%%"},
        {"burst", "0"},    {"burst", "0.5"},      {"mtu", "70000"}, {"down", "perhaps"},
        {"queue", "20ms"}, {"police-burst", "0"}, {"corrupt", "x"}, {"duplicate", "inf"},
    };
    for (const auto& [name, value] : wrong) {
        const auto result = apply_setting({}, name, value);
        ASSERT_FALSE(result.ok()) << name << "=" << value;
        EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(result.error().text.find(name), std::string::npos) << result.error().text;
        EXPECT_NE(result.error().text.find("for example"), std::string::npos) << result.error().text;
    }
    const auto unknown = apply_setting({}, "latency", "5ms");
    ASSERT_FALSE(unknown.ok());
    EXPECT_NE(unknown.error().text.find("reorder-delay"), std::string::npos) << "the known names are listed";
}

// Every documented example is accepted, and describe() gives values that rebuild the same settings.
TEST(LinkSettings, HelpAndDescriptionAgreeWithTheParser) {
    LinkSettings all;
    for (const SettingHelp& help : setting_help()) {
        const auto result = apply_setting(all, help.name, help.example);
        ASSERT_TRUE(result.ok()) << help.name << ": " << (result.ok() ? "" : result.error().text);
        all = result.value();
    }
    LinkSettings again;
    for (const auto& [name, value] : describe(all)) {
        const auto result = apply_setting(again, name, value);
        ASSERT_TRUE(result.ok()) << name << "=" << value;
        again = result.value();
    }
    EXPECT_EQ(describe(again), describe(all));
    EXPECT_EQ(describe(all).size(), setting_help().size());
}

}  // namespace
}  // namespace longhaul::wan
