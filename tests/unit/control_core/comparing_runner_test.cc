// What one Runner makes of comparisons that others' bundles overtake, and when it reads back what was published.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/unit/control_core/one_runner.h"

namespace longhaul::control::test {
namespace {

// A directory that was compared, and what was published into it meanwhile.
class ComparedDirectory : public RunnerTest {
  protected:
    void SetUp() override {
        RunnerTest::SetUp();
        Observed directory;
        directory.print.kind = ObjectKind::directory;
        directory.print.mode = 0755;
        directory.print.mtime_ns = directory.print.ctime_ns = 5;
        sweep({{"d", directory}});
        while (answered_ < ports_.offered.size()) {
            answer();
            turn();
        }
        runner_->verify_start(now());
        turn();
        ASSERT_EQ(carried(wire::EntryKind::verify), 1u);
        comparison_ = ports_.offered.back();
        answered_ = ports_.offered.size();
    }
    void answer(wire::FailReason reason = wire::FailReason::none) {
        for (; answered_ < ports_.offered.size(); ++answered_)
            runner_->on_bundle(told(ports_.offered[answered_], reason), now());
    }
    static command::BundleEvent told(const wire::Manifest& manifest, wire::FailReason reason) {
        auto event = published(manifest);
        if (reason != wire::FailReason::none) event.failures = {{0, reason}};
        event.failed_entries = static_cast<std::uint32_t>(event.failures.size());
        return event;
    }
    void send_into_it() {
        Observed file;
        file.print.mtime_ns = file.print.ctime_ns = 5;
        runner_->hinted({{{"d/x", false}}, {}});
        ASSERT_EQ(runner_->take_look_ups(), std::vector<std::string>{"d/x"});
        runner_->looked_up({{"d/x", file}});
        turn();
        ASSERT_EQ(carried(wire::EntryKind::file), 1u);
    }
    VerifyCounts compared() {
        runner_->on_bundle(told(comparison_, wire::FailReason::other_mtime), now());
        return runner_->view(now()).dataset.verify.counts;
    }

    wire::Manifest comparison_;
    std::size_t answered_ = 0;
};

TEST_F(ComparedDirectory, DiffersOfItself) {
    const VerifyCounts counts = compared();
    EXPECT_EQ(counts.differing, 1u);
    EXPECT_EQ(counts.metadata, 1u);
    EXPECT_EQ(runner_->take_notices().size(), 1u);
    EXPECT_EQ(runner_->take_look_ups(), std::vector<std::string>{"d"}) << "it is settled once more";
}

TEST_F(ComparedDirectory, TellsOfNamesThatOthersMade) {
    runner_->on_bundle(told(comparison_, wire::FailReason::target_names), now());
    const VerifyCounts counts = runner_->view(now()).dataset.verify.counts;
    EXPECT_EQ(counts.differing, 1u);
    EXPECT_EQ(counts.metadata, 0u);
    EXPECT_EQ(runner_->take_notices().size(), 1u);
    EXPECT_EQ(runner_->take_look_ups(), std::vector<std::string>{"d"})
        << "its mtime has moved: it is settled";
}

TEST_F(ComparedDirectory, HasOtherNamesWhileOneIsToComeOrToGo) {
    runner_->begin_sweep(now());
    runner_->found({{"d/x", Observed{}}});  // not on its way yet
    runner_->on_bundle(told(comparison_, wire::FailReason::target_names), now());
    EXPECT_EQ(runner_->view(now()).dataset.verify.counts.changed, 1u);
    EXPECT_TRUE(runner_->take_notices().empty());
}

TEST_F(ComparedDirectory, IsNotJudgedWhileANameIsMadeInIt) {
    send_into_it();
    EXPECT_EQ(compared().changed, 1u);
    EXPECT_TRUE(runner_->take_notices().empty());
}

// The directory has been settled by then, and is recorded as before: its mtime moved in between.
TEST_F(ComparedDirectory, IsNotJudgedWhenANameWasMadeInIt) {
    send_into_it();
    answer();
    ASSERT_EQ(runner_->take_look_ups(), std::vector<std::string>{"d"});
    Observed directory;
    directory.print.kind = ObjectKind::directory;
    directory.print.mode = 0755;
    directory.print.mtime_ns = directory.print.ctime_ns = 5;
    runner_->looked_up({{"d", directory}});
    turn();
    answer();
    turn();
    ASSERT_FALSE(runner_->busy());
    EXPECT_EQ(compared().changed, 1u);
    EXPECT_TRUE(runner_->take_notices().empty());
}

TEST_F(ComparedDirectory, IsNotJudgedWhenANameMayHaveBeenMadeInIt) {
    send_into_it();
    answer(wire::FailReason::target_io);
    EXPECT_EQ(compared().changed, 1u);
    EXPECT_TRUE(runner_->take_notices().empty());
}

// Files of 10 MiB, each a bundle of its own.
class ReadingBack : public RunnerTest {
  protected:
    void begin(double verify_share) {
        config_.bundle_bytes_max = kBytes;
        config_.verify_share = verify_share;
        boot({});
    }
    void find(std::vector<std::string> paths) {
        Hints hints;
        std::vector<Observation> seen;
        Observed file;
        file.print.size = kBytes;
        file.print.mtime_ns = file.print.ctime_ns = 5;
        for (const auto& path : paths) {
            hints.paths.push_back({path, false});
            seen.push_back({path, file});
        }
        runner_->hinted(std::move(hints));
        ASSERT_EQ(runner_->take_look_ups(), paths);
        runner_->looked_up(std::move(seen));
        turn();
    }
    void answer(const std::string& path, wire::FailReason reason = wire::FailReason::none) {
        const auto found =
            std::find_if(ports_.offered.rbegin(), ports_.offered.rend(),
                         [&](const auto& manifest) { return manifest.entries[0].path == path; });
        ASSERT_NE(found, ports_.offered.rend());
        auto event = published(*found);
        if (reason != wire::FailReason::none) event.failures = {{0, reason}};
        event.failed_entries = static_cast<std::uint32_t>(event.failures.size());
        runner_->on_bundle(event, now());
    }
    std::size_t read_back() const { return carried(wire::EntryKind::verify); }
    ReadBackCounts counts() { return runner_->view(now()).dataset.verify.read_back; }

