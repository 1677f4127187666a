// What goes wrong, and how Core comes back: failing objects, restarts of either process, a source that moves
// or vanishes.
// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

namespace fs = std::filesystem;

std::string noise(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i)
        text[i] = static_cast<char>(i * 131 >> 4);
    return text;
}

// One object fails three times: it is named with reason and tries, the rest arrives meanwhile, then it does
// too.
TEST_F(Site, NamesAFailingObjectUntilItSucceeds) {
    write("bad", "b");
    write("good", "g");
    ports->fail("bad", wire::FailReason::target_no_space, 2);
    start();
    create();
    ASSERT_TRUE(eventually([&] { return ports->tree().contains("good") && rpo().objects_failing == 1; }));
    const auto failures = core->failures("lake");
    ASSERT_EQ(failures.size(), 1u);
    EXPECT_EQ(failures[0].path, "bad");
    EXPECT_EQ(failures[0].reason, "target_no_space");
    EXPECT_GE(failures[0].tries, 1u);
    EXPECT_EQ(rpo().state, "SEEDING") << "no mark while a change is pending";
    EXPECT_TRUE(ports->marks().empty());
    EXPECT_TRUE(converged());
    EXPECT_EQ(rpo().objects_failing, 0u);
}

// More objects fail than the report lists: none is taken for published.
TEST_F(Site, RetriesAllWhenFailuresDoNotFitTheirList) {
    for (int i = 0; i < 100; ++i) {
        write("f" + std::to_string(i), std::to_string(i));
        if (i % 2 == 0) ports->fail("f" + std::to_string(i), wire::FailReason::target_io, 1);
    }
    ports->set_list_max(4);
    start();
    create();
    EXPECT_TRUE(converged());
}

// The source changes between the sweep and the read, or vanishes: looked at again, sent as it is now.
TEST_F(Site, FollowsASourceThatMovesUnderTheRead) {
    write("changes", "before");
    write("vanishes", "gone soon");
    int left = 3;
    ports->before_read([&, this](const std::string& path) {
        if (path == "changes" && left-- > 0) std::ofstream(at("changes"), std::ios::app) << "more";
        if (path == "vanishes") fs::remove(at("vanishes"));
    });
    start();
    create();
    EXPECT_TRUE(converged());
    EXPECT_EQ(read_file(at("changes")), "beforemoremoremore");
    EXPECT_FALSE(ports->tree().contains("vanishes"));
}

// Whole bundles are refused: everything in them is tried again.
TEST_F(Site, RetriesABundleThatFailedWhole) {
    write("d/a", "1");
    fs::create_symlink("x", at("d/s"));
    ports->fail_bundles(wire::FailReason::cancelled, 2);
    start();
    create();
    EXPECT_TRUE(converged());
    EXPECT_GE(core->stats().bundles_failed, 1u);
}

// The staging of a large file is lost at the target: all its ranges go again.
TEST_F(Site, SendsRangesAgainWhenStagingIsLost) {
    write("big", noise(500'000));
    config.bundle_bytes_max = 128 << 10;
    ports->set_budget(4);
    start();
    create();
    ASSERT_TRUE(eventually([&] { return ports->carried(wire::EntryKind::range) == 4; }));
    ports->lose_staging();
    ports->set_budget(SIZE_MAX);
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::range), 8u);
}

// Control dies in the middle of a large file. The dataplane goes on alone; the new control takes up its
// results, and no range is sent twice.
TEST_F(Site, SurvivesItsOwnCrashInTheMiddleOfALargeFile) {
    write("d/big", noise(1'000'000));
    config.bundle_bytes_max = 128 << 10;
    ports->set_budget(4);  // the directory, then three ranges
    start();
    create();
    ASSERT_TRUE(
        eventually([&] { return ports->carried(wire::EntryKind::range) == 3 && ports->waiting() >= 4; }));
    crash();
    ports->set_budget(2);
    ASSERT_TRUE(eventually([&] { return ports->carried(wire::EntryKind::range) == 5; }));
    ports->set_budget(SIZE_MAX);
    start();
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::range), 8u);
}

