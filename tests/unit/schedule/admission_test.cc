// Admission and impact say in numbers why a policy cannot hold and what breaks without a link.
// SPDX-License-Identifier: Apache-2.0
#include "control/schedule/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/schedule/impact.h"

namespace longhaul::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kGiga = 1'000'000'000;

// Payload is exactly the rate: the 1.02 is made up for.
LinkChoice link(const char* name, std::uint64_t payload_bps, std::uint8_t number = 1) {
    LinkChoice choice{name, number, "west", true, payload_bps, 1 / 1.02, 0, {}};
    return choice;
}

DatasetSpec wants(const char* name, double rpo_s) {
    DatasetSpec spec;
    spec.name = name;
    spec.target.site = "west";
    spec.rpo_target_s = rpo_s;
    spec.rescan_s = 10;
    return spec;
}

// A burst within the target, beside a steady change, against the best link: the sentence of the brief.
TEST(Admission, SaysInNumbersWhyAPolicyCannotHold) {
    auto spec = wants("lake", 920);  // 900 s are left after two rescans
    spec.expect_burst_bytes = 1'597'500'000'000;
    const std::vector<LinkNow> links = links_now({link("east-1", 9'100'000'000)}, 0);
    auto plan = admit(spec, {}, links);
    ASSERT_EQ(plan.refusals.size(), 1u);
    EXPECT_EQ(plan.refusals[0],
              "needs 14.2 Gbit/s for 900 s, link east-1 has 9.1 Gbit/s: raise rpo_target_s to 1425, or the "
              "link's rate");
    spec.rpo_target_s = 1430;
    EXPECT_THAT(admit(spec, {}, links).refusals, IsEmpty()) << "the remedy is one";
    spec.expect_change_bps = 10 * kGiga;
    EXPECT_THAT(admit(spec, {}, links).refusals, ElementsAre(HasSubstr("changes faster than that")));
    spec = wants("lake", 920);
    EXPECT_THAT(admit(spec, {}, links).refusals, IsEmpty()) << "nothing is expected: nothing is claimed";
}

// What others were promised is theirs; what they are expected to use only makes a warning.
TEST(Admission, KeepsPromisesAndWarnsOfTheRest) {
    auto first = wants("first", 300), second = wants("second", 300);
    first.floor_bps = 6 * kGiga;
    second.floor_bps = 4 * kGiga;
    const std::vector<LinkNow> links = links_now({link("one", 10 * kGiga)}, 0);
    EXPECT_THAT(admit(second, {}, links).refusals, IsEmpty());
    EXPECT_THAT(
        admit(second, {{first, "one"}}, links).refusals,
        ElementsAre(
            "floor_bps 4 Gbit/s needs as much at any time, link one has 10 Gbit/s, and 4 Gbit/s of it "
            "beside 1 other dataset, whose floors take 6 Gbit/s: lower the floor"));
    EXPECT_THAT(admit(second, {{first, "two"}}, links).refusals, IsEmpty()) << "promised elsewhere";

    first.floor_bps = second.floor_bps = 0;
    first.expect_change_bps = 7 * kGiga;
    second.expect_change_bps = 5 * kGiga;
    const auto plan = admit(second, {{first, "one"}}, links);
    EXPECT_THAT(plan.refusals, IsEmpty());
    EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("it will hold only while the others are quiet")));
    EXPECT_NEAR(plan.available_bps, 3e9, 1e3);
}

// Policies that contradict themselves, hours in which less passes, and no way at all.
TEST(Admission, LooksAtCapsHoursAndWays) {
    auto spec = wants("lake", 300);
    spec.expect_change_bps = 2 * kGiga;
    spec.cap_bps = kGiga;
    auto choice = link("one", 10 * kGiga);
    EXPECT_THAT(admit(spec, {}, links_now({choice}, 0)).refusals, ElementsAre(HasSubstr("raise the cap")));
    spec.cap_bps = 0;
    choice.calendar.windows = {parse_week_window("mon-fri 08:00-18:00 1G").value()};
    EXPECT_THAT(
        admit(spec, {}, links_now({choice}, 0)).warnings,
        ElementsAre(HasSubstr("link one has 1 Gbit/s in its window mon,tue,wed,thu,fri 08:00-18:00")));
    choice.calendar = {};
    choice.up = false;
    EXPECT_THAT(admit(spec, {}, links_now({choice}, 0)).warnings, ElementsAre(HasSubstr("is open now")));
    spec.traffic = "scavenger";
    choice.up = true;
    EXPECT_THAT(admit(spec, {}, links_now({choice}, 0)).warnings,
                ElementsAre(HasSubstr("choose the class bulk")));
    spec.link = "two";
    EXPECT_THAT(admit(spec, {}, links_now({choice}, 0)).refusals,
                ElementsAre(HasSubstr("does not lead to site west")));
    spec.link.clear();
    EXPECT_THAT(admit(spec, {}, {}).refusals, ElementsAre(HasSubstr("no link to site west is configured")));
}

// Without the only link the lag grows by the clock; where another is left, by how far it falls short.
TEST(Impact, SaysWhatBreaksAndWhen) {
    std::vector<Demand> demands(2);
    for (std::size_t i = 0; i < demands.size(); ++i) {
        demands[i].dataset = i == 0 ? "pinned" : "free";
        demands[i].target_site = "west";
        demands[i].traffic = "bulk";
        demands[i].active = true;
        demands[i].rpo_target_s = 300;
        demands[i].lag_s = 20;
        demands[i].on_link = static_cast<std::uint8_t>(1);
    }
    demands[0].link = "one";
    demands[1].bytes_behind = 1'000'000'000;
    const auto links = links_now({link("one", 10 * kGiga, 1), link("two", kGiga, 2)}, 0);
    const auto flows = solve(demands, links, 0);
    ASSERT_EQ(flows[1].link.name, "one");
    auto out = impact("one", 3600, demands, {0, 2e9}, flows, links, 0);
    ASSERT_EQ(out.rows.size(), 2u);
    EXPECT_EQ(out.rows[0].dataset, "pinned");
    EXPECT_NEAR(*out.rows[0].time_to_breach_s, 280, 0.1);
    EXPECT_TRUE(out.rows[0].breaks);
    EXPECT_THAT(out.rows[0].reason, HasSubstr("there is no other way: link one is closed by its drain"));
    EXPECT_EQ(out.rows[1].link_after, "two");
    EXPECT_NEAR(*out.rows[1].time_to_breach_s, 560, 1) << "it gets half of what changes";
    EXPECT_THAT(out.rows[1].reason, HasSubstr("link two would give it 1 Gbit/s, it needs 2 Gbit/s"));
    EXPECT_NEAR(static_cast<double>(out.lost_bps), 1e10, 1e3);
    EXPECT_NEAR(static_cast<double>(out.left_bps), 1e9, 1e3);

    out = impact("one", 100, demands, {0, 5e8}, flows, links, 0);
    EXPECT_FALSE(out.rows[0].breaks) << "a short drain";
    EXPECT_FALSE(out.rows[1].time_to_breach_s) << "the other link carries it";
    EXPECT_THAT(impact("two", 3600, demands, {0, 0}, flows, links, 0).rows, IsEmpty());

    demands[1].lag_s = 400;
    out = impact("one", 100, demands, {0, 5e8}, flows, links, 0);
    EXPECT_EQ(out.rows[0].dataset, "free");
    EXPECT_EQ(out.rows[0].time_to_breach_s, 0) << "late already, as its RPO view says by the same formula";
}

}  // namespace
}  // namespace longhaul::control