    static constexpr std::uint64_t kBytes = 10u << 20;
};

TEST_F(ReadingBack, BeginsWhenTheDatasetIsIdleAndHoldsNothingUp) {
    begin(0.01);
    find({"a", "b"});
    answer("a");
    turn();
    EXPECT_EQ(read_back(), 0u) << "b is on its way";
    answer("b");
    turn();
    EXPECT_EQ(read_back(), 2u);
    EXPECT_FALSE(runner_->busy());
    EXPECT_FALSE(runner_->demand(now()).active);
    sweep({});  // with the comparison still open
    ASSERT_EQ(ports_.offered.back().entries[0].kind, wire::EntryKind::mark);
    runner_->on_bundle(published(ports_.offered.back()), now());
    EXPECT_TRUE(runner_->record().watermarks.w_pub);
    answer("a");
    turn();
    EXPECT_EQ(counts().files, 2u);
    EXPECT_EQ(counts().bytes, 2 * kBytes);
}

TEST_F(ReadingBack, HasItsShareWhileThereIsWork) {
    begin(0.9);
    find({"a", "b"});
    answer("a");
    find({"c"});
    EXPECT_EQ(read_back(), 0u) << "9 MiB are not enough to begin";
    find({"d"});
    EXPECT_EQ(read_back(), 1u);
    EXPECT_TRUE(runner_->busy());
    answer("b");
    turn();
    EXPECT_EQ(read_back(), 1u) << "the share is spent";
}

TEST_F(ReadingBack, LeavesTheWayToAVerification) {
    begin(0.01);
    find({"a"});
    runner_->verify_start(now());
    answer("a");
    turn();
    ASSERT_EQ(read_back(), 1u);
    EXPECT_EQ(counts().waiting, 1u);
    answer("a");
    turn();
    EXPECT_EQ(runner_->view(now()).dataset.verify.counts.objects, 1u);
    EXPECT_EQ(read_back(), 2u) << "now it has its turn";
}

// A difference is told and sent again, and no watermark passes before.
TEST_F(ReadingBack, RepairsWhatDiffers) {
    begin(0.01);
    find({"a"});
    answer("a");
    turn();
    ASSERT_EQ(read_back(), 1u);
    answer("a", wire::FailReason::integrity);
    EXPECT_EQ(counts().differing, 1u);
    const auto notices = runner_->take_notices();
    ASSERT_EQ(notices.size(), 1u);
    EXPECT_EQ(notices[0].kind, "VERIFY_FAIL");
    EXPECT_EQ(runner_->take_look_ups(), std::vector<std::string>{"a"});
    EXPECT_TRUE(runner_->busy());
}

// What was on its way when the dataplane began anew is asked again.
TEST_F(ReadingBack, GoesOnWhenTheDataplaneBeginsAnew) {
    begin(0.01);
    find({"a"});
    answer("a");
    turn();
    ASSERT_EQ(read_back(), 1u);
    runner_->on_dataplane_down();
    runner_->on_dataplane_up({}, now());
    turn();
    EXPECT_EQ(read_back(), 2u);
    answer("a");
    EXPECT_EQ(counts().files, 1u);
}

}  // namespace
}  // namespace longhaul::control::test