// Control dies while small files are on their way and comes back after they have arrived: none is sent again.
TEST_F(Site, TakesUpResultsThatCameWhileItWasAway) {
    for (int i = 0; i < 50; ++i)
        write("f" + std::to_string(i), std::to_string(i));
    ports->set_budget(0);
    start();
    create();
    ASSERT_TRUE(eventually([&] {
        return ports->waiting() >= 1 && rpo().objects_total == 50 && core->stats().bundles_offered >= 1;
    }));
    crash();
    const auto offered = ports->waiting();
    ports->set_budget(SIZE_MAX);
    ASSERT_TRUE(eventually([&] { return ports->waiting() == 0 && ports->unacked() == offered; }));
    start();
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::file), 50u);
}

// Control stays dead for a while and both its dataplane and its memory are gone: it converges from SQLite and
// the disk.
TEST_F(Site, ConvergesAfterBothProcessesRestarted) {
    for (int i = 0; i < 50; ++i)
        write("d/f" + std::to_string(i), std::to_string(i));
    ports->set_budget(1);
    config.bundle_entries_max = 8;
    start();
    create();
    ASSERT_TRUE(eventually([&] { return ports->carried(wire::EntryKind::directory) >= 1; }));
    crash();
    ports->restart_dataplane();
    ports->set_budget(SIZE_MAX);
    fs::remove(at("d/f7"));
    start();
    EXPECT_TRUE(converged());
}

// The dataplane restarts and has forgotten its bundles: what was in flight goes again, what was durable does
// not.
TEST_F(Site, GivesBackWhatARestartedDataplaneForgot) {
    write("big", noise(1'000'000));
    write("small", "s");
    config.bundle_bytes_max = 128 << 10;
    ports->set_budget(4);
    start();
    create();
    ASSERT_TRUE(eventually([&] {
        return ports->carried(wire::EntryKind::range) == 3 &&
               rpo().bytes_behind == 1'000'000 - 3 * (128u << 10);
    }));
    ports->restart_dataplane();
    ports->set_budget(SIZE_MAX);
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried(wire::EntryKind::range), 8u);
    EXPECT_EQ(ports->carried(wire::EntryKind::file), 1u);
}

// The target was set up anew and knows neither the store nor a file: control asks it again and seeds from the
// start.
TEST_F(Site, SeedsAnewWhenTheTargetForgotTheStore) {
    write("d/a", "1");
    start();
    create();
    ASSERT_TRUE(converged());
    ports->set_store(78);
    ports->clear_target();
    write("d/b", "2");
    EXPECT_TRUE(converged());
    EXPECT_EQ(core->dataset("lake").value().target_store, 78u);
}

// The source's directory vanishes, or an empty one stands in its place as when it is not mounted: nothing is
// deleted, the state says so, W stops. When it is back, all is well.
TEST_F(Site, AVanishedOrEmptyRootDeletesNothing) {
    write("d/a", "1");
    write("b", "2");
    start();
    create();
    ASSERT_TRUE(converged());
    const auto before = rpo().watermarks.w_pub;
    fs::rename(source, base + "/elsewhere");
    for (const bool mountpoint : {false, true}) {
        if (mountpoint) fs::create_directory(source);
        const auto sweeps = core->dataset("lake").value().sweeps;
        advance(10);
        rescan();
        ASSERT_TRUE(eventually([&] { return core->dataset("lake").value().sweeps > sweeps; }));
        EXPECT_EQ(rpo().objects_behind, 0u);
        EXPECT_EQ(rpo().state, "UNKNOWN");
        EXPECT_EQ(rpo().quality, "unknown");
        EXPECT_EQ(rpo().watermarks.w_pub, before);
        EXPECT_NE(core->dataset("lake").value().problem.find("source directory"), std::string::npos);
    }
    EXPECT_EQ(ports->tree().size(), 3u);
    EXPECT_EQ(ports->carried(wire::EntryKind::remove), 0u);
    fs::remove(source);
    fs::rename(base + "/elsewhere", source);
    EXPECT_TRUE(converged());
}

// The dataplane says that it has enough: control offers the rest later.
TEST_F(Site, OffersAgainWhenTheDataplaneWasFull) {
    for (int i = 0; i < 64; ++i)
        write("f" + std::to_string(i), std::to_string(i));
    config.bundle_entries_max = 4;
    ports->set_open_max(2);
    start();
    create();
    EXPECT_TRUE(converged());
}

