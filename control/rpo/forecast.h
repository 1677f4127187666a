// What becomes of the lag if things go on as they do: when the backlog is gone, when the target is broken, and
// which rate would keep it. Pure functions of rates and amounts, for views and alarms.
//
// Rates are payload bits per second, times are seconds. A figure that cannot be given is absent and has a
// reason: never a sentinel, never infinity.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace longhaul::control {

struct Load {
    std::optional<double> lag_s;     // absent: seeding, or not known
    double rpo_target_s = 0;         // R
    std::uint64_t bytes_behind = 0;  // discovered and not durable
    std::uint64_t oldest_bytes = 0;  // of these, what keeps the watermark from its next step
    std::uint64_t objects_behind = 0;
    bool waits = false;     // a change or a mark is pending, bytes or not
    double change_bps = 0;  // lambda: what the source adds
    double drain_bps = 0;   // mu: what becomes durable while there is work
};

struct Forecast {
    std::optional<double> eta_s;  // until nothing is behind
    std::string eta_reason;
    std::optional<double> time_to_breach_s;  // until lag > R; 0: it is
    std::string time_to_breach_reason;
    double required_bps = 0;  // to have nothing behind at required_within_s, while the source goes on
    double required_within_s = 0;
};

Forecast forecast(const Load& load);

// The time until the lag exceeds the target, or nullopt when it will not by these rates. While a backlog is
// worked off in order the lag changes by 1 - mu/lambda a second; it grows by one a second until the oldest step
// of it is through. What cannot be through within the room left is counted as a breach.
std::optional<double> time_to_breach_s(const Load& load);

// mu that clears the backlog within `horizon_s` while the source goes on adding: lambda + bytes_behind / H.
double required_rate_bps(const Load& load, double horizon_s);

}  // namespace longhaul::control
