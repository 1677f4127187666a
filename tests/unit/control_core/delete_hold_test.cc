// Unusually many deletes wait for an operator; few do not, what came back does not, and nothing else waits with them.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/delete_hold.h"

#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kObjects = 1'000'000;
constexpr DeleteHoldPolicy kPolicy{0.01, 10'000};

DeleteHold after(std::uint64_t removals, TimeNs at) {
    DeleteHold hold;
    for (std::uint64_t i = 0; i < removals; ++i)
        hold.found("f" + std::to_string(i), at);
    return hold;
}

// The bound is the smaller of share and number, and never below the floor.
TEST(DeleteHold, BoundIsTheSmallerOfShareAndNumber) {
    EXPECT_EQ(kPolicy.bound(50'000), 500u);
    EXPECT_EQ(kPolicy.bound(5'000'000), 10'000u);
    EXPECT_EQ(kPolicy.bound(10), kDeleteFloor);
    EXPECT_EQ((DeleteHoldPolicy{1, 0}.bound(10)), kDeleteFloor);
}

// Exactly the bound still flows, one more does not; a policy of 0 never holds.
TEST(DeleteHold, HoldsAboveTheBoundOnly) {
    const TimeNs now = 50 * kSecond;
    auto hold = after(10'000, now);
    hold.judge(kPolicy, now, kObjects);
    EXPECT_FALSE(hold.holds());
    hold.found("one more", now);
    hold.judge(kPolicy, now, kObjects);
    EXPECT_TRUE(hold.holds());
    hold.judge({0.01, 0}, now, kObjects);
    EXPECT_FALSE(hold.holds());
}

// Many deletes over a long time are ordinary; once held, time alone lets nothing go.
TEST(DeleteHold, WindowSlidesButNotWhileHeld) {
    DeleteHold hold;
    TimeNs now = kSecond;
    for (int minute = 0; minute < 60; ++minute, now += 60 * kSecond) {
        for (int i = 0; i < 900; ++i)
            hold.found("m" + std::to_string(minute) + "/" + std::to_string(i), now);
        hold.judge(kPolicy, now, kObjects);
        ASSERT_FALSE(hold.holds()) << minute;
    }
    hold = after(10'001, now);
    hold.judge(kPolicy, now, kObjects);
    hold.judge(kPolicy, now + 100 * kDeleteWindow, kObjects);
    EXPECT_TRUE(hold.holds());
}

// A file system that was away and is back needs no operator; a release lets go what there is, and counts anew.
TEST(DeleteHold, EndsByReturnOrRelease) {
    const TimeNs now = 50 * kSecond;
    auto hold = after(20'000, now);
    hold.judge(kPolicy, now, kObjects);
    for (int i = 0; i < 15'000; ++i)
        hold.undone("f" + std::to_string(i));
    hold.judge(kPolicy, now, kObjects);
    EXPECT_FALSE(hold.holds());

    hold = after(20'000, now);
    hold.judge(kPolicy, now, kObjects);
    hold.release();
    hold.judge(kPolicy, now, kObjects);
    EXPECT_FALSE(hold.holds());
    for (int i = 0; i < 10'001; ++i)
        hold.found("g" + std::to_string(i), now);
    hold.judge(kPolicy, now, kObjects);
    EXPECT_TRUE(hold.holds());
}

// A program that makes and removes the same few files all day has removed few, however often.
TEST(DeleteHold, CountsNamesNotRemovals) {
    DeleteHold hold;
    const TimeNs now = 50 * kSecond;
    for (int round = 0; round < 1000; ++round) {
        for (int i = 0; i < 30; ++i)
            hold.found("tmp" + std::to_string(i), now);
        if (round % 2 == 0) hold.undone("tmp" + std::to_string(round % 30));
    }
    hold.judge({0.01, 1}, now, 30);
    EXPECT_FALSE(hold.holds());
}

class HeldDeletes : public Site {
  protected:
    void seed() {
        for (int i = 0; i < 300; ++i)
            write("d/f" + std::to_string(i), "x");
        write("stays", "1");
        start();
        create();
        ASSERT_TRUE(converged());
    }
    void lose_most() {
        fs::remove_all(at("d"));
        advance(1);
        rescan();
        ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().deletes_held > 0; }));
    }
};

// Not one object of a surge is deleted before it is released; creates go on; W_pub stops and the view says why and
// what to do.
TEST_F(HeldDeletes, WaitForAReleaseWhileTheRestMoves) {
    seed();
    const auto proven = rpo().watermarks.w_pub;
    lose_most();
    EXPECT_EQ(core->dataset("lake").value().deletes_held, 301u);
    EXPECT_EQ(ports->carried(wire::EntryKind::remove), 0u);
    EXPECT_NE(core->dataset("lake").value().problem.find("release-deletes lake"), std::string::npos);

    write("new", "2");
    advance(1);
    rescan();
    EXPECT_TRUE(eventually([&] { return ports->tree().contains("new"); }));
    EXPECT_TRUE(ports->tree().contains("d/f7"));
    EXPECT_EQ(rpo().watermarks.w_pub, proven);

    EXPECT_EQ(core->dataset_release_deletes("lake").value(), 301u);
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->tree().size(), 2u);
    EXPECT_EQ(core->dataset_release_deletes("lake").value(), 0u);
    EXPECT_FALSE(core->dataset_release_deletes("nothing").ok());
}

// A crash does not release them: the next sweep finds and holds them again.
TEST_F(HeldDeletes, AreHeldAgainAfterARestart) {
    seed();
    lose_most();
    crash();
    start();
    advance(1);
    rescan();
    EXPECT_TRUE(eventually([&] { return core->dataset("lake").value().deletes_held == 301u; }));
    EXPECT_EQ(ports->carried(wire::EntryKind::remove), 0u);
}

// The objects are back: nothing is deleted and nobody has to do anything.
TEST_F(HeldDeletes, EndByThemselvesWhenTheObjectsReturn) {
    seed();
    fs::rename(at("d"), base + "/away");
    advance(1);
    rescan();
    ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().deletes_held > 0; }));
    fs::rename(base + "/away", at("d"));
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::remove), 0u);
    EXPECT_EQ(core->dataset("lake").value().deletes_held, 0u);
}

}  // namespace
}  // namespace longhaul::control::test
