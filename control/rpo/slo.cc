// Minutes are closed when the next one begins; those that passed unseen are closed as missed.
// SPDX-License-Identifier: Apache-2.0
#include "control/rpo/slo.h"

#include <algorithm>

namespace longhaul::control {

namespace {

constexpr std::int64_t kMinute_ns = 60'000'000'000;

std::int64_t minute_of(WallNs time) {
    return time / kMinute_ns;
}
std::int64_t hour_of(std::int64_t minute) {
    return minute / 60 * 60;
}

void add(ChangeCounts& sum, const ChangeCounts& more) {
    sum.changes += more.changes;
    sum.late += more.late;
    sum.bytes += more.bytes;
    sum.bytes_late += more.bytes_late;
}

void add(SloSlot& sum, const SloSlot& more) {
    sum.good += more.good;
    sum.missed += more.missed;
    sum.seeding += more.seeding;
    add(sum.counts, more.counts);
    sum.lag_max_s = std::max(sum.lag_max_s, more.lag_max_s);
}

}  // namespace

Slo::Slo(const std::vector<SloSlot>& stored) {
    for (const auto& slot : stored) {
        (slot.minutes == 1 ? minutes_ : hours_)[slot.start] = slot;
        if (slot.minutes == 1) last_closed_ = std::max(last_closed_.value_or(slot.start), slot.start);
    }
}

void Slo::sample(WallNs now, Verdict verdict, std::optional<double> lag_s, const ChangeCounts& counts) {
    const std::int64_t minute = minute_of(now);
    if (open_ && minute > open_->start) close_minute();
    if (!last_closed_) begin_record(minute);
    if (!open_) {
        if (minute <= *last_closed_) return;  // a clock that was set back: lived through already
        // Nobody sampled what lies between. More than the longest window says nothing more.
        for (auto unseen = std::max(*last_closed_ + 1, minute - kMonth_min); unseen < minute; ++unseen)
            add_minute({1, unseen, 0, 1, 0, {}, 0});
        open_ = SloSlot{1, minute, 0, 0, 0, {}, 0};
        worst_ = Verdict::good;
        forget(minute);
    }
    worst_ = std::max(worst_, verdict);
    add(open_->counts, counts);
    open_->lag_max_s = std::max(open_->lag_max_s, lag_s.value_or(0));
}

// An empty slot before the first minute is stored at once: a process that ends within that minute leaves a record of when
// the account began, so that the time until the next one counts as missed.
void Slo::begin_record(std::int64_t minute) {
    last_closed_ = minute - 1;
    minutes_[minute - 1] = SloSlot{1, minute - 1, 0, 0, 0, {}, 0};
    changed_[{1, minute - 1}] = true;
}

void Slo::close_minute() {
    SloSlot minute = *open_;
    (worst_ == Verdict::good ? minute.good : worst_ == Verdict::seeding ? minute.seeding : minute.missed) = 1;
    open_.reset();
    add_minute(minute);
}

void Slo::add_minute(const SloSlot& minute) {
    last_closed_ = minute.start;
    minutes_[minute.start] = minute;
    const std::int64_t hour = hour_of(minute.start);
    auto& sum = hours_[hour];
    sum.minutes = 60;
    sum.start = hour;
    add(sum, minute);
    changed_[{1, minute.start}] = changed_[{60, hour}] = true;
}

void Slo::forget(std::int64_t minute) {
    minutes_.erase(minutes_.begin(), minutes_.lower_bound(minute - kHour_min));
    hours_.erase(hours_.begin(), hours_.lower_bound(hour_of(minute) - kMonth_min));
}

SloWindow Slo::window(const Slots& slots, std::int64_t from) {
    SloSlot sum;
    for (auto slot = slots.lower_bound(from); slot != slots.end(); ++slot)
        add(sum, slot->second);
    SloWindow out{sum.good,        sum.missed,       sum.seeding,           {}, sum.counts.changes,
                  sum.counts.late, sum.counts.bytes, sum.counts.bytes_late, {}, sum.lag_max_s};
    const auto share = [](std::uint64_t part, std::uint64_t all) -> std::optional<double> {
        if (all == 0) return std::nullopt;
        return static_cast<double>(part) / static_cast<double>(all);
    };
    out.time_ratio = share(sum.good, sum.good + sum.missed);
    out.change_ratio = share(sum.counts.changes - sum.counts.late, sum.counts.changes);
    return out;
}

SloView Slo::view(WallNs now) const {
    const std::int64_t minute = minute_of(now);
    SloView view;
    view.hour = window(minutes_, minute - kHour_min);
    view.day = window(hours_, hour_of(minute) - (kDay_min - 60));
    view.month = window(hours_, hour_of(minute) - (kMonth_min - 60));
    view.objective = kObjective;
    view.budget_min = (1 - kObjective) * static_cast<double>(kMonth_min);
    view.budget_left_min = view.budget_min - static_cast<double>(view.month.minutes_missed);
    if (view.hour.time_ratio) view.burn_rate = (1 - *view.hour.time_ratio) / (1 - kObjective);
    return view;
}

std::vector<SloSlot> Slo::take_changed() {
    std::vector<SloSlot> out;
    for (const auto& [key, unused] : changed_) {
        const auto& slots = key.first == 1 ? minutes_ : hours_;
        if (const auto slot = slots.find(key.second); slot != slots.end()) out.push_back(slot->second);
    }
    changed_.clear();
    return out;
}

}  // namespace longhaul::control
