// A disk that is sick for a while: what it refuses is named, what it takes arrives meanwhile, and when it is well again the
// same bundles arrive without anybody's help. And a clock that leaps.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "tests/sim/storage/target.h"

namespace longhaul::storage::sim {
namespace {

using wire::FailReason;

constexpr std::int64_t kDay_s = 24 * 3600;

struct Sickness {
    int error;
    FailReason name;
};
class SickDisk : public testing::TestWithParam<Sickness> {};

// Nothing can be changed: everything fails by that name, and what was there before stays as it was.
TEST_P(SickDisk, IsNamedAndRecoveredFrom) {
    const History history = make_history();
    SimulatedDisk disk(Journal::ordered, SimulatedDisk::empty_image());
    Expectation said(true);
    Target target(disk, said, 7);
    ASSERT_TRUE(target.open().ok());
    for (std::size_t wave = 0; wave < history.size(); ++wave) {
        disk.fault = [](const SimulatedDisk::Call& call) { return call.changes ? GetParam().error : 0; };
        EXPECT_FALSE(target.apply(history[wave]));
        auto reasons = target.reasons();
        // What an assemble says beside a range of its object that failed in the same bundle.
        reasons.erase(FailReason::staging_missing);
        EXPECT_EQ(reasons, std::set<FailReason>{GetParam().name}) << "wave " << wave;
        EXPECT_EQ(said.check(disk.seen()), "");
        disk.fault = {};
        ASSERT_TRUE(target.apply(history[wave]));
    }
    EXPECT_EQ(said.check_complete(disk.seen()), "");
    EXPECT_TRUE(target.wrong().empty());
}

std::string name_of_sickness(const testing::TestParamInfo<Sickness>& sickness) {
    return std::string(wire::to_string(sickness.param.name));
}
INSTANTIATE_TEST_SUITE_P(Errors, SickDisk,
                         testing::Values(Sickness{EIO, FailReason::target_io},
                                         Sickness{EDQUOT, FailReason::target_quota},
                                         Sickness{EROFS, FailReason::target_read_only},
                                         Sickness{ENOSPC, FailReason::target_no_space}),
                         name_of_sickness);

// Too little room for one file: it is named, what fits arrives beside it, and room brings it.
TEST(FullDisk, TakesWhatFits) {
    SimulatedDisk disk(Journal::ordered, SimulatedDisk::empty_image());
    disk.capacity_bytes = 100'000;
    Expectation said(true);
    Target target(disk, said, 3);
    ASSERT_TRUE(target.open().ok());
    const std::vector<Bundle> wave{BundleMaker(1).file("large", content_of("large", 150'000)).mark(1).take(),
                                   BundleMaker(2).file("small", content_of("small", 40'000)).mark(2).take()};
    EXPECT_FALSE(target.apply(wave));
    EXPECT_EQ(target.reasons(), std::set<FailReason>{FailReason::target_no_space});
    EXPECT_EQ(find(disk.seen(), "large"), nullptr);
    ASSERT_NE(find(disk.seen(), "small"), nullptr);
    EXPECT_EQ(said.check(disk.seen()), "");
    disk.capacity_bytes = 200'000;
    EXPECT_TRUE(target.apply({wave[0]}));
    EXPECT_EQ(said.check_complete(disk.seen()), "");
}

// The age of a staged object counts from when it was last touched, by a clock that may be set back: an old date of the
// source, which it bears when a crash stops it at its rename, does not make it old.
TEST(Clock, OnlyTimeThatPassesMakesStagingOld) {
    const wire::ObjectKey object{9, 9};
    const std::string whole = content_of("whole", 200'000);
    const Bundle first = BundleMaker(1).range(object, whole, 0, 131'072).take();
    const auto staged_after = [&](std::int64_t leap_s) {
        SimulatedDisk disk(Journal::ordered, SimulatedDisk::empty_image());
        Expectation said(true);
        {
            Target target(disk, said, 1);
            EXPECT_TRUE(target.open().ok());
            EXPECT_TRUE(target.apply({first}));
        }
        disk.set_clock_by(leap_s);
        Target target(disk, said, 2);
        EXPECT_TRUE(target.open().ok());
        const auto& names = find(disk.seen(), ".longhaul/staging")->names;
        return std::any_of(names.begin(), names.end(),
                           [](const auto& name) { return name.first.starts_with("o-"); });
    };
    EXPECT_TRUE(staged_after(0));
    EXPECT_TRUE(staged_after(-365 * kDay_s));
    EXPECT_TRUE(staged_after(6 * kDay_s));
    EXPECT_FALSE(staged_after(8 * kDay_s));
}

}  // namespace
}  // namespace longhaul::storage::sim
