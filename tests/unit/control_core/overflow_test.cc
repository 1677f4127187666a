// More changes than the memory for them holds: everything arrives all the same, in its order, and nobody is told that less is
// behind, or fewer deletes are held, than there are.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/overflow.h"

#include <algorithm>
#include <chrono>

#include "control/dataset/delete_hold.h"
#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

namespace fs = std::filesystem;

// What is forgotten holds watermarks until a clean sweep that began afterwards has found it again.
TEST(Overflow, IsMadeGoodByTheNextCleanSweep) {
    Overflow overflow;
    overflow.begin_sweep();
    EXPECT_FALSE(overflow.made_good_by(1));
    overflow.add({1, false, 50, 10}, "b", 1);
    overflow.add({1, true, 60, 0}, "a", 1);
    EXPECT_EQ(overflow.since(), 1u);
    EXPECT_FALSE(overflow.made_good_by(1)) << "it was forgotten by this very sweep";
    overflow.begin_sweep();
    EXPECT_EQ(overflow.counts().objects, 2u) << "the running sweep may find them all again";
    EXPECT_EQ(overflow.counts().removals, 1u);
    EXPECT_EQ(overflow.counts().bytes, 10u);
    EXPECT_TRUE(overflow.made_good_by(2));
    EXPECT_FALSE(overflow.since());
    EXPECT_EQ(overflow.counts().objects, 0u);
}

// The part of an epoch that goes is what comes before the oldest that was forgotten, names deciding between equal times.
TEST(Overflow, KeepsTheBeginningOfAnEpoch) {
    Overflow overflow;
    EXPECT_FALSE(overflow.is_behind(1'000, "z"));
    EXPECT_TRUE(overflow.removes_before(1'000));
    overflow.add({1, false, 50, 0}, "m", 1);
    overflow.add({1, false, 70, 0}, "a", 1);
    EXPECT_FALSE(overflow.is_behind(49, "z"));
    EXPECT_FALSE(overflow.is_behind(50, "l"));
    EXPECT_TRUE(overflow.is_behind(50, "m"));
    EXPECT_TRUE(overflow.is_behind(51, "a"));
    EXPECT_FALSE(overflow.removes_before(50)) << "what replaces it may be what was forgotten";
    overflow.begin_sweep();
    EXPECT_FALSE(overflow.is_behind(51, "a"));
}

// No directory may go while the removal of something in it is forgotten.
TEST(Overflow, RemovalsOfWhatLiesDeepestStay) {
    Overflow overflow;
    overflow.add({1, true, 50, 0}, "d/f", 1);
    overflow.add({1, true, 51, 0}, "c", 1);
    for (const char* refused : {"a", "d", "d/e", "d/f"})
        EXPECT_FALSE(overflow.may_hold(refused)) << refused;
    EXPECT_TRUE(overflow.may_hold("d/g"));
    EXPECT_FALSE(overflow.is_behind(60, "x")) << "removals bound no epoch";
}

// Those that there was no room for count like all others, and a release is meant for them too.
TEST(Overflow, ForgottenDeletesAreHeldAndReleased) {
    const DeleteHoldPolicy policy{0.01, 10'000};
    const TimeNs now = 50 * kSecond;
    DeleteHold hold;
    hold.found("one", now);
    hold.judge(policy, now, 1'000'000, 20'000);
    EXPECT_TRUE(hold.holds());
    hold.release(20'000);
    hold.judge(policy, now, 1'000'000, 20'000);
    EXPECT_FALSE(hold.holds());
    for (int i = 0; i < 15'000; ++i)
        hold.found("f" + std::to_string(i), now);
    hold.judge(policy, now, 1'000'000, 5'000);
    EXPECT_FALSE(hold.holds()) << "they were released before they were found";
    hold.judge(policy, now, 1'000'000, 16'000);
    EXPECT_TRUE(hold.holds()) << "more than were released";
    for (int i = 0; i < 15'000; ++i)
        hold.unlisted("f" + std::to_string(i));
    hold.judge(policy, now, 1'000'000, 20'000);
    EXPECT_FALSE(hold.holds()) << "forgotten once more, they stay released";
    hold.all_listed();
    hold.judge(policy, now, 1'000'000, 0);
    EXPECT_FALSE(hold.holds());
}

class LittleMemory : public Site, public ::testing::WithParamInterface<Consistency> {
  protected:
    static constexpr std::uint64_t kMemory = 192u << 10;  // for some hundred changes
    static constexpr int kFiles = 4000;

    void SetUp() override {
        Site::SetUp();
        config.changes_bytes_max = kMemory;
        // Of the file system's clock: what is younger than a sweep belongs to a later epoch.
        clock = std::chrono::duration_cast<std::chrono::nanoseconds>(
                    std::chrono::system_clock::now().time_since_epoch())
                    .count() +
                3600 * kSecond;
    }
    static std::string name(int i) { return "d" + std::to_string(i % 7) + "/e/f" + std::to_string(i); }
    DatasetSpec of_kind() const {
        DatasetSpec wanted = spec();
        wanted.consistency = GetParam();
        return wanted;
    }
    ::testing::AssertionResult arrives() {
        const bool done = eventually([&] {
            most_ = std::max(most_, core->stats().changes_bytes);
            return rpo().objects_behind == 0 && rpo().watermarks.w_pub;
        });
        if (!done)
            return ::testing::AssertionFailure() << rpo().objects_behind << " behind: " << rpo().limited_by;
        return converged();
    }
    // Without an order the walk waits; what it has seen by then (eight batches of 512) is taken in.
    static std::uint64_t bound() {
        return kMemory + (GetParam() == Consistency::ordered ? kMemory / 4 : 8u * 512 * 400);
    }
    std::uint64_t most_ = 0;
};

TEST_P(LittleMemory, ATreeOfManyTimesItsSizeArrivesWhole) {
    const bool ordered = GetParam() == Consistency::ordered;
    for (int i = 0; i < (ordered ? kFiles : 2 * kFiles); ++i)
        write(name(i), std::to_string(i));
    start();
    create(of_kind());
    ASSERT_TRUE(arrives());
    EXPECT_GT(core->dataset("lake").value().sweeps, ordered ? 4u : 0u) << "nothing had to be found again";
    EXPECT_LT(most_, bound());
    EXPECT_EQ(core->stats().order_violations, 0u);
}

TEST_P(LittleMemory, ASurgeOfDeletesIsReleasedOnce) {
    for (int i = 0; i < kFiles; ++i)
        write(name(i), "x");
    write("stays", "1");
    start();
    create(of_kind());
    ASSERT_TRUE(arrives());
    for (int directory = 0; directory < 7; ++directory)
        fs::remove_all(at("d" + std::to_string(directory)));
    advance(1);
    rescan();
    constexpr std::uint64_t kGone = kFiles + 14;
    ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().deletes_held >= kGone; }));
    EXPECT_GE(rpo().objects_behind, kGone);
    EXPECT_EQ(ports->carried(wire::EntryKind::remove), 0u);
    EXPECT_GE(core->dataset_release_deletes("lake").value(), kGone);
    ASSERT_TRUE(arrives());
    EXPECT_EQ(ports->tree().size(), 1u);
    EXPECT_LT(most_, bound());
}

INSTANTIATE_TEST_SUITE_P(Overflow, LittleMemory, ::testing::Values(Consistency::ordered, Consistency::object),
                         [](const auto& of) {
                             return of.param == Consistency::ordered ? "ordered" : "object";
                         });

}  // namespace
}  // namespace longhaul::control::test
