// When a link may carry how much: windows of the week with a rate, days and hours without. All times are UTC.
//
// Outside every window the contracted rate holds; where windows overlap, the lowest holds. Nothing is sent
// on a blackout date or during maintenance.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace longhaul::control {

inline constexpr int kMinutesPerDay = 24 * 60;
inline constexpr std::size_t kCalendarEntriesMax = 64;  // of each list

struct WeekWindow {
    std::uint8_t days = 0;               // bit 0: Monday ... bit 6: Sunday; of the window's begin
    int from_minute = 0, to_minute = 0;  // of the day; to <= from: into the next day
    std::uint64_t rate_bps = 0;          // 0: closed
    bool operator==(const WeekWindow&) const = default;
};

struct TimeSpan {  // [from, to), nanoseconds since the Unix epoch
    std::int64_t from = 0, to = 0;
    bool operator==(const TimeSpan&) const = default;
};

Result<WeekWindow> parse_week_window(
    std::string_view text);  // "mon-fri 08:00-18:00 2G", "sat,sun 22:00-06:00 0"
Result<TimeSpan> parse_maintenance(std::string_view text);  // "2026-12-01T22:00Z/2026-12-02T02:00Z"
Result<TimeSpan> parse_blackout(std::string_view text);     // "2026-12-24", "2026-12-24/2026-12-26"
std::string to_string(const WeekWindow& window);
std::string maintenance_text(const TimeSpan& span);
std::string blackout_text(const TimeSpan& span);

struct Calendar {
    std::vector<WeekWindow> windows;
    std::vector<TimeSpan> maintenance, blackouts;
    bool operator==(const Calendar&) const = default;

    bool empty() const { return windows.empty() && maintenance.empty() && blackouts.empty(); }
    struct Rate {
        std::uint64_t bps = 0;
        std::string why;  // which entry sets it; empty: the contract
    };
    Rate at(std::int64_t wall_ns, std::uint64_t contract_bps) const;
    // The first moment within `ahead_ns` from which on nothing may be sent; nullopt: none, or already now.
    std::optional<std::int64_t> closes_within(std::int64_t wall_ns, std::int64_t ahead_ns) const;
    // The lowest rate of an ordinary week, and in which window.
    Rate lowest(std::uint64_t contract_bps) const;
    std::optional<TimeSpan> next_maintenance(std::int64_t wall_ns) const;  // running or to come
};

}  // namespace longhaul::control
