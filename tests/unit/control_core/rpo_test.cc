// Proves the arithmetic of RPO: forecasts, attainment, alarms with their hysteresis, and clocks that differ, leap
// or lie.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/rpo/alarms.h"
#include "control/rpo/average.h"
#include "control/rpo/clock_offset.h"
#include "control/rpo/event_log.h"
#include "control/rpo/forecast.h"
#include "control/rpo/slo.h"
#include "control/rpo/source_clock.h"
#include "control/rpo/status.h"
#include "dataplane/base/random.h"

namespace longhaul::control {
namespace {

constexpr WallNs kSec = 1'000'000'000;

Load load(double lag_s, std::uint64_t bytes, double change_bps, double drain_bps) {
    Load out;
    out.lag_s = lag_s;
    out.rpo_target_s = 100;
    out.bytes_behind = out.oldest_bytes = bytes;
    out.objects_behind = bytes > 0 ? 1 : 0;
    out.waits = bytes > 0;
    out.change_bps = change_bps;
    out.drain_bps = drain_bps;
    return out;
}

// Every figure against the formula by hand; what cannot be said is absent and has a reason.
TEST(Forecast, SaysWhenAndWhichRate) {
    const auto idle = forecast(load(20, 0, 0, 0));
    EXPECT_EQ(idle.eta_s, 0);
    EXPECT_FALSE(idle.time_to_breach_s);
    EXPECT_EQ(idle.time_to_breach_reason, "nothing is pending");

    const auto works = forecast(load(20, 1000, 100, 900));  // 8000 bits at 800 bit/s of surplus
    EXPECT_DOUBLE_EQ(*works.eta_s, 10);
    EXPECT_FALSE(works.time_to_breach_s) << works.time_to_breach_reason;
    EXPECT_DOUBLE_EQ(works.required_bps, 100 + 8000.0 / 100);

    auto falls_behind = load(20, 1000, 1000, 900);
    falls_behind.oldest_bytes = 100;
    EXPECT_DOUBLE_EQ(*time_to_breach_s(falls_behind), 80 / (1 - 0.9));
    EXPECT_EQ(forecast(falls_behind).eta_reason, "the source changes as fast as the flow carries, or faster");

    EXPECT_DOUBLE_EQ(*time_to_breach_s(load(20, 1000, 0, 0)), 80)
        << "nothing moves: the lag grows with the clock";
    EXPECT_EQ(forecast(load(20, 1000, 0, 0)).eta_reason, "nothing is moving");
    EXPECT_DOUBLE_EQ(*time_to_breach_s(load(20, 100'000, 0, 900)), 80) << "the oldest step takes 889 s";
    EXPECT_EQ(*time_to_breach_s(load(101, 1000, 0, 900)), 0);
    auto seeding = load(0, 1000, 0, 900);
    seeding.lag_s.reset();
    EXPECT_EQ(forecast(seeding).time_to_breach_reason, "the lag is not known");
}

// The same history in other steps gives the same average, and the first minutes are not taken for zero.
TEST(Average, DoesNotDependOnTheStep) {
    Average fine(60), coarse(60);
    for (int i = 0; i < 600; ++i)
        fine.add(i < 300 ? 100 : 0, 1);
    coarse.add(100, 300);
    coarse.add(0, 300);
    EXPECT_NEAR(fine.value(), coarse.value(), 0.5);
    Average young(3600);
    young.add(100, 10);
    EXPECT_DOUBLE_EQ(young.value(), 100);
}

// Minutes are good, missed, seeding; what nobody sampled is missed; windows forget; a restart forgets nothing.
TEST(Slo, CountsMinutesAndChanges) {
    Slo slo;
    const auto minute = [](std::int64_t n) { return n * 60 * kSec; };
    std::vector<SloSlot> stored;
    const auto keep = [&] {
        for (const auto& slot : slo.take_changed()) {
            std::erase_if(stored, [&](const SloSlot& old) {
                return old.minutes == slot.minutes && old.start == slot.start;
            });
            stored.push_back(slot);
        }
    };
    slo.sample(minute(1000), Verdict::seeding, {}, {});
    slo.sample(minute(1001), Verdict::good, 5, {10, 1, 1000, 50});
    slo.sample(minute(1001) + kSec, Verdict::missed, 70, {});
    slo.sample(minute(1002), Verdict::good, 5, {});
    slo.sample(minute(1003), Verdict::good, 5, {});
    auto hour = slo.view(minute(1003)).hour;
    EXPECT_EQ(hour.minutes_seeding, 1u);
    EXPECT_EQ(hour.minutes_missed, 1u) << "one bad sample is a bad minute";
    EXPECT_EQ(hour.minutes_good, 1u) << "the running minute is not judged yet";
    EXPECT_DOUBLE_EQ(*hour.time_ratio, 0.5);
    EXPECT_DOUBLE_EQ(*hour.change_ratio, 0.9);
    EXPECT_DOUBLE_EQ(hour.lag_max_s, 70);
    keep();
    Slo later(stored);  // control was down for five minutes
    later.sample(minute(1008), Verdict::good, 5, {});
    later.sample(minute(1009), Verdict::good, 5, {});
    const auto view = later.view(minute(1009));
    EXPECT_EQ(view.hour.minutes_good, 2u);
    EXPECT_EQ(view.hour.minutes_missed, 1u + 5u) << "1003 to 1007: nobody was there";
    EXPECT_EQ(view.month.minutes_missed, 6u);
    EXPECT_NEAR(view.budget_left_min, 43.2 - 6, 1e-9);
    EXPECT_NEAR(*view.burn_rate, (6.0 / 8) / 0.001, 1e-6);
    later.sample(minute(1009 + 61), Verdict::good, 5, {});
    EXPECT_EQ(later.view(minute(1009 + 61)).hour.minutes_good, 0u) << "an hour that nobody saw";
}

// 31 days, minute by minute: never more slots than the windows need, whatever is stored.
TEST(Slo, IsBounded) {
    Slo slo;
    std::map<std::pair<std::int64_t, std::int64_t>, SloSlot> stored;
    for (std::int64_t minute = 1'000'000; minute < 1'000'000 + 31 * 1440; ++minute) {
        slo.sample(minute * 60 * kSec, Verdict::good, 1, {});
        const auto changed = slo.take_changed();
        ASSERT_LE(changed.size(), 2u);
    }
    const auto view = slo.view((1'000'000 + 31 * 1440) * 60 * kSec);
    EXPECT_LE(view.month.minutes_good, 43'200u);
    EXPECT_GE(view.month.minutes_good, 43'200u - 60);
    EXPECT_LE(view.day.minutes_good, 1440u);
    EXPECT_EQ(view.month.minutes_missed, 0u);
}

RpoView view_with(double lag_s) {
    RpoView view;
    view.dataset = "lake";
    view.state = "PROTECTED";
    view.quality = "proven";
    view.rpo_target_s = 60;
    view.rpo_lag_s = lag_s;
    view.limiting_stage = "transfer";
    return view;
}

std::string kinds(const std::vector<Event>& events) {
    std::string out;
    for (const auto& event : events)
        out += event.kind + " ";
    return out;
}

// One sample is no breach, three are, and one far beyond is at once; the end tells peak and duration.
TEST(Alarms, RaiseAndEndABreach) {
    Alarms alarms("source/lake");
    WallNs now = 0;
    const auto sample = [&](double lag_s) { return kinds(alarms.sample(view_with(lag_s), {}, now += kSec)); };
    EXPECT_EQ(sample(61) + sample(61) + sample(50) + sample(61) + sample(61), "") << "flapping is no breach";
    EXPECT_EQ(sample(62), "BREACH ");
    EXPECT_EQ(sample(90) + sample(59) + sample(59) + sample(61), "") << "nor an end";
    const auto breach = alarms.take_changed_breach();
    ASSERT_TRUE(breach);
    EXPECT_EQ(breach->started, 4 * kSec) << "since the first of the three";
    EXPECT_EQ(breach->peak_lag_s, 90);
    sample(59), sample(59);
    const auto ended = alarms.sample(view_with(59), {}, now += kSec);
    ASSERT_EQ(kinds(ended), "BREACH_ENDED ");
    EXPECT_EQ(ended[0].peak_lag_s, 90);
    EXPECT_EQ(ended[0].duration_s, 9);
    EXPECT_EQ(alarms.take_changed_breach()->ended, now);
    EXPECT_EQ(sample(121), "BREACH ") << "beyond twice the target: at once";
}

// A breach that an earlier process saw begin is not raised again, and ends here.
TEST(Alarms, GoOnAfterARestart) {
    Breach open;
    open.id = 5;
    open.started = 1;
    open.peak_lag_s = 100;
    Alarms alarms("source/lake", open);
    EXPECT_EQ(kinds(alarms.sample(view_with(200), {}, 10 * kSec)), "");
    EXPECT_EQ(alarms.take_changed_breach()->peak_lag_s, 200);
    std::string all;
    for (int i = 0; i < 4; ++i)
        all += kinds(alarms.sample(view_with(1), {}, (11 + i) * kSec));
    EXPECT_EQ(all, "BREACH_ENDED ");
    EXPECT_EQ(alarms.take_changed_breach()->id, 5);
}

// What is not known for longer than the target is a breach as well: unknown and growing, never well.
TEST(Alarms, TakeTheUnknownForABreach) {
    Alarms alarms("source/lake");
    std::string all;
    for (int second = 1; second <= 70; ++second) {
        RpoView view = view_with(0);
        view.rpo_lag_s.reset();
        view.quality = view.state = "unknown";
        view.unknown_for_s = second;
        all += kinds(alarms.sample(view, {}, second * kSec));
    }
    EXPECT_EQ(all, "METRIC_STALE BREACH ");
}

TEST(Alarms, PredictStallAndSeedLate) {
    Alarms alarms("source/lake");
    std::string all;
    for (int i = 0; i < 10; ++i) {
        RpoView view = view_with(50);
        view.time_to_breach_s = 10;
        view.state = "STALLED";
        all += kinds(alarms.sample(view, {}, i * kSec));
    }
    EXPECT_EQ(all, "BREACH_PREDICTED STALLED ");
    all.clear();
    Alarms young("source/new");
    for (int second = 0; second < 4000; ++second) {
        RpoView view = view_with(0);
        view.rpo_lag_s.reset();
        view.state = "SEEDING";
        view.quality = "unknown";
        all += kinds(young.sample(view, 0, second * kSec));
    }
    EXPECT_EQ(all, "SEEDING_LATE ") << "after an hour, once";
}

// However lopsided the way and wrong the clock, the true offset lies within the uncertainty.
TEST(PeerClock, HoldsTheTrueOffset) {
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        Random random(seed);
        const auto offset = static_cast<WallNs>(random.below(1200 * kSec)) - 600 * kSec;
        PeerClock clock;
        WallNs now = 1'800'000'000 * kSec;
        for (int i = 0; i < 20; ++i) {
            PeerReport exchange;
            exchange.asked = now += static_cast<WallNs>(1 + random.below(10 * kSec));
            exchange.received = (now += static_cast<WallNs>(random.below(kSec / 2))) + offset;
            exchange.answered = (now += static_cast<WallNs>(random.below(kSec / 100))) + offset;
            exchange.heard = now += static_cast<WallNs>(random.below(kSec / 2));
            const auto fresh = estimate_clock(exchange);
            ASSERT_TRUE(fresh.ok()) << fresh.error().text;
            clock.add(fresh.value());
            const double wrong_s = std::abs(static_cast<double>(clock.best()->offset_ns - offset)) / 1e9;
            ASSERT_LE(wrong_s, clock.best()->uncertainty_s(now)) << "seed " << seed;
        }
    }
}

// Ten minutes apart is told; so are a clock that was set, one not compared for long, and impossible answers.
TEST(PeerClock, SaysWhatIsWrong) {
    const WallNs now = 1'800'000'000 * kSec;
    PeerReport exchange{now, now + kSec / 100, now + 600 * kSec, now + 600 * kSec + 1, {}};
    PeerClock clock;
    clock.add(estimate_clock(exchange).value());
    EXPECT_NE(clock.problem(now).find("600.0 s ahead of ours"), std::string::npos) << clock.problem(now);
    exchange = {now + kSec, now + kSec + kSec / 100, now + kSec, now + kSec + 1, {}};
    clock.add(estimate_clock(exchange).value());
    EXPECT_NE(clock.problem(now + 2 * kSec).find("was set"), std::string::npos);
    EXPECT_NE(clock.problem(now + 100 * kSec).find("last compared"), std::string::npos);
    EXPECT_FALSE(estimate_clock({now, now - 1, now, now, {}}).ok()) << "heard before it was asked";
    EXPECT_FALSE(estimate_clock({now, now + 1, now, now + kSec, {}}).ok()) << "answered after it was heard";
    EXPECT_FALSE(estimate_clock({now, now + 60 * kSec, now, now, {}}).ok()) << "a minute on the way";
    EXPECT_FALSE(estimate_clock({now, now + 1, INT64_MAX, INT64_MIN, {}}).ok());
}

// A wall that is set back makes nothing younger: the difference of two readings is never less than what passed.
TEST(SourceClock, NeverUnderstatesWhatPassed) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        SourceClock clock;
        WallNs wall = 1'800'000'000 * kSec;
        TimeNs steady = 5;
        WallNs before = clock.read(wall, steady);
        for (int i = 0; i < 100; ++i) {
            const auto passed = random.below(100 * kSecond);
            wall += static_cast<WallNs>(passed);
            steady += passed;
            if (random.chance(0.2)) wall += static_cast<WallNs>(random.below(1200 * kSecond)) - 600 * kSec;
            const WallNs now = clock.read(wall, steady);
            ASSERT_GE(now - before, static_cast<WallNs>(passed)) << "seed " << seed;
            before = now;
        }
    }
    SourceClock clock;
    clock.not_before(2000, 500'000);
    EXPECT_EQ(clock.read(1000, 500'007), 2007)
        << "what an earlier process has proven lies in the past; not more";
}

// At a target, the source's clock counts: ahead by ten minutes or not known, the lag is never too small.
TEST(Status, JudgesByTheSourcesClock) {
    RpoFacts facts;
    facts.rpo_target_s = 60;
    facts.watermarks.w_pub = 1000 * kSec;
    RpoView view;
    facts.clock_offset_ns = 600 * kSec;
    facts.clock_uncertainty_s = 0.5;
    facts.clock_problem = "600 s ahead";
    judge(facts, 430 * kSec, view);
    EXPECT_DOUBLE_EQ(*view.rpo_lag_s, 30.5) << "with the uncertainty";
    EXPECT_EQ(view.quality, "estimated");
    EXPECT_EQ(view.now_src, 1030 * kSec);
    facts.clock_uncertainty_s.reset();
    facts.unknown_since = 400 * kSec;
    judge(facts, 430 * kSec, view);
    EXPECT_FALSE(view.rpo_lag_s);
    EXPECT_EQ(view.state, "UNKNOWN");
    EXPECT_DOUBLE_EQ(view.unknown_for_s, 30);
    facts.clock_uncertainty_s = 0.5;
    judge(facts, 390 * kSec, view);
    EXPECT_FALSE(view.rpo_lag_s) << "a watermark ten seconds in the future of its own clock";
    EXPECT_NE(view.quality_reason.find("ahead of the source's clock"), std::string::npos);
}

// The stage with the widest step is named.
TEST(Status, NamesTheLimitingStage) {
    RpoFacts facts;
    facts.rpo_target_s = 60;
    facts.watermarks = {100 * kSec, 90 * kSec, 30 * kSec, 20 * kSec};
    RpoView view;
    judge(facts, 110 * kSec, view);
    EXPECT_EQ(view.limiting_stage, "durability");
    facts.watermarks.w_dur = 89 * kSec;
    judge(facts, 110 * kSec, view);
    EXPECT_EQ(view.limiting_stage, "publication");
    judge(facts, 1000 * kSec, view);
    EXPECT_EQ(view.limiting_stage, "discovery");
}

// A reader that fell behind a full log sees the gap in the ids.
TEST(EventLog, IsBounded) {
    EventLog log;
    for (std::uint64_t id = 1; id <= EventLog::kKept + 5; ++id) {
        Event event;
        event.id = id;
        log.append(event);
    }
    EXPECT_EQ(log.after(0, 3).at(0).id, 6u);
    EXPECT_EQ(log.after(log.last() - 1, 10).size(), 1u);
    EXPECT_FALSE(log.wait_after(log.last(), std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace longhaul::control
