// When a link may carry how much: what is written is what is meant, to the minute, and the rest is refused.
// SPDX-License-Identifier: Apache-2.0
#include "control/config/calendar.h"

#include <gtest/gtest.h>

namespace longhaul::control {
namespace {

constexpr std::int64_t kMinuteNs = 60'000'000'000, kHourNs = 60 * kMinuteNs, kDayNs = 24 * kHourNs;
constexpr std::uint64_t kContract = 10'000'000'000;
// 2026-11-23 is a Monday.
constexpr std::int64_t kMonday = 20'780 * kDayNs;

WeekWindow window(const char* text) {
    return parse_week_window(text).value();
}

// Windows hold in their hours of their days, the end excluded; the lowest of those that overlap holds.
TEST(Calendar, KnowsTheHoursOfTheWeek) {
    Calendar calendar;
    calendar.windows = {window("mon-fri 08:00-18:00 2G"), window("wed 12:00-13:00 500M")};
    const auto at = [&](int day, int hour, int minute) {
        return calendar.at(kMonday + day * kDayNs + hour * kHourNs + minute * kMinuteNs, kContract).bps;
    };
    EXPECT_EQ(at(0, 7, 59), kContract);
    EXPECT_EQ(at(0, 8, 0), 2'000'000'000u);
    EXPECT_EQ(at(0, 17, 59), 2'000'000'000u);
    EXPECT_EQ(at(0, 18, 0), kContract);
    EXPECT_EQ(at(2, 12, 30), 500'000'000u);
    EXPECT_EQ(at(4, 12, 30), 2'000'000'000u);
    EXPECT_EQ(at(5, 12, 30), kContract) << "Saturday";
    EXPECT_EQ(calendar.lowest(kContract).bps, 500'000'000u);
    EXPECT_NE(calendar.at(kMonday + 9 * kHourNs, kContract).why.find("mon,tue,wed,thu,fri 08:00-18:00"),
              std::string::npos);
}

// A window that passes midnight belongs to the day on which it begins; a range of days may pass Sunday.
TEST(Calendar, PassesMidnightAndSunday) {
    Calendar calendar;
    calendar.windows = {window("sun 22:00-06:00 0"), window("sat-mon 00:00-24:00 5G")};
    EXPECT_EQ(calendar.at(kMonday - 2 * kHourNs, kContract).bps, 0u) << "Sunday, 22:00";
    EXPECT_EQ(calendar.at(kMonday + 5 * kHourNs + 59 * kMinuteNs, kContract).bps, 0u) << "Monday, 5:59";
    EXPECT_EQ(calendar.at(kMonday + 6 * kHourNs, kContract).bps, 5'000'000'000u);
    EXPECT_EQ(calendar.at(kMonday + kDayNs, kContract).bps, kContract) << "Tuesday";
}

// Maintenance and blackout dates close the link, and are seen coming.
TEST(Calendar, ClosesAndSaysSoBefore) {
    Calendar calendar;
    calendar.maintenance = {parse_maintenance("2026-11-23T22:00Z/2026-11-24T02:00Z").value()};
    calendar.blackouts = {parse_blackout("2026-12-24/2026-12-26").value()};
    const std::int64_t begins = kMonday + 22 * kHourNs;
    EXPECT_EQ(calendar.at(begins - 1, kContract).bps, kContract);
    EXPECT_EQ(calendar.at(begins, kContract).bps, 0u);
    EXPECT_EQ(calendar.at(begins + 4 * kHourNs, kContract).bps, kContract);
    EXPECT_EQ(calendar.closes_within(begins - 30'000'000'000, 30'000'000'000), begins);
    EXPECT_FALSE(calendar.closes_within(begins - 31'000'000'000, 30'000'000'000));
    EXPECT_FALSE(calendar.closes_within(begins, 30'000'000'000)) << "it is closed already";
    EXPECT_EQ(calendar.next_maintenance(begins)->from, begins);
    EXPECT_FALSE(calendar.next_maintenance(begins + 4 * kHourNs));
    const std::int64_t christmas = kMonday + 31 * kDayNs;
    EXPECT_EQ(calendar.at(christmas, kContract).bps, 0u);
    EXPECT_EQ(calendar.at(christmas + 3 * kDayNs - 1, kContract).bps, 0u);
    EXPECT_EQ(calendar.at(christmas + 3 * kDayNs, kContract).bps, kContract);
}

// What is shown can be written again and means the same.
TEST(Calendar, RoundTrips) {
    for (const char* text : {"mon-fri 08:00-18:00 2G", "sat,sun 22:00-06:00 0", "daily 00:00-24:00 1500M"})
        EXPECT_EQ(parse_week_window(to_string(window(text))).value(), window(text)) << text;
    for (const char* text : {"2026-12-24", "2026-12-24/2026-12-26", "2028-02-29"})
        EXPECT_EQ(blackout_text(parse_blackout(text).value()), text);
    EXPECT_EQ(maintenance_text(parse_maintenance("2026-11-23T22:00Z/2026-11-24T02:05Z").value()),
              "2026-11-23T22:00Z/2026-11-24T02:05Z");
}

// Everything else is refused, with an example of what would be understood.
TEST(Calendar, RefusesWhatItDoesNotUnderstand) {
    for (const char* text :
         {"", " ", "mon", "mon 08:00-18:00", "mon 8:00-18:00 2G", "mon 08:00-18:00 2G ",
          "monday 08:00-18:00 2G", "mon- 08:00-18:00 2G", "mon-tue-wed 08:00-18:00 2G", "mon, 08:00-18:00 2G",
          "mon 08:00-08:00 2G", "mon 24:00-08:00 2G", "mon 08:60-18:00 2G", "mon 08:00-24:01 2G",
          "mon 08:00-18:00 -1", "mon 08:00-18:00 2T", "mon 08:00-18:00-19:00 2G", "MON 08:00-18:00 2G",
          "mon 0a:00-18:00 2G"}) {
        const auto parsed = parse_week_window(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_FALSE(parsed.error().text.empty());
    }
    for (const char* text :
         {"", "2026-13-01", "2026-02-30", "2026-2-3", "2026-12-26/2026-12-24", "2026-12-24/", "1969-12-31",
          "9999-01-01", "2026-12-24/2026-12-25/2026-12-26", "2026-12-24T00:00Z"})
        EXPECT_FALSE(parse_blackout(text)) << text;
    for (const char* text : {"", "2026-12-01T22:00Z", "2026-12-01T22:00Z/2026-12-01T22:00Z",
                             "2026-12-01T22:00Z/2026-12-01T21:00Z", "2026-12-01 22:00Z/2026-12-02T02:00Z",
                             "2026-12-01T22:00/2026-12-02T02:00Z", "2026-12-01/2026-12-02"})
        EXPECT_FALSE(parse_maintenance(text)) << text;
}

}  // namespace
}  // namespace longhaul::control
