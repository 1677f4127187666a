// Link settings as people write them: "1G", "50ms", "0.1%", "64KiB". Every refusal names the setting, repeats
// what was given and shows a value that would be taken.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "drivers/wan/link_model.h"

namespace longhaul::wan {
namespace {

struct Unit {
    std::string_view name;
    double factor;
};

constexpr std::array kRateUnits = {
    Unit{"", 1},       Unit{"bit", 1},    Unit{"bps", 1},    Unit{"k", 1e3},
    Unit{"K", 1e3},    Unit{"M", 1e6},    Unit{"G", 1e9},    Unit{"T", 1e12},
    Unit{"kbit", 1e3}, Unit{"Mbit", 1e6}, Unit{"Gbit", 1e9}, Unit{"Tbit", 1e12},
    Unit{"kbps", 1e3}, Unit{"Mbps", 1e6}, Unit{"Gbps", 1e9}, Unit{"Tbps", 1e12},
};
constexpr std::array kByteUnits = {
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"k", 1e3},
    Unit{"K", 1e3},
    Unit{"M", 1e6},
    Unit{"G", 1e9},
    Unit{"kB", 1e3},
    Unit{"KB", 1e3},
    Unit{"MB", 1e6},
    Unit{"GB", 1e9},
    Unit{"KiB", 1024},
    Unit{"MiB", 1048576},
    Unit{"GiB", 1073741824.0},
};
constexpr std::array kTimeUnits = {Unit{"ns", 1}, Unit{"us", 1e3}, Unit{"ms", 1e6}, Unit{"s", 1e9}};
constexpr std::array kShareUnits = {Unit{"", 1}, Unit{"%", 0.01}};
constexpr std::array kCountUnits = {Unit{"", 1}};

// A time of a minute and a rate of 100 Tbit/s are beyond any link on Earth and keep the arithmetic far from
// overflow.
constexpr double kTimeLimitNs = 60e9;
constexpr double kRateLimitBps = 100e12;
constexpr double kBytesLimit = 1e12;

// "12.5ms" -> 12.5e6 with the unit taken from `units`; nullopt: no number, unknown unit, negative or not
// finite.
std::optional<double> parse_quantity(std::string_view text, std::span<const Unit> units) {
    double number = 0;
    const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc{} || !std::isfinite(number) || number < 0) return std::nullopt;
    std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
    if (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    for (const Unit& known : units)
        if (known.name == unit) return number * known.factor;
    if (number == 0 && unit.empty()) return 0;  // nothing is nothing in any unit
    return std::nullopt;
}

std::optional<bool> parse_flag(std::string_view text) {
    if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
    if (text == "false" || text == "no" || text == "off" || text == "0") return false;
    return std::nullopt;
}

template <typename T>
bool assign(T& field, std::string_view text, std::span<const Unit> units, double low, double high) {
    const auto value = parse_quantity(text, units);
    if (!value || *value < low || *value > high) return false;
    if constexpr (std::is_integral_v<T>) {
        field = static_cast<T>(std::llround(*value));
    } else {
        field = *value;
    }
    return true;
}

bool assign_named(LinkSettings& settings, std::string_view name, std::string_view value) {
    const auto time = [&](TimeNs& field) { return assign(field, value, kTimeUnits, 0, kTimeLimitNs); };
    const auto share = [&](double& field) { return assign(field, value, kShareUnits, 0, 1); };
    if (name == "rate") return assign(settings.rate_bps, value, kRateUnits, 0, kRateLimitBps);
    if (name == "overhead") return assign(settings.frame_overhead_bytes, value, kByteUnits, 0, 1000);
    if (name == "delay") return time(settings.delay);
    if (name == "jitter") return time(settings.jitter);
    if (name == "queue") return assign(settings.queue_bytes, value, kByteUnits, 0, kBytesLimit);
    if (name == "loss") return share(settings.loss);
    if (name == "burst") return assign(settings.burst, value, kCountUnits, 1, 1e9);
    if (name == "reorder") return share(settings.reorder);
    if (name == "reorder-delay") return time(settings.reorder_delay);
    if (name == "duplicate") return share(settings.duplicate);
    if (name == "corrupt") return share(settings.corrupt);
    if (name == "mtu") return assign(settings.mtu_bytes, value, kByteUnits, 0, 65535);
    if (name == "police") return assign(settings.police_bps, value, kRateUnits, 0, kRateLimitBps);
    if (name == "police-burst") return assign(settings.police_burst_bytes, value, kByteUnits, 1, kBytesLimit);
    const auto flag = parse_flag(value);
    if (name == "down" && flag) settings.down = *flag;
    return name == "down" && flag.has_value();
}

constexpr std::array kHelp = {
    SettingHelp{"rate", "1G", "bits per second on the line, frame overhead included; 0: unlimited"},
    SettingHelp{"overhead", "4", "bytes added to each frame on the line (4: FCS, 24: with preamble and gap)"},
    SettingHelp{"delay", "25ms", "one-way delay"},
    SettingHelp{"jitter", "1ms", "extra delay, uniform between 0 and this; order is kept"},
    SettingHelp{"queue", "2.5M",
                "bytes that wait for the line before frames are dropped; 0: 20 ms of the rate"},
    SettingHelp{"loss", "0.1%", "share of frames that vanish"},
    SettingHelp{"burst", "8", "mean frames lost in a row (Gilbert-Elliott); 1: independent losses"},
    SettingHelp{"reorder", "0.1%", "share of frames held back by reorder-delay"},
    SettingHelp{"reorder-delay", "2ms", "how long a reordered frame is held back"},
    SettingHelp{"duplicate", "0.01%", "share of frames delivered twice"},
    SettingHelp{"corrupt", "0.01%", "share of frames with one bit flipped"},
    SettingHelp{"mtu", "1500", "frames with more IP bytes than this vanish silently; 0: none do"},
    SettingHelp{"police", "900M", "rate of a token-bucket policer in front of the queue; 0: none"},
    SettingHelp{"police-burst", "64KiB", "bytes that the policer lets pass at once"},
    SettingHelp{"down", "true", "everything vanishes"},
};

std::string number_text(double value) {
    std::array<char, 64> text{};
    const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
    return {text.data(), result.ptr};
}

}  // namespace

