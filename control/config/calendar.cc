// Reading and asking the calendar. Days are counted from the Unix epoch, which was a Thursday.
// SPDX-License-Identifier: Apache-2.0
#include "control/config/calendar.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "dataplane/base/quotes.h"
#include "dataplane/command/rate.h"

namespace longhaul::control {

namespace {

constexpr std::int64_t kMinuteNs = 60'000'000'000, kDayNs = kMinutesPerDay * kMinuteNs;
constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr int kThursday = 3;

Error refused(std::string_view text, const char* example) {
    return {ErrorCode::invalid_argument,
            in_quotes(text) + " is not understood: write e.g. \"" + example + "\" (UTC)"};
}

std::vector<std::string_view> split(std::string_view text, char mark) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t at = text.find(mark);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

// Exactly `digits` decimal digits, from low to high.
std::optional<int> number(std::string_view text, std::size_t digits, int low, int high) {
    if (text.size() != digits) return std::nullopt;
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    if (value < low || value > high) return std::nullopt;
    return value;
}

std::optional<int> minute_of_day(std::string_view text) {
    if (text.size() != 5 || text[2] != ':') return std::nullopt;
    const auto hours = number(text.substr(0, 2), 2, 0, 24);
    const auto minutes = number(text.substr(3), 2, 0, 59);
    if (!hours || !minutes || (*hours == 24 && *minutes != 0)) return std::nullopt;
    return *hours * 60 + *minutes;
}

std::optional<int> day_of_week(std::string_view text) {
    const auto found = std::find(kDays.begin(), kDays.end(), text);
    if (found == kDays.end()) return std::nullopt;
    return static_cast<int>(found - kDays.begin());
}

// "mon-fri", "sat,sun", "daily"; 0: not understood. A range may pass Sunday: "fri-mon".
std::uint8_t days_of(std::string_view text) {
    if (text == "daily") return 0x7f;
    unsigned mask = 0;
    for (const auto part : split(text, ',')) {
        const auto ends = split(part, '-');
        const auto first = day_of_week(ends[0]);
        const auto last = day_of_week(ends.back());
        if (ends.size() > 2 || !first || !last) return 0;
        for (int day = *first;; day = (day + 1) % 7) {
            mask |= 1u << day;
            if (day == *last) break;
        }
    }
    return static_cast<std::uint8_t>(mask);
}

std::optional<std::int64_t> day_number(std::string_view text) {  // "2026-12-24"
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
    const auto year = number(text.substr(0, 4), 4, 1970, 2200);
    const auto month = number(text.substr(5, 2), 2, 1, 12);
    const auto day = number(text.substr(8, 2), 2, 1, 31);
    if (!year || !month || !day) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(*month)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days{date}.time_since_epoch().count();
}

std::optional<std::int64_t> instant(std::string_view text) {  // "2026-12-24T22:00Z"
    if (text.size() != 17 || text[10] != 'T' || text[16] != 'Z') return std::nullopt;
    const auto day = day_number(text.substr(0, 10));
    const auto minute = minute_of_day(text.substr(11, 5));
    if (!day || !minute) return std::nullopt;
    return *day * kDayNs + *minute * kMinuteNs;
}

std::string date_text(std::int64_t day) {
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
    std::array<char, 32> out{};
    std::snprintf(out.data(), out.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
    return out.data();
}

std::string clock_text(int minute) {
    std::array<char, 16> out{};
    std::snprintf(out.data(), out.size(), "%02d:%02d", minute / 60, minute % 60);
    return out.data();
}

bool within(const WeekWindow& window, std::int64_t minute_of_time) {
    const std::int64_t day = minute_of_time / kMinutesPerDay;
    const int minute = static_cast<int>(minute_of_time % kMinutesPerDay);
    const auto begins_on = [&](std::int64_t number) {
        return (window.days >> ((number + kThursday) % 7) & 1) != 0;
    };
    const bool wraps = window.to_minute <= window.from_minute;
    if (begins_on(day) && minute >= window.from_minute && (wraps || minute < window.to_minute)) return true;
    return wraps && day > 0 && begins_on(day - 1) && minute < window.to_minute;
}

const TimeSpan* covering(const std::vector<TimeSpan>& spans, std::int64_t wall_ns) {
    for (const auto& span : spans)
        if (wall_ns >= span.from && wall_ns < span.to) return &span;
    return nullptr;
}

}  // namespace

Result<WeekWindow> parse_week_window(std::string_view text) {
    static constexpr const char* kExample = "mon-fri 08:00-18:00 2G";
    const auto parts = split(text, ' ');
    if (parts.size() != 3) return refused(text, kExample);
    WeekWindow window;
    window.days = days_of(parts[0]);
    const auto hours = split(parts[1], '-');
    if (window.days == 0 || hours.size() != 2) return refused(text, kExample);
    const auto from = minute_of_day(hours[0]);
    const auto to = minute_of_day(hours[1]);
    if (!from || !to || *from == kMinutesPerDay) return refused(text, kExample);
    window.from_minute = *from;
    window.to_minute = *to;
    if (*from == *to)
        return Error{ErrorCode::invalid_argument,
                     in_quotes(text) + " is empty: for a whole day write 00:00-24:00"};
    if (parts[2] == "0") return window;
    auto rate = command::parse_rate_bps(parts[2]);
    if (!rate)
        return Error{ErrorCode::invalid_argument, in_quotes(text) + ": " + rate.error().text + ", or 0"};
    window.rate_bps = rate.value();
    return window;
}

Result<TimeSpan> parse_maintenance(std::string_view text) {
    const auto parts = split(text, '/');
    const auto from = instant(parts[0]);
    const auto to = instant(parts.back());
    if (parts.size() != 2 || !from || !to) return refused(text, "2026-12-01T22:00Z/2026-12-02T02:00Z");
    if (*to <= *from)
        return Error{ErrorCode::invalid_argument,
                     in_quotes(text) + " ends before it begins: exchange the two"};
    return TimeSpan{*from, *to};
}

Result<TimeSpan> parse_blackout(std::string_view text) {
    const auto parts = split(text, '/');
    const auto from = day_number(parts[0]);
    const auto to = day_number(parts.back());
    if (parts.size() > 2 || !from || !to) return refused(text, "2026-12-24/2026-12-26");
    if (*to < *from)
        return Error{ErrorCode::invalid_argument,
                     in_quotes(text) + " ends before it begins: exchange the two"};
    return TimeSpan{*from * kDayNs, (*to + 1) * kDayNs};
}

std::string to_string(const WeekWindow& window) {
    std::string days;
    for (std::size_t day = 0; day < kDays.size(); ++day)
        if ((window.days >> day & 1) != 0) days += (days.empty() ? "" : ",") + std::string(kDays[day]);
    if (window.days == 0x7f) days = "daily";
    return days + " " + clock_text(window.from_minute) + "-" + clock_text(window.to_minute) + " " +
           std::to_string(window.rate_bps);
}

std::string maintenance_text(const TimeSpan& span) {
    const auto text = [](std::int64_t time) {
        return date_text(time / kDayNs) + "T" + clock_text(static_cast<int>(time % kDayNs / kMinuteNs)) + "Z";
    };
    return text(span.from) + "/" + text(span.to);
}

std::string blackout_text(const TimeSpan& span) {
    const std::string from = date_text(span.from / kDayNs);
    const std::string to = date_text(span.to / kDayNs - 1);
    return from == to ? from : from + "/" + to;
}

Calendar::Rate Calendar::at(std::int64_t wall_ns, std::uint64_t contract_bps) const {
    if (const auto* span = covering(maintenance, wall_ns))
        return {0, "maintenance " + maintenance_text(*span)};
    if (const auto* span = covering(blackouts, wall_ns)) return {0, "blackout " + blackout_text(*span)};
    Rate rate{contract_bps, {}};
    for (const auto& window : windows)
        if (window.rate_bps < rate.bps && within(window, wall_ns / kMinuteNs))
            rate = {window.rate_bps, "window " + to_string(window)};
    return rate;
}

std::optional<std::int64_t> Calendar::closes_within(std::int64_t wall_ns, std::int64_t ahead_ns) const {
    constexpr std::uint64_t kAny = ~std::uint64_t{0};
    if (empty() || at(wall_ns, kAny).bps == 0) return std::nullopt;
    for (std::int64_t minute = wall_ns / kMinuteNs + 1; minute * kMinuteNs <= wall_ns + ahead_ns; ++minute)
        if (at(minute * kMinuteNs, kAny).bps == 0) return minute * kMinuteNs;
    return std::nullopt;
}

Calendar::Rate Calendar::lowest(std::uint64_t contract_bps) const {
    Rate rate{contract_bps, {}};
    for (const auto& window : windows)
        if (window.rate_bps < rate.bps) rate = {window.rate_bps, "window " + to_string(window)};
    return rate;
}

std::optional<TimeSpan> Calendar::next_maintenance(std::int64_t wall_ns) const {
    std::optional<TimeSpan> next;
    for (const auto& span : maintenance)
        if (span.to > wall_ns && (!next || span.from < next->from)) next = span;
    return next;
}

}  // namespace longhaul::control
