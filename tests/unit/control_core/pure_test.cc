// The parts that need no disk: watermarks, states, differences, intervals, names.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/capture/tree.h"
#include "control/dataset/large.h"
#include "control/rpo/drain.h"
#include "control/rpo/status.h"
#include "control/rpo/watermarks.h"
#include "dataplane/base/random.h"

namespace longhaul::control {
namespace {

// A watermark is the start of the last clean sweep before the oldest pending change; sweeps that were not
// clean do not count.
TEST(Watermarks, StopBeforeTheOldestPendingChange) {
    SweepLedger ledger;
    EXPECT_FALSE(ledger.published());
    ledger.unpublished.add(1);
    ledger.completed_clean(1, 100);
    EXPECT_FALSE(ledger.published()) << "a change of the first sweep: nothing is proven";
    EXPECT_EQ(ledger.discovered(), 100);
    ledger.unpublished.remove(1);
    EXPECT_EQ(ledger.published(), 100);
    ledger.unpublished.add(3);  // sweep 2 was not clean
    ledger.completed_clean(3, 300);
    EXPECT_EQ(ledger.published(), 100);
    ledger.completed_clean(4, 400);
    EXPECT_EQ(ledger.published(), 100);
    EXPECT_EQ(ledger.durable(), 400);
    ledger.unpublished.remove(3);
    EXPECT_EQ(ledger.published(), 400);
}

// Weeks without a link: the ledger stays small and never claims more than a complete one would.
TEST(Watermarks, ForgetSweepsOnlyToTheCarefulSide) {
    SweepLedger ledger;
    ledger.completed_clean(1, 1);
    ledger.unpublished.add(2);
    ledger.unpublished.add(9'000);
    for (SweepNumber n = 2; n < 20'000; ++n)
        ledger.completed_clean(n, n);
    EXPECT_EQ(ledger.published(), 1);
    ledger.unpublished.remove(2);
    EXPECT_LE(*ledger.published(), 8'999);
    ledger.unpublished.remove(9'000);
    EXPECT_EQ(ledger.published(), 19'999);
}

TEST(Watermarks, NeverGoBack) {
    std::optional<WallNs> shown;
    raise(shown, 5);
    raise(shown, 3);
    raise(shown, std::nullopt);
    EXPECT_EQ(shown, 5);
}

// The states an operator reads, in their order of precedence.
TEST(Status, NamesTheState) {
    constexpr WallNs kSecondNs = 1'000'000'000;
    RpoFacts facts;
    facts.rpo_target_s = 30;
    const auto state = [&](WallNs now) {
        RpoView view;
        judge(facts, now, view);
        return view.state;
    };
    facts.source_readable = false;
    EXPECT_EQ(state(0), "SEEDING");
    facts.watermarks.w_pub = 100 * kSecondNs;
    EXPECT_EQ(state(101 * kSecondNs), "UNKNOWN");
    facts.source_readable = true;
    EXPECT_EQ(state(130 * kSecondNs), "PROTECTED");
    EXPECT_EQ(state(131 * kSecondNs), "CATCHING_UP");
    facts.work_waits = true;
    facts.moved_at = 100 * kSecondNs;
    EXPECT_EQ(state(110 * kSecondNs), "PROTECTED");
    EXPECT_EQ(state(111 * kSecondNs), "STALLED");
}

// Which change of which field means bytes, metadata, a replacement or nothing.
TEST(Difference, TellsContentFromMetadata) {
    ObjectRecord record;
    record.print = {10, 100, 200, 7, 0644, 1, 1, ObjectKind::file};
    record.published = true;
    const auto with = [&](auto change) {
        Observed now;
        now.print = record.print;
        change(now.print);
        return difference(&record, &now);
    };
    EXPECT_EQ(with([](Fingerprint&) {}), Difference::none);
    EXPECT_EQ(with([](Fingerprint& p) { p.size = 11; }), Difference::content);
    EXPECT_EQ(with([](Fingerprint& p) { p.mtime_ns = 101; }), Difference::content);
    EXPECT_EQ(with([](Fingerprint& p) { p.inode = 8; }), Difference::content);
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201; }), Difference::content)
        << "mtime may have been set back";
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201, p.mode = 0600; }), Difference::metadata);
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201, p.uid = 2; }), Difference::metadata);
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201, p.attributes = 9; }), Difference::metadata);
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201, p.names = 2; }), Difference::content)
        << "of how many names it had nothing is recorded";
    record.print.attributes = kAttributesUnknown;
    EXPECT_EQ(with([](Fingerprint& p) { p.attributes = 0; }), Difference::none);
    EXPECT_EQ(with([](Fingerprint& p) { p.attributes = 9; }), Difference::metadata);
    record.print.attributes = kAttributesInDoubt;
    EXPECT_EQ(with([](Fingerprint& p) { p.attributes = 0; }), Difference::metadata);
    record.print.attributes = kMetadataLost;
    EXPECT_EQ(with([](Fingerprint& p) { p.attributes = 0; }), Difference::metadata);
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201; }), Difference::content)
        << "nothing at the source explains the ctime";
    record.print.attributes = 0;
    record.print.names = 1;
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201, p.names = 2; }), Difference::metadata);
    record.print.birth_ns = 50;
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 201, p.names = 2, p.birth_ns = 51; }),
              Difference::content)
        << "another file of the same number";
    EXPECT_EQ(with([](Fingerprint& p) { p.kind = ObjectKind::directory; }), Difference::kind);
    EXPECT_EQ(with([](Fingerprint& p) { p.kind = ObjectKind::symlink; }), Difference::content);
    EXPECT_EQ(difference(&record, nullptr), Difference::gone);
    EXPECT_EQ(difference(nullptr, nullptr), Difference::none);
    record.print.ctime_ns = 0;
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 200, p.mode = 0600; }), Difference::content)
        << "published while racy";
    record.print.ctime_ns = 200;
    record.published = false;
    EXPECT_EQ(with([](Fingerprint&) {}), Difference::content);
    record.published = true;
    record.print.kind = ObjectKind::directory;
    EXPECT_EQ(with([](Fingerprint& p) { p.ctime_ns = 1, p.inode = 1, p.size = 1; }), Difference::none);
    EXPECT_EQ(with([](Fingerprint& p) { p.mtime_ns = 1; }), Difference::metadata);
}