std::span<const SettingHelp> setting_help() noexcept {
    return kHelp;
}

Result<LinkSettings> apply_setting(LinkSettings settings, const std::string& name, const std::string& value) {
    std::string dashed = name;
    for (char& letter : dashed)
        if (letter == '_') letter = '-';
    for (const SettingHelp& help : kHelp) {
        if (dashed != help.name) continue;
        if (assign_named(settings, dashed, value)) return settings;
        return Error{ErrorCode::invalid_argument, "link setting " + dashed + " cannot be \"" + value +
                                                      "\" (" + help.meaning + "); write for example " +
                                                      help.example};
    }
    std::string known;
    for (const SettingHelp& help : kHelp)
        known += std::string(known.empty() ? "" : ", ") + help.name;
    return Error{ErrorCode::invalid_argument,
                 "there is no link setting \"" + name + "\"; known are " + known};
}

std::vector<std::pair<std::string, std::string>> describe(const LinkSettings& settings) {
    return {
        {"rate", std::to_string(settings.rate_bps)},
        {"overhead", std::to_string(settings.frame_overhead_bytes)},
        {"delay", std::to_string(settings.delay) + "ns"},
        {"jitter", std::to_string(settings.jitter) + "ns"},
        {"queue", std::to_string(settings.queue_bytes)},
        {"loss", number_text(settings.loss)},
        {"burst", number_text(settings.burst)},
        {"reorder", number_text(settings.reorder)},
        {"reorder-delay", std::to_string(settings.reorder_delay) + "ns"},
        {"duplicate", number_text(settings.duplicate)},
        {"corrupt", number_text(settings.corrupt)},
        {"mtu", std::to_string(settings.mtu_bytes)},
        {"police", std::to_string(settings.police_bps)},
        {"police-burst", std::to_string(settings.police_burst_bytes)},
        {"down", settings.down ? "true" : "false"},
    };
}

}  // namespace longhaul::wan
