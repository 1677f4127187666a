// Consistency `ordered` at the source: changes wait for the epoch that makes them complete, leave in its order, and
// travel in bundles that are numbered in that order (control/publish/README.md is the definition).
//
// What breaks the numbering (a bundle that failed, was given back, or was refused) ends the run: everything open is
// given back and a new run begins with 1, so that the target can tell what is void.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <utility>

#include "control/dataset/draft.h"
#include "control/dataset/runner.h"

namespace longhaul::control {

namespace {

constexpr std::int64_t kBeforeAll_ns =
    1;  // the cut of what was in flight when the process before this one ended
constexpr std::int64_t kUndo_ns = std::numeric_limits<std::int64_t>::min();  // before all else of its epoch
constexpr std::size_t kRenamesInARow = 16;
// Sweeps that follow up, or come while there is enough to send, take at most a tenth of the time, or half of it where a
// quarter of the RPO target would pass.
constexpr TimeNs kSweepsIdle = 9;
constexpr double kPatienceShare = 0.25;
constexpr TimeNs kRunHoldMin = 100 * kMillisecond, kRunHoldMax = 10 * kSecond;

Release release_of(const Change& change) {
    return {change.cut_ns, change.action == Action::remove, change.changed_by_ns, change.path};
}

// The target passes over it without leaving its order (drivers/storage/publish: may_be_passed_over).
bool passed_over(const wire::Entry& entry, wire::FailReason reason) {
    return reason == wire::FailReason::none || reason == wire::FailReason::source_changed ||
           reason == wire::FailReason::source_vanished || entry.kind == wire::EntryKind::remove;
}

}  // namespace

bool Runner::Open::in_order() const {
    return manifest.publish == wire::PublishRule::in_order;
}

// A clean sweep has ended: all that had changed by its cut is known, and may leave.
void Runner::close_epoch() {
    // Of a sweep that found more than could be kept, what came before the rest is its epoch.
    const std::int64_t cut = std::max(overflow_.cut(sweep_started_ - kCutMargin_ns), kBeforeAll_ns + 1);
    const auto belongs = [&](bool removal, std::int64_t changed_by_ns, std::string_view path) {
        return changed_by_ns <= cut && (removal ? overflow_.removes_before(changed_by_ns)
                                                : !overflow_.is_behind(changed_by_ns, path));
    };
    held_ = false;
    ReleaseQueue::Epoch epoch;
    std::vector<Pending::Handle> large;
    pending_.for_each_listed([&](Pending::Handle change) {
        const bool confirmed = change->seen >= record_.sweeps;
        // It may be gone from the target, and stands at the source again: this sweep has compared it with what was
        // recorded before. What it was before it went may be older than anything in this epoch.
        if ((change->action == Action::settle && change->may_be_missing) ||
            (change->action == Action::remove && !confirmed))
            queue_.insert({cut, false, kUndo_ns, change->path});
        if (change->action == Action::settle) return;
        if (!confirmed &&
            change->cut_ns != 0) {  // the sweep found it as it is recorded: a look-up tells what is left
            queue_.erase(release_of(*change));
            change->cut_ns = 0;
        }
        if (change->cut_ns != 0) return;
        if (!confirmed || !belongs(change->action == Action::remove, change->changed_by_ns, change->path)) {
            held_ = true;
            return;
        }
        change->cut_ns = cut;
        epoch.add(change->action == Action::remove, change->changed_by_ns, change->path);
        change->link_to.reset();
        if (travels_in_ranges(*change)) large.push_back(change);
    });
    queue_.insert(cut, std::move(epoch));
    // Their ranges need no order: they are not visible. Unless a name may do, which is known when its turn has come.
    std::sort(large.begin(), large.end(),
              [](const auto& a, const auto& b) { return release_of(*a) < release_of(*b); });
    for (const auto change : large) {
        const bool has_giver = may_link(*change) && pending_.giver_of(change->print, change->path) != nullptr;
        choose_name(*change);
        if (!has_giver) static_cast<void>(becomes_large(change));
    }
    // In flight, and not needed any more: what it does at the target has to be undone before this epoch shows. And a file
    // that stands as it was sent may have been away when it was read (a directory above it was renamed, and back): then it
    // was passed over, and has to be sent before this epoch shows that it is back.
    for (const auto& change : pending_.list(Place::in_flight)) {
        const bool confirmed = change.seen >= record_.sweeps;
        const bool is_read = change.action == Action::create && change.print.kind == ObjectKind::file;
        if (change.action != Action::settle && (!confirmed || is_read) && !news_.contains(change.path))
            queue_.insert({cut, false, kUndo_ns, change.path});
    }
    for (const auto& [path, news] : news_) {
        if (belongs(!news.now, news.when.changed_by_ns, path))
            queue_.insert({cut, !news.now, news.when.changed_by_ns, path});
        else
            held_ = true;
    }
}

// Seen anew: it belongs to no epoch yet. A directory under the same name has been there since it was first seen.
void Runner::date(Change& change, std::int64_t changed_by_ns, bool same_directory) {
    change.changed_by_ns = same_directory ? std::min(change.changed_by_ns, changed_by_ns) : changed_by_ns;
    change.cut_ns = 0;
    held_ = true;
}

void Runner::follow_up(Moment now) {
    if (!ordered() || !held_ || sweeping_) return;
    const TimeNs at = sweep_ended_steady_ + std::max(kFollowUpMin, pause_between_sweeps());
    next_sweep_at_ = std::min(next_sweep_at_, std::max(at, now.steady));
}

TimeNs Runner::pause_between_sweeps() const {
    const auto took = static_cast<TimeNs>(sweep_took_s_ * 1e9);
    const auto patience = static_cast<TimeNs>(kPatienceShare * record_.spec.rpo_target_s * 1e9);
    return std::min(kSweepsIdle * took, std::max(took, patience));
}

void Runner::requeue(Pending::Handle change) {
    const bool of_name = change->action == Action::create || change->action == Action::remove;
    if (of_name) maybe_touched_.emplace(parent_of(change->path));
    if (!ordered() || change->action == Action::settle) return;
    // A name that the target cannot remove now holds nobody up: the next epoch tries again.
    if (change->action == Action::remove && change->place == Place::backoff) change->cut_ns = 0;
    if (change->cut_ns == 0)
        held_ = true;
    else
        queue_.insert(release_of(*change));
}

// Something else stands where a directory above it has to be: at the target, until it has gone, or at the source by now.
bool Runner::name_is_taken(const std::string& path) {
    for (std::string_view above = parent_of(path); !above.empty(); above = parent_of(above)) {
        const auto found = pending_.find(above);
        if (!found) continue;
        const Change& change = **found;
        const bool other_kind = change.action == Action::create && change.print.kind != ObjectKind::directory;
        if (change.action == Action::remove || other_kind) return true;
    }
    return false;
}

// By one tick of the source's clock files were renamed in a row, as when logs rotate: who gives its name away goes after
// those who want its file, or that would travel once more.
Pending::Handle Runner::first_of_its_tick(Pending::Handle change) {
    for (std::size_t steps = 0; change->takes_name && steps < kRenamesInARow; ++steps) {
        const auto row = state_.object(record_.id, change->path);
        if (!row || !row->published || row->print.ctime_ns == 0) break;
        const Change* heir = pending_.heir_of(row->print, change->path);
        const bool same_tick = heir != nullptr && may_link(*heir) && heir->place == Place::objects &&
                               heir->cut_ns == change->cut_ns && heir->changed_by_ns == change->changed_by_ns;
        if (!same_tick) break;
        change = *pending_.find(heir->path);
    }
    return change;
}

bool Runner::take_in_order(Draft& draft, Pending::Handle change) {
    const auto parent = pending_.find(parent_of(change->path));
    const bool needs_parent = change->action == Action::create && parent &&
                              (*parent)->action == Action::create && (*parent)->place != Place::in_flight &&
                              (*parent)->place != Place::backoff;
    if (needs_parent && !take_in_order(draft, *parent)) return false;
    if (!fits(draft, *change)) return false;
    add_entry(draft, *change);
    pending_.take(change);
    return true;
}

// What stands at the front of the queue: whether it can go, must be waited for, or is not there any more.
Runner::Turn Runner::turn_of(const Release& next, Pending::Handle change) {
    const bool undoes = next.changed_by_ns == kUndo_ns;
    if (change->action == Action::settle) {
        if (!undoes || change->known) return Turn::over;
        if (!std::exchange(change->asked, true)) look_ups_.insert(change->path);
        return Turn::waits;
    }
    if (change->place == Place::in_flight && undoes) return Turn::waits;
    if (change->place == Place::in_flight) {
        const auto news = news_.find(next.path);
        const bool older_is_flying = news != news_.end() && news->second.when.changed_by_ns <= next.cut_ns;
        return older_is_flying ? Turn::waits : Turn::over;
    }
    if (change->changed_by_ns > next.cut_ns) return Turn::over;  // replaced since: a later epoch brings it
    if (undoes && change->action == Action::remove && change->seen < record_.sweeps) {
        look_ups_.insert(change->path);
        return Turn::waits;
    }
    change->cut_ns = next.cut_ns;
    if (const Release own = release_of(*change); next < own) {  // it has another age than was thought
        queue_.insert(own);
        return Turn::over;
    }
    if (change->action == Action::remove) {
        const bool later = change->place == Place::backoff || pending_.removals_wait_under(change->path) ||
                           !remove_may_go(*change);
        if (!later) return Turn::goes;
        change->cut_ns = 0;
        held_ = held_ || !delete_hold_.holds();  // an operator's word is not awaited by sweeping
        return Turn::over;
    }
    if (name_is_taken(change->path)) {
        change->cut_ns = 0;
        held_ = held_ || !delete_hold_.holds();
        return Turn::over;
    }
    if (change->place == Place::backoff) return Turn::waits;
    choose_name(*change);
    return becomes_large(change) ? Turn::waits : Turn::goes;
}

bool Runner::compose_in_order(Moment now) {
    if (now.steady < run_hold_until_) return false;
    Draft draft;
    draft.bound = bundle_bound();
    draft.entries_max = std::min<std::size_t>({config_.bundle_entries_max, wire::kEntriesMax, entries_cap_});
    pending_.begin_draft();
    while (!queue_.empty()) {
        const Release next = queue_.front();
        const auto change = pending_.find(next.path);
        const Turn turn = change ? turn_of(next, *change) : Turn::over;
        if (turn == Turn::goes) {
            const auto first = first_of_its_tick(*change);
            if (first != *change && turn_of(release_of(*first), first) == Turn::goes) {
                if (!take_in_order(draft, first)) break;
                continue;  // its own turn will find it in flight
            }
        }
        if (turn == Turn::waits || (turn == Turn::goes && !take_in_order(draft, *change))) break;
        queue_.pop_front();
    }
    const auto& settles = pending_.list(Place::settles);
    if (queue_.empty() && !settles.empty() && pending_.settle_may_go(settles.front()))
        fill(draft, Place::settles);
    if (draft.manifest.entries.empty()) return false;
    draft.manifest.publish = wire::PublishRule::in_order;
    draft.manifest.place = {record_.order_run, ++record_.order_number};
    state_.dataset_update(record_);  // a number is never given twice
    seal(std::move(draft), now);
    return true;
}

// The outcome of a bundle that took, or failed to take, its place.
bool Runner::order_broken_by(const Open& bundle, const command::BundleEvent& event) const {
    if (!bundle.in_order()) return false;
    if (event.stage == wire::Stage::failed || event.failed_entries > event.failures.size()) return true;
    return std::any_of(event.failures.begin(), event.failures.end(), [&](const wire::EntryFailure& failure) {
        return failure.entry >= bundle.manifest.entries.size() ||
               !passed_over(bundle.manifest.entries[failure.entry], failure.reason);
    });
}

// The target would not publish it any more, or it was cancelled: nothing is wrong with what it carries.
bool Runner::sent_back(const Open& bundle, const command::BundleEvent& event) {
    return bundle.in_order() && event.stage == wire::Stage::failed &&
           (event.reason == wire::FailReason::superseded || event.reason == wire::FailReason::cancelled);
}

void Runner::begin_run(Moment now) {
    ++record_.order_run;
    record_.order_number = 0;
    state_.dataset_update(record_);
    for (auto next = open_.begin(); next != open_.end();) {
        const auto bundle = next++;
        if (!bundle->second.in_order()) continue;
        if (bundle->second.accepted) static_cast<void>(ports_.bundle_cancel(bundle->first).ok());
        give_back(bundle);
    }
    run_hold_ = std::clamp(2 * run_hold_, kRunHoldMin, kRunHoldMax);
    run_hold_until_ = now.steady + run_hold_;
}

// Dates are not kept: what was in flight goes before all else, in the order in which it was numbered. Ranges have no
// number: the next clean sweep says to which epoch their file belongs.
void Runner::load_order_of(Change& change, const Open& bundle, std::size_t index) {
    if (!bundle.in_order()) return date(change, change.print.ctime_ns, false);
    constexpr std::int64_t kLongAgo = std::numeric_limits<std::int64_t>::min() / 2;
    const std::uint64_t number = std::min<std::uint64_t>(bundle.manifest.place.number, 1ull << 40);
    change.cut_ns = kBeforeAll_ns;
    change.changed_by_ns = kLongAgo + static_cast<std::int64_t>(number * wire::kEntriesMax + index);
}

}  // namespace longhaul::control
