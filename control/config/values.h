// Values that people write, in files, flags and REST bodies alike: rates, durations, endpoints, FEC, names.
// Every refusal says what to write instead; the caller puts "where" in front of it (file:line, flag or JSON
// field).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/quotes.h"
#include "dataplane/base/result.h"
#include "dataplane/command/rate.h"

namespace longhaul::control {

using command::parse_rate_bps;                           // "1G", "2.5G", "500M", "64K", "1000000"
std::string format_rate(double rate_bps);                // "1 Gbit/s", "532.1 Mbit/s"
std::string format_bytes(double bytes);                  // "1.5 GiB"
Result<double> parse_duration_s(std::string_view text);  // "60s", "500ms", "5m", "1h", "60"
std::string format_duration(double seconds);             // "12.4 s", "3 m 05 s"

// "" (adaptive) or "fixed:64,M": M parity symbols for every stripe of 64 data symbols.
Result<std::optional<unsigned>> parse_fec(std::string_view text);
std::string format_fec(const std::optional<unsigned>& fixed_parity);

struct Endpoint {
    std::string host;
    std::uint16_t port = 0;  // 0: any free port
    bool operator==(const Endpoint&) const = default;
};
Result<Endpoint> parse_endpoint(std::string_view text);  // "127.0.0.1:7400", "[::1]:7400", "host:0"
std::string to_string(const Endpoint& endpoint);
bool is_loopback(const std::string& host);  // by number, or "localhost"

struct Url {
    bool tls = false;
    Endpoint endpoint;
};
Result<Url> parse_url(std::string_view text);  // "https://host:port", "http://[::1]:7400"; no path

bool name_is_valid(std::string_view name);  // [a-z0-9][a-z0-9-]{0,62}: sites, links, datasets
Result<void> check_goal(std::string_view goal);
Result<void> check_mode(std::string_view mode);
enum class IpFamily { none, v4, v6 };
IpFamily ip_family(const std::string& text);

// The known name nearest to a mistyped one, or empty when none is near.
std::string nearest(std::string_view wrong, const std::vector<std::string>& known);
// `, did you mean "x"?` or the list of what there is.
std::string suggestion(std::string_view wrong, const std::vector<std::string>& known);

// "2026-11-22T14:10:29.123Z" from nanoseconds since the Unix epoch.
std::string rfc3339(std::int64_t wall_ns);

}  // namespace longhaul::control
