// What people write and read: parsing with remedies, formatting with units.
// SPDX-License-Identifier: Apache-2.0
#include "control/config/values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "dataplane/command/messages.h"

namespace longhaul::control {
namespace {

constexpr double kDurationMaxS = 86400.0 * 365;
constexpr unsigned kStripeSymbols = 64;
constexpr unsigned kFixedParityMax = 16;

// The number at the front of `text`; the rest is its unit. Locale-free, no sign, no exponent.
std::optional<std::pair<double, std::string_view>> leading_number(std::string_view text) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
    double value = 0;
    const auto [stop, error] =
        std::from_chars(text.data(), text.data() + end, value, std::chars_format::fixed);
    if (error != std::errc{} || stop != text.data() + end) return std::nullopt;
    return std::pair{value, text.substr(end)};
}

template <typename Unit, std::size_t Count>
std::optional<double> unit_factor(std::string_view unit, const std::array<Unit, Count>& units) {
    for (const auto& [name, factor] : units)
        if (unit == name) return factor;
    return std::nullopt;
}

Error invalid(std::string text) {
    return Error{ErrorCode::invalid_argument, std::move(text)};
}

std::string print(const char* format, double value, const char* unit) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, value, unit);
    return buffer.data();
}

}  // namespace

std::string format_rate(double rate_bps) {
    if (rate_bps >= 1e9) return print("%.4g %s", rate_bps / 1e9, "Gbit/s");
    if (rate_bps >= 1e6) return print("%.4g %s", rate_bps / 1e6, "Mbit/s");
    if (rate_bps >= 1e3) return print("%.4g %s", rate_bps / 1e3, "Kbit/s");
    return print("%.0f %s", rate_bps, "bit/s");
}

std::string format_bytes(double bytes) {
    static constexpr std::array<const char*, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < kUnits.size()) {
        bytes /= 1024;
        ++unit;
    }
    return print(unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
}

Result<double> parse_duration_s(std::string_view text) {
    using Unit = std::pair<std::string_view, double>;
    static constexpr std::array<Unit, 6> kUnits{
        {{"", 1.0}, {"s", 1.0}, {"ms", 1e-3}, {"m", 60.0}, {"h", 3600.0}, {"d", 86400.0}}};
    const auto number = leading_number(text);
    const auto factor = number ? unit_factor(number->second, kUnits) : std::nullopt;
    if (!factor || number->first * *factor > kDurationMaxS)
        return invalid(in_quotes(text) +
                       " is not a duration: write a number with ms, s, m, h or d, e.g. \"60s\"");
    return number->first * *factor;
}

std::string format_duration(double seconds) {
    if (seconds < 0) return "-" + format_duration(-seconds);
    if (seconds < 1) return print("%.0f %s", seconds * 1000, "ms");
    if (seconds < 120) return print("%.1f %s", seconds, "s");
    const auto whole = static_cast<long long>(std::llround(seconds));
    std::array<char, 64> buffer{};
    if (whole < 7200)
        std::snprintf(buffer.data(), buffer.size(), "%lld m %02lld s", whole / 60, whole % 60);
    else
        std::snprintf(buffer.data(), buffer.size(), "%lld h %02lld m", whole / 3600, whole % 3600 / 60);
    return buffer.data();
}

Result<std::optional<unsigned>> parse_fec(std::string_view text) {
    if (text.empty() || text == "adaptive") return std::optional<unsigned>{};
    const Error refusal =
        invalid(in_quotes(text) +
                " is not a redundancy: write \"\" (adaptive) or \"fixed:64,M\" with M parity "
                "symbols (0 to 16) for every 64 data symbols, e.g. \"fixed:64,2\"");
    constexpr std::string_view kPrefix = "fixed:";
    if (!text.starts_with(kPrefix)) return refusal;
    const std::string_view pair = text.substr(kPrefix.size());
    const std::size_t comma = pair.find(',');
    if (comma == std::string_view::npos) return refusal;
    unsigned data = 0;
    unsigned parity = 0;
    const char* end = pair.data() + pair.size();
    const auto first = std::from_chars(pair.data(), pair.data() + comma, data);
    const auto second = std::from_chars(pair.data() + comma + 1, end, parity);
    if (first.ec != std::errc{} || first.ptr != pair.data() + comma || second.ec != std::errc{} ||
        second.ptr != end || data != kStripeSymbols || parity > kFixedParityMax)
        return refusal;
    return std::optional<unsigned>{parity};
}

std::string format_fec(const std::optional<unsigned>& fixed_parity) {
    return fixed_parity ? "fixed:64," + std::to_string(*fixed_parity) : std::string{};
}