// A link dies with bundles on it: they leave by the other one, under the same ids, nothing is carried twice, and what
// comes later follows. The flow says where it is, and goes back when the other one dies.
TEST_F(Site, MovesOpenBundlesFromALinkThatDies) {
    for (int i = 0; i < 40; ++i)
        write("f" + std::to_string(i), noise(100'000));
    ports->set_answering(2, true);
    ports->set_budget(1);
    config.bundle_entries_max = 2;
    start();
    create();
    ASSERT_TRUE(eventually([&] { return ports->waiting() > 3 && ports->carried_by(1) == 1; }));
    ASSERT_EQ(core->flows().at(0).link, "east-west-1");
    ports->set_answering(1, false);
    ASSERT_TRUE(eventually([&] { return core->flows().at(0).link == "east-west-2"; }));
    ports->set_budget(SIZE_MAX);
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried_by(1), 1u);
    EXPECT_GT(ports->carried_by(2), 10u);
    EXPECT_EQ(ports->carried_twice(), 0u);
    EXPECT_GT(core->stats().bundles_moved, 3u);
    ports->set_answering(1, true);
    ports->set_answering(2, false);
    EXPECT_TRUE(eventually([&] { return core->flows().at(0).link == "east-west-1"; }));
    write("later", "x");
    EXPECT_TRUE(converged());
    EXPECT_GT(ports->carried_by(1), 1u);
}

// Control dies between a move and its result, again and again while the link comes and goes: nothing is lost, nothing is
// carried twice.
TEST_F(Site, RemembersMovesAcrossItsOwnDeath) {
    for (int i = 0; i < 30; ++i)
        write("f" + std::to_string(i), noise(50'000));
    ports->set_answering(2, true);
    ports->set_budget(2);
    config.bundle_entries_max = 2;
    start();
    create();
    ASSERT_TRUE(eventually([&] { return ports->waiting() > 3; }));
    for (int round = 0; round < 4; ++round) {
        // Not always the flow's: what was open may still lie on the other one.
        std::uint8_t dead = 0;
        ASSERT_TRUE(eventually([&] {
            dead = ports->waiting_link();
            return dead != 0 && !core->flows().at(0).link.empty();
        }));
        ports->set_answering(dead, false);
        ASSERT_TRUE(eventually([&] { return ports->waiting_link() != dead; }));
        crash();
        ports->set_answering(dead, true);
        start();
        ports->set_budget(2);
        ASSERT_TRUE(eventually([&] { return ports->waiting() > 0; }));
    }
    ports->set_budget(SIZE_MAX);
    EXPECT_TRUE(converged());
    EXPECT_EQ(ports->carried_twice(), 0u);
    EXPECT_TRUE(eventually([&] { return ports->unacked() == 0; }));
}

// The operator moves a flow while it runs: new bundles take the other link, those under way end where they are.
TEST_F(Site, MovesAFlowOnWish) {
    for (int i = 0; i < 20; ++i)
        write("f" + std::to_string(i), noise(1000));
    ports->set_answering(2, true);
    ports->set_budget(0);
    config.bundle_entries_max = 2;
    start();
    create();
    ASSERT_TRUE(eventually([&] { return ports->waiting() > 3; }));
    const auto refused = core->dataset_change("lake", {"nowhere"});
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().text.find("east-west-2"), std::string::npos) << "it says which there are";
    ASSERT_TRUE(core->dataset_change("lake", {"east-west-2"}).ok());
    ASSERT_TRUE(eventually([&] { return core->flows().at(0).link == "east-west-2"; }));
    write("later", "x");
    ports->set_budget(SIZE_MAX);
    EXPECT_TRUE(converged());
    EXPECT_GT(ports->carried_by(1), 3u) << "those under way";
    EXPECT_GT(ports->carried_by(2), 0u) << "those after";
    EXPECT_EQ(core->stats().bundles_moved, 0u);
    crash();
    start();
    EXPECT_EQ(core->dataset("lake").value().spec.link, "east-west-2") << "it lasts";
}

}  // namespace
}  // namespace longhaul::control::test
