// One Runner, turn by turn: histories too rare for chance to find, of reports that come late or say too little.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_core/one_runner.h"

namespace longhaul::control::test {
namespace {

// A large file goes while its ranges are on their way; then control restarts, and hears that all have arrived.
// Were they put together now, the target would get back what the watermark already says is gone.
TEST_F(RunnerTest, DoesNotBringBackALargeFileThatWentBeforeARestart) {
    offer_big();
    command::StatusReport status;
    for (const auto& manifest : ports_.offered)
        status.bundles.push_back(published(manifest));
    source_.reset();
    sweep({});
    EXPECT_FALSE(runner_->record().watermarks.w_pub);
    EXPECT_TRUE(runner_->demand(now()).active) << "a mark is due: nothing is pending";
    boot(status);
    turn();
    EXPECT_EQ(carried(wire::EntryKind::assemble), 0u);
    EXPECT_FALSE(runner_->busy());
}

// A report that counts a failure and does not name it: the range that is alone in its bundle is what failed.
TEST_F(RunnerTest, TakesAnUnnamedFailureOfARangeForAFailure) {
    offer_big();
    const auto offered = ports_.offered;
    for (const auto& manifest : offered) {
        auto event = published(manifest);
        if (manifest.id == offered[1].id) event.failed_entries = 1;
        runner_->on_bundle(event, now());
    }
    turn();
    EXPECT_EQ(carried(wire::EntryKind::assemble), 0u);
    for (int i = 0; i < 600 && carried(wire::EntryKind::range) == 3; ++i)
        turn();
    EXPECT_EQ(carried(wire::EntryKind::range), 4u) << "it goes again, alone";
}

// A sweep hands in what it saw of a path before a look-up saw something newer there: the older word does not count, and
// the path is looked at once more, since the newer one may be the sweep's after all.
TEST_F(RunnerTest, ASweepThatSpeaksLateDoesNotUndoALookUp) {
    source_ = Observed{};
    source_->print.mtime_ns = source_->print.ctime_ns = 5;
    runner_->begin_sweep(now());
    turn();
    runner_->hinted({{{"a", false}}, {}});
    ASSERT_EQ(runner_->take_look_ups(), std::vector<std::string>{"a"});
    runner_->looked_up({{"a", source_}});
    turn();
    ASSERT_EQ(carried(wire::EntryKind::file), 1u);
    runner_->on_bundle(published(ports_.offered.back()), now());
    turn();
    ASSERT_FALSE(runner_->busy());
    runner_->found({{"a", std::nullopt}});
    turn();
    EXPECT_EQ(carried(wire::EntryKind::remove), 0u);
    EXPECT_EQ(runner_->take_look_ups(), std::vector<std::string>{"a"});
    runner_->looked_up({{"a", source_}});
    SweepResult result;
    result.clean = true;
    runner_->end_sweep(result, now());
    turn();
    EXPECT_EQ(carried(wire::EntryKind::remove), 0u);
}

// The dataplane holds the source open while there is work, not while it is idle: so it can be unmounted.
TEST_F(RunnerTest, AnIdleSourceIsNotHeldOpen) {
    turn();
    EXPECT_EQ(ports_.opened, 0);
    sweep({});
    EXPECT_EQ(ports_.opened, 1) << "for the mark";
    EXPECT_EQ(ports_.closed, 0);
    ASSERT_FALSE(ports_.offered.empty());
    runner_->on_bundle(published(ports_.offered.back()), now());
    turn();
    turn();
    EXPECT_EQ(ports_.closed, 1);
    source_ = Observed{};
    source_->print.mtime_ns = source_->print.ctime_ns = 5;
    sweep({{"big", source_}});
    EXPECT_EQ(ports_.opened, 2);
    EXPECT_EQ(carried(wire::EntryKind::file), 1u);
    EXPECT_EQ(ports_.closed, 1);
}

// A source that has gone is let go of, though work waits, and not opened until a sweep finds it; another directory in its
// place is opened anew: what the dataplane held would show the old one.
TEST_F(RunnerTest, ASourceThatWasMountedAnewIsOpenedAnew) {
    source_ = Observed{};
    source_->print.mtime_ns = source_->print.ctime_ns = 5;
    sweep({{"big", source_}}, {1, 1});
    EXPECT_EQ(ports_.opened, 1);
    sweep({}, {}, false);
    EXPECT_EQ(ports_.closed, 1);
    turn();
    EXPECT_EQ(ports_.opened, 1);
    sweep({}, {1, 1});
    EXPECT_EQ(ports_.opened, 2);
    sweep({}, {2, 1});
    EXPECT_EQ(ports_.closed, 2);
    EXPECT_EQ(ports_.opened, 3);
}

// A look-up was under way when a sweep began, and is handed in after the sweep has found something newer: were the older
// word to count, a change from before the sweep's start would be dropped, and the sweep would prove that there is none.
TEST_F(RunnerTest, ALookUpFromBeforeASweepDoesNotUndoWhatItFound) {
    sweep({});
    source_ = Observed{};
    source_->print.mtime_ns = source_->print.ctime_ns = 5;
    runner_->hinted({{{"a", false}}, {}});
    ASSERT_EQ(runner_->take_look_ups(), std::vector<std::string>{"a"});
    runner_->begin_sweep(now());
    runner_->found({{"a", source_}});
    runner_->looked_up({{"a", std::nullopt}});
    turn();
    EXPECT_EQ(carried(wire::EntryKind::file), 1u);
    EXPECT_EQ(runner_->take_look_ups(), std::vector<std::string>{"a"}) << "it is looked at anew";
}

// What hints find moves no watermark: it is published at once, and proven by the next sweep.
TEST_F(RunnerTest, AHintMovesNoWatermark) {
    sweep({});
    ASSERT_FALSE(ports_.offered.empty());
    runner_->on_bundle(published(ports_.offered.back()), now());
    turn();
    const auto proven = runner_->record().watermarks;
    ASSERT_TRUE(proven.w_pub);
    source_ = Observed{};
    source_->print.mtime_ns = source_->print.ctime_ns = 5;
    runner_->hinted({{{"a", false}}, {}});
    ASSERT_FALSE(runner_->take_look_ups().empty());
    runner_->looked_up({{"a", source_}});
    turn();
    ASSERT_EQ(carried(wire::EntryKind::file), 1u);
    runner_->on_bundle(published(ports_.offered.back()), now());
    turn();
    EXPECT_FALSE(runner_->busy());
    EXPECT_EQ(runner_->record().watermarks.w_disc, proven.w_disc);
    EXPECT_EQ(runner_->record().watermarks.w_pub, proven.w_pub);
}

// A file in directories that nobody knows yet: they are looked at before it.
TEST_F(RunnerTest, AHintAsksForUnknownDirectoriesAbove) {
    sweep({});
    runner_->hinted({{{"x/y/z", false}}, {}});
    EXPECT_EQ(runner_->take_look_ups(), (std::vector<std::string>{"x", "x/y", "x/y/z"}));
}

// A directory that came whole is swept beneath; what lies beneath another such directory needs no scan of its own.
TEST_F(RunnerTest, ADirectoryThatCameWholeIsScannedOnce) {
    sweep({});
    runner_->hinted({{{"x", true}, {"x/y", true}, {"xy", true}}, {}});
    ASSERT_FALSE(runner_->take_look_ups().empty());
    runner_->looked_up({});
    const auto scan = runner_->take_scan();
    ASSERT_TRUE(scan);
    EXPECT_EQ(scan->beneath, "x");
    EXPECT_FALSE(runner_->take_scan()) << "one at a time";
    SweepResult result;
    result.clean = true;
    runner_->end_scan(result);
    const auto next = runner_->take_scan();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->beneath, "xy");
}

// Its period does not bring a sweep while there is enough to send: nine times what the last one took passes, or a quarter of
// the RPO target if that is less. Whoever asks for one gets it at once.
TEST_F(RunnerTest, SweepsLessOftenWhileThereIsEnoughToSend) {
    config_.bundle_entries_max = 2;
    struct Case {
        Consistency consistency;
        int files;
        double rpo_target_s;
        TimeNs after_its_end;
    };
    for (const Case& with :
         {Case{Consistency::object, 40, 100, 9 * kSecond}, Case{Consistency::ordered, 40, 100, 9 * kSecond},
          Case{Consistency::object, 40, 20, 5 * kSecond}, Case{Consistency::object, 31, 100, kSecond},
          Case{Consistency::ordered, 31, 100, kSecond}}) {
        DatasetRecord record = state_->datasets().at(0);
        record.spec.consistency = with.consistency;
        record.spec.rescan_s = 2;
        record.spec.rpo_target_s = with.rpo_target_s;
        runner_ = std::make_unique<Runner>(record, *state_, ports_, config_, stats_);
        runner_->load(now());  // no dataplane: nothing leaves
        runner_->begin_sweep(now());
        clock_ += kSecond;  // what it takes
        for (int i = 0; i < with.files; ++i) {
            Observed file;
            file.print.size = 5;
            file.print.mtime_ns = file.print.ctime_ns = i + 1;
            runner_->found({{"file" + std::to_string(i), file}});
        }
        SweepResult result;
        result.clean = true;
        runner_->end_sweep(result, now());
        EXPECT_EQ(runner_->next_sweep_at(), now().steady + with.after_its_end)
            << with.files << " files, ordered: " << (with.consistency == Consistency::ordered);
        runner_->rescan_now();
        EXPECT_TRUE(runner_->sweep_due(now()));
    }
}

// Sight was lost: a sweep is due at once, though the period is long; and again after one that was under way. What
// cannot be looked at is a loss, too.
TEST_F(RunnerTest, ALossCausesASweep) {
    boot({});
    sweep({});
    turn();
    const bool long_period = runner_->next_sweep_at() > now().steady + 5 * kSecond;
    ASSERT_TRUE(long_period);
    EXPECT_FALSE(runner_->sweep_due(now()));
    runner_->hinted({{}, "overflow"});
    EXPECT_TRUE(runner_->sweep_due(now()));
    runner_->begin_sweep(now());
    turn();
    runner_->hinted({{}, "overflow"});
    EXPECT_FALSE(runner_->sweep_due(now())) << "one is under way";
    SweepResult result;
    result.clean = true;
    runner_->end_sweep(result, now());
    EXPECT_FALSE(runner_->sweep_due(now())) << "not without a pause";
    turn();
    turn();
    EXPECT_TRUE(runner_->sweep_due(now()));
    sweep({});
    turn();
    turn();
    ASSERT_FALSE(runner_->sweep_due(now()));
    runner_->hinted({{{"unreadable", false}}, {}});
    ASSERT_FALSE(runner_->take_look_ups().empty());
    runner_->looked_up({});
    EXPECT_TRUE(runner_->sweep_due(now()));
}

// A file goes with its directory, which is moved away and back: the file is as it was, ctime included, while its removal is
// on the way. That must not count for more than what was heard of the removal: nothing. The target may have lost it.
TEST_F(RunnerTest, SendsAFileAgainThatCameBackWhileItsRemovalWasOnTheWay) {
    Observed file;
    file.print.size = 100;
    file.print.mtime_ns = file.print.ctime_ns = 5;
    sweep({{"d/file", file}});
    ASSERT_EQ(carried(wire::EntryKind::file), 1u);
    for (const auto& manifest : std::vector(ports_.offered))
        runner_->on_bundle(published(manifest), now());
    turn();
    sweep({{"d/file", std::nullopt}});
    ASSERT_EQ(carried(wire::EntryKind::remove), 1u);
    runner_->on_dataplane_up({}, now());  // another one: what came of the removal will never be known
    const auto row = state_->object(1, "d/file");
    ASSERT_TRUE(row);
    ASSERT_EQ(difference(&*row, &file), Difference::content) << "a sweep would pass over it";
    sweep({{"d/file", file}});  // its removal, offered once more, is on its way by then
    for (const auto& manifest : std::vector(ports_.offered))
        runner_->on_bundle(published(manifest), now());
    turn();
    EXPECT_EQ(carried(wire::EntryKind::file), 2u);
}

// Bundles overtake each other. Were the directory removed first, the file would bring it back.
TEST_F(RunnerTest, RemovesADirectoryBehindWhatIsOnItsWayIntoIt) {
    const auto publish_all = [&] {
        for (const auto& manifest : std::vector(ports_.offered))
            runner_->on_bundle(published(manifest), now());
        turn();
    };
    Observed directory, file;
    directory.print.kind = ObjectKind::directory;
    file.print.size = 100;
    sweep({{"d", directory}});
    publish_all();
    sweep({{"d/file", file}});
    ASSERT_EQ(carried(wire::EntryKind::file), 1u);
    sweep({{"d", std::nullopt}, {"d/file", std::nullopt}});
    EXPECT_EQ(carried(wire::EntryKind::remove), 0u);
    publish_all();
    EXPECT_EQ(carried(wire::EntryKind::remove), 2u);
}

// A directory waits to be settled when a sweep finds it gone, and what it held only later: nothing of it goes before that.
TEST_F(RunnerTest, RemovesADirectoryWhenTheSweepHasFoundAllOfItGone) {
    const auto publish_all = [&] {
        for (const auto& manifest : std::vector(ports_.offered))
            runner_->on_bundle(published(manifest), now());
    };
    Observed directory, file;
    directory.print.kind = ObjectKind::directory;
    file.print.size = 100;
    sweep({{"d", directory}});
    publish_all();
    turn();
    sweep({{"d/file", file}});
    publish_all();
    ASSERT_EQ(carried(wire::EntryKind::file), 1u);
    runner_->begin_sweep(now());
    runner_->found({{"d", std::nullopt}});
    turn();
    EXPECT_EQ(carried(wire::EntryKind::remove), 0u);
    runner_->found({{"d/file", std::nullopt}});
    runner_->end_sweep({.clean = true, .readable = true}, now());
    turn();
    EXPECT_EQ(carried(wire::EntryKind::remove), 2u);
}

// A directory that came and went before it was sent, while what it held is on its way: the target makes it all the same.
TEST_F(RunnerTest, RemovesADirectoryThatOnlyItsContentMade) {
    const auto publish_all = [&] {
        for (const auto& manifest : std::vector(ports_.offered))
            runner_->on_bundle(published(manifest), now());
        turn();
    };
    Observed directory;
    directory.print.kind = ObjectKind::directory;
    sweep({{"d/within", directory}});
    ASSERT_EQ(carried(wire::EntryKind::directory), 1u);
    runner_->begin_sweep(now());
    runner_->found({{"d/within", std::nullopt}});
    runner_->end_sweep({.clean = true, .readable = true}, now());
    publish_all();  // and then its removal
    publish_all();
    EXPECT_FALSE(runner_->record().watermarks.w_pub) << "the source has not been asked about d";
    const auto asked = runner_->take_look_ups();
    ASSERT_NE(std::find(asked.begin(), asked.end(), "d"), asked.end());
    std::vector<Observation> gone;
    for (const auto& path : asked)
        gone.push_back({path, std::nullopt});
    runner_->looked_up(std::move(gone));
    turn();
    EXPECT_EQ(carried(wire::EntryKind::remove), 2u);
}

}  // namespace
}  // namespace longhaul::control::test