Result<Endpoint> parse_endpoint(std::string_view text) {
    const Error refusal = invalid(
        in_quotes(text) + " is not an address: write host:port, e.g. \"127.0.0.1:7400\" or \"[::1]:7400\"");
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return refusal;
    std::string_view host = text.substr(0, colon);
    const std::string_view port_text = text.substr(colon + 1);
    if (host.front() == '[') {
        if (host.size() < 4 || host.back() != ']') return refusal;
        host = host.substr(1, host.size() - 2);
        if (ip_family(std::string(host)) != IpFamily::v6) return refusal;
    } else if (host.find(':') != std::string_view::npos) {
        return refusal;
    }
    if (host.find_first_of(" \t/@[]") != std::string_view::npos) return refusal;
    std::uint16_t port = 0;
    const auto [stop, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (error != std::errc{} || stop != port_text.data() + port_text.size()) return refusal;
    return Endpoint{std::string(host), port};
}

std::string to_string(const Endpoint& endpoint) {
    const bool bracket = endpoint.host.find(':') != std::string::npos;
    return (bracket ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

bool is_loopback(const std::string& host) {
    if (host == "localhost" || host == "::1") return true;
    in_addr address{};
    return inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

Result<Url> parse_url(std::string_view text) {
    const Error refusal = invalid(
        in_quotes(text) + " is not a URL this program can use: write \"https://host:port\" without a path");
    Url url;
    std::string_view rest;
    if (text.starts_with("https://")) {
        url.tls = true;
        rest = text.substr(8);
    } else if (text.starts_with("http://")) {
        rest = text.substr(7);
    } else {
        return refusal;
    }
    if (rest.ends_with('/')) rest.remove_suffix(1);
    auto endpoint = parse_endpoint(rest);
    if (!endpoint || endpoint.value().port == 0) return refusal;
    url.endpoint = std::move(endpoint).value();
    return url;
}

bool name_is_valid(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !name.empty() && name.size() <= 63 && letter(name.front()) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || c == '-'; });
}

Result<void> check_goal(std::string_view goal) {
    if (goal == "throughput" || goal == "balanced" || goal == "latency") return {};
    return invalid(in_quotes(goal) + " is not a goal: write \"throughput\", \"balanced\" or \"latency\"");
}

Result<void> check_mode(std::string_view mode) {
    if (command::is_congestion_mode(mode)) return {};
    return invalid(in_quotes(mode) +
                   " is not a congestion mode: write \"reserved\", \"shared\", \"scavenger\" or \"delay\"");
}

IpFamily ip_family(const std::string& text) {
    in6_addr address{};
    if (inet_pton(AF_INET, text.c_str(), &address) == 1) return IpFamily::v4;
    if (inet_pton(AF_INET6, text.c_str(), &address) == 1) return IpFamily::v6;
    return IpFamily::none;
}

std::string nearest(std::string_view wrong, const std::vector<std::string>& known) {
    if (wrong.size() > 80) return {};
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(2, wrong.size() / 3) + 1;
    for (const std::string& name : known) {
        std::vector<std::size_t> row(name.size() + 1);  // Levenshtein distance, one row at a time
        for (std::size_t j = 0; j <= name.size(); ++j)
            row[j] = j;
        for (std::size_t i = 1; i <= wrong.size(); ++i) {
            std::size_t diagonal = row[0];
            row[0] = i;
            for (std::size_t j = 1; j <= name.size(); ++j) {
                const std::size_t replace = diagonal + (wrong[i - 1] == name[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
            }
        }
        if (row[name.size()] < best_distance) {
            best_distance = row[name.size()];
            best = name;
        }
    }
    return best;
}

std::string suggestion(std::string_view wrong, const std::vector<std::string>& known) {
    if (const std::string near = nearest(wrong, known); !near.empty())
        return "did you mean \"" + near + "\"?";
    std::string list;
    for (const std::string& name : known)
        list += (list.empty() ? "" : ", ") + name;
    return list.empty() ? "there is none" : "there are: " + list;
}

std::string rfc3339(std::int64_t wall_ns) {
    std::int64_t seconds = wall_ns / 1'000'000'000;
    std::int64_t rest = wall_ns % 1'000'000'000;
    if (rest < 0) {
        rest += 1'000'000'000;
        --seconds;
    }
    const std::time_t when = static_cast<std::time_t>(seconds);
    std::tm parts{};
    gmtime_r(&when, &parts);
    std::array<char, 80> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                  static_cast<int>(rest / 1'000'000));
    return buffer.data();
}

}  // namespace longhaul::control