// Intervals against a plain set of units, over random additions and removals.
TEST(Intervals, AgreeWithAPlainSet) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        Intervals intervals;
        std::vector<bool> plain(64, false);
        for (int step = 0; step < 60; ++step) {
            const auto from = random.below(60);
            const auto length = 1 + random.below(64 - from);
            const bool adds = random.chance(0.6);
            for (auto i = from; i < from + length; ++i)
                plain[i] = adds;
            adds ? intervals.add(from, length) : intervals.remove(from, length);
            const auto first =
                static_cast<std::uint64_t>(std::find(plain.begin(), plain.end(), false) - plain.begin());
            ASSERT_EQ(intervals.total(),
                      static_cast<std::uint64_t>(std::count(plain.begin(), plain.end(), true)))
                << "seed " << seed;
            const auto gap = intervals.gap(64, 5);
            ASSERT_EQ(gap.length == 0, first == 64) << "seed " << seed;
            if (gap.length > 0) {
                ASSERT_EQ(gap.offset, first) << "seed " << seed;
                ASSERT_LE(gap.length, 5u);
                for (auto i = gap.offset; i < gap.offset + gap.length; ++i)
                    ASSERT_FALSE(plain[i]) << "seed " << seed;
                ASSERT_FALSE(intervals.covers(gap.offset, 1)) << "seed " << seed;
            }
        }
    }
}

// Versions of one path, and equal bytes split differently between dataset and path, have different keys.
TEST(ObjectKey, DiffersForEveryVersion) {
    Fingerprint print{10, 100, 200, 7, 0644, 1, 1, ObjectKind::file};
    const auto key = object_key("lake", "a/b", print);
    EXPECT_EQ(key, object_key("lake", "a/b", print));
    EXPECT_NE(key, object_key("lakea", "/b", print));
    for (auto member : {&Fingerprint::mtime_ns, &Fingerprint::ctime_ns}) {
        auto other = print;
        other.*member += 1;
        EXPECT_NE(key, object_key("lake", "a/b", other));
    }
}

// Shown names are valid UTF-8 and can be read back without doubt.
TEST(ShownPath, EscapesWhatIsNotText) {
    EXPECT_EQ(shown_path("plain/caf\xc3\xa9"), "plain/caf\xc3\xa9");
    EXPECT_EQ(shown_path("\xff\n\\"), "\\xff\\x0a\\x5c");
    EXPECT_EQ(shown_path("\xc0\x80"), "\\xc0\\x80") << "overlong";
    EXPECT_EQ(shown_path("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
    EXPECT_EQ(shown_path("\xe2\x82"), "\\xe2\\x82") << "cut off";
    EXPECT_EQ(shown_path("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
}

// The drain rate is that of the last ten seconds, and zero when nothing moves.
TEST(DrainMeter, MeasuresTheLastSeconds) {
    DrainMeter meter;
    meter.begin(100 * kSecond);
    for (int i = 1; i <= 5; ++i)
        meter.add((100 + i) * kSecond, 1'000'000);
    EXPECT_DOUBLE_EQ(meter.rate_bps(105 * kSecond), 8e6);
    EXPECT_DOUBLE_EQ(meter.rate_bps(120 * kSecond), 0);
}

}  // namespace
}  // namespace longhaul::control
