// From what is seen at the source to what has to be done.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "control/dataset/runner.h"

namespace longhaul::control {

namespace {

bool same_version(const Change& change, const Observed& now) {
    const auto& a = change.print;
    const auto& b = now.print;
    if (a.kind != b.kind) return false;
    if (a.kind == ObjectKind::directory)
        return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.mtime_ns == b.mtime_ns &&
               a.attributes == b.attributes;
    return a == b && (change.link ? *change.link : std::string()) == now.link;
}

constexpr std::size_t kBundlesForLong = 16;
constexpr std::size_t kUnsupportedSaidMax = 10'000;

}  // namespace

bool Runner::sweep_due(Moment now) const {
    return !sweeping_ && now.steady >= next_sweep_at();
}

// While there is enough to send, what a sweep finds would wait, and what it takes of processors and disk is taken from
// those that send.
TimeNs Runner::next_sweep_at() const {
    if (next_sweep_at_ == 0 || !has_work_for_long()) return next_sweep_at_;
    return std::max(next_sweep_at_, sweep_ended_steady_ + pause_between_sweeps());
}

// Without a further sweep; not where memory was full and has become free since.
bool Runner::has_work_for_long() const {
    const std::size_t ready = ordered() ? queue_.size() : pending_.list(Place::objects).size();
    return ready >= kBundlesForLong * config_.bundle_entries_max && !forgotten_may_return();
}

SweepRequest Runner::begin_sweep(Moment now) {
    sweeping_ = true;
    sweep_started_ = now.wall;
    sweep_started_steady_ = now.steady;
    // Start to start: the proof's age at rest is bounded by the period, not by the period plus a sweep.
    next_sweep_at_ = now.steady + static_cast<TimeNs>(record_.spec.rescan_s * 1e9);
    sweep_wanted_ = false;
    crossings_.begin_sweep();
    overflow_.begin_sweep();
    full_ = {};  // what has lost its place in an epoch since may go
    objects_found_ = bytes_found_ = 0;
    ++record_.sweeps;
    state_.dataset_update(record_);
    SweepRequest request;
    request.root = record_.spec.source.substr(std::string_view("posix:").size());
    request.state_path = state_.path();
    request.dataset = record_.id;
    request.root_before = {record_.root_device, record_.root_inode};
    request.objects_before = published_.objects;
    request.threads = config_.sweep_threads;
    return request;
}

void Runner::sweeping(const SweepResult& so_far) {
    objects_found_ = so_far.objects;
    bytes_found_ = so_far.bytes;
}

void Runner::found(std::vector<Observation>&& observations) {
    for (const auto& seen : observations) {
        if (seen.content_unseen) {
            not_looked_into(seen.path);
            continue;
        }
        if (!crossings_.believed(Crossings::kSweep, seen.path)) {
            look_soon(seen.path);  // the other eye looked after this sweep began: its word is proof enough
            continue;
        }
        Sighting when = seen_now();
        when.changed_by_ns = seen.changed_by_ns;
        observe(seen.path, seen.now, when);
    }
}

// What is found beneath it from now on may have happened before this sweep began.
void Runner::not_looked_into(const std::string& directory) {
    const bool fresh = unseen_.emplace(directory, record_.sweeps).second;
    if (fresh) ledger_.unseen.add(record_.sweeps);
}

SweepNumber Runner::first_possible(const std::string& path, SweepNumber first) const {
    if (const auto since = overflow_.since()) first = std::min(first, *since);
    if (unseen_.empty()) return first;
    for (std::string_view above = parent_of(path); !above.empty(); above = parent_of(above))
        if (const auto unseen = unseen_.find(above); unseen != unseen_.end())
            first = std::min(first, unseen->second);
    return first;
}

// A later sweep has looked at everything once more.
void Runner::all_looked_into() {
    std::erase_if(unseen_, [this](const auto& unseen) {
        if (unseen.second >= record_.sweeps) return false;
        ledger_.unseen.remove(unseen.second);
        return true;
    });
}

void Runner::end_sweep(const SweepResult& result, Moment now) {
    sweeping_ = false;
    ++sweeps_done_;
    ++stats_.sweeps;
    sweep_ended_steady_ = now.steady;
    sweep_took_s_ = static_cast<double>(now.steady - sweep_started_steady_) / 1e9;
    const bool clean = result.clean && !sweep_void_;
    sweep_void_ = false;
    sweep_wanted_ |= crossings_.end(Crossings::kSweep);
    sweep_not_before_ = now.steady + std::max(kWantedSweepGap, now.steady - sweep_started_steady_);
    if (sweep_wanted_) next_sweep_at_ = std::min(next_sweep_at_, sweep_not_before_);
    source_readable_ = result.readable && result.clean;
    source_problem_ = result.problem;
    source_gone_ = !result.readable;
    const RootIdentity known{record_.root_device, record_.root_inode};
    if (source_gone_ || (known.known() && result.root.known() && result.root != known)) store_stale_ = true;
    if (result.root.known()) {
        record_.root_device = result.root.device;
        record_.root_inode = result.root.inode;
    }
    if (result.readable) {
        record_.objects_total = result.objects;
        record_.bytes_total = result.bytes;
    }
    for (const auto& path : result.unsupported) {
        if (unsupported_said_.size() >= kUnsupportedSaidMax || !unsupported_said_.insert(path).second)
            continue;
        spdlog::warn(
            "dataset {}: {} is no file, directory or symlink of this file system; it is not replicated",
            record_.spec.name, shown_path(path));
    }
    if (clean) {
        // What this sweep did not confirm has gone, or is as it was published: a second look tells which.
        pending_.for_each_listed([&](Pending::Handle change) {
            if (change->known && change->seen < record_.sweeps) look_ups_.insert(change->path);
        });
        for (auto change = pending_.list(Place::in_flight).begin();
             change != pending_.list(Place::in_flight).end(); ++change)
            if (change->arrived && needs_second_look(*change)) pending_.set_durable(change, false);
        all_looked_into();
        root_mtime_ns_ = result.root_mtime_ns;
        ledger_.completed_clean(record_.sweeps, sweep_started_);
        activity_.looked(sweep_started_);
        if (ordered()) close_epoch();
        forgotten_found();
        discovered_once_ |= !overflow_.since();
    }
    for (auto& change : pending_.list(Place::settles))
        change.asked = false;  // what could not be told then
    advance_watermarks();
    state_.dataset_update(record_);
}

std::vector<std::string> Runner::take_look_ups() {
    if (looking_up_) return {};
    for (auto& change : pending_.list(Place::settles)) {
        if (change.known || change.asked || !pending_.settle_may_go(change)) continue;
        if (look_ups_.size() >= kLookUpsMax) break;
        change.asked = true;
        look_ups_.insert(change.path);
    }
    std::vector<std::string> paths;
    while (!look_ups_.empty() && paths.size() < kLookUpsMax) {
        paths.push_back(std::move(look_ups_.extract(look_ups_.begin()).value()));
        if (hinted_.erase(paths.back()) > 0) looking_at_hints_.insert(paths.back());
    }
    crossings_.begin_looks(paths);
    looking_up_ = !paths.empty();
    looking_up_since_ = seen_now();
    return paths;
}

void Runner::looked_up(std::vector<Observation>&& observations) {
    looking_up_ = false;
    for (const auto& seen : observations) {
        const bool hinted = looking_at_hints_.erase(seen.path) > 0;
        const bool again = outdated(looking_up_since_);
        // Left to a scan it has not been observed: it must not count as the word that a sweep's is dropped for.
        if (!again && hinted && scan_instead(seen)) continue;
        if (!again && crossings_.believed(Crossings::kLooks, seen.path)) {
            Sighting when = looking_up_since_;
            when.changed_by_ns = seen.changed_by_ns;
            const auto change = pending_.find(seen.path);  // a sweep knew more of the directories above it
            if (change && (*change)->action != Action::remove)
                when.changed_by_ns = std::max(when.changed_by_ns, (*change)->changed_by_ns);
            observe(seen.path, seen.now, when);
            continue;
        }
        look_ups_.insert(seen.path);
        if (hinted) hinted_.insert(seen.path);
    }
    static_cast<void>(crossings_.end(Crossings::kLooks));
    if (!looking_at_hints_.empty()) sweep_soon();  // they could not be told
    looking_at_hints_.clear();
}

void Runner::observe(const std::string& path, const std::optional<Observed>& now, Sighting when,
                     bool promised) {
    auto change = pending_.find(path);
    when.first = first_possible(path, when.first);
    if (change && (*change)->place == Place::in_flight) {
        Change& flying = **change;
        // It differs from what was last seen of this path: that is all that is known of its age.
        when.first = std::min(when.first, flying.seen + 1);
        flying.seen = std::max(flying.seen, when.seen);
        const bool as_sent = now ? flying.action != Action::remove && same_version(flying, *now)
                                 : flying.action == Action::remove;
        if (as_sent) {
            news_.erase(path);
            return;
        }
        const auto [news, fresh] = news_.try_emplace(path, LateNews{now, when});
        if (!fresh) {
            const Sighting before = news->second.when;
            when.first = std::min(before.first, when.first);
            when.seen = std::max(before.seen, when.seen);
            news->second = {now, when};
        }
        pending_.set_durable(*change, false);  // what has come after it is not
        return;
    }
    if (!promised && !has_room_for(path, !now, when.changed_by_ns, change)) {
        if (change) when.first = std::min(when.first, (*change)->first);
        if (change) drop(*change);
        const bool carries = now && now->print.kind == ObjectKind::file;
        return forget({when.first, !now, when.changed_by_ns, carries ? now->print.size : 0}, path);
    }
    // A look-up that was asked for before a sweep began may answer after that sweep has met it.
    if (change) when.seen = (*change)->seen = std::max((*change)->seen, when.seen);
    const auto row = state_.object(record_.id, path);
    // A directory that the target has forgotten is wanted itself, not only its mode and mtime.
    const bool suffices = change && ((*change)->action != Action::settle || (row && row->published));
    if (change && now && (*change)->known && (*change)->action != Action::remove && suffices &&
        same_version(**change, *now)) {
        news_.erase(path);
        auto& dated = (*change)->changed_by_ns;  // both are upper bounds
        if ((*change)->cut_ns == 0) dated = std::min(dated, when.changed_by_ns);
        return;
    }

    const bool deletes = record_.spec.mode == Mode::namespace_;
    const bool takes_name = row && row->published && row->print.kind == ObjectKind::file;
    switch (difference(row ? &*row : nullptr, now ? &*now : nullptr)) {
        case Difference::none:
            if (change) drop(*change);
            return;
        case Difference::content:
            change = desire(change, path, Action::create, &*now, when);
            (*change)->takes_name = takes_name;
            (*change)->unheard_of = !row;
            return;
        case Difference::metadata:
            desire(change, path, now->print.kind == ObjectKind::directory ? Action::settle : Action::metadata,
                   &*now, when);
            return;
        case Difference::kind:
            // Without deletes the old object stays in the way: the target says so, and the API names it.
            if (deletes)
                replace_by_kind(change, path, *now, row->print.kind, when);
            else
                desire(change, path, Action::create, &*now, when);
            return;
        case Difference::gone:
            if (deletes) {
                desire(change, path, Action::remove, nullptr, when)->takes_name = takes_name;
            } else if (change) {
                drop(*change);
            }
            return;
    }
}

Pending::Handle Runner::desire(std::optional<Pending::Handle> change, const std::string& path, Action action,
                               const Observed* now, Sighting when) {
    if (discovered_once_ && action == Action::create && now != nullptr && now->print.kind == ObjectKind::file)
        activity_.changed(now->print.size);
    if (action == Action::create && now != nullptr && now->print.kind == ObjectKind::file)
        find_moved(now->print);
    if (!change) {
        Change fresh;
        fresh.path = path;
        fresh.action = action;
        fresh.first = when.first;
        fresh.seen = when.seen;
        fresh.found = seen_now().first;
        if (now != nullptr) fresh.describe(*now);
        date(fresh, when.changed_by_ns, false);
        fresh.moved = action == Action::remove && is_moved(path);
        if (action == Action::remove && !fresh.moved) delete_hold_.found(path, turn_at_);
        if (action == Action::create) delete_hold_.undone(path);
        ++stats_.changes;
        return pending_.insert(std::move(fresh));
    }
    news_.erase(path);
    if (action == Action::remove && (*change)->action == Action::remove) return *change;
    const bool moved = action == Action::remove && is_moved(path);
    if (action == Action::remove && !moved)
        delete_hold_.found(path, turn_at_);
    else
        delete_hold_.undone(path);
    forget_large(path);  // another version: its ranges would never meet those of the one before
    const auto& before = (*change)->print;
    const bool same_directory = now != nullptr && action == Action::create && (*change)->action == action &&
                                before.kind == ObjectKind::directory && now->print.kind == before.kind &&
                                before.inode == now->print.inode;
    date(**change, when.changed_by_ns, same_directory);
    pending_.replace(*change, action, now);
    if (action == Action::remove) {
        (*change)->found = seen_now().first;  // what it was before may be older
        full_.for_removals = false;           // one more that can be let go of
    }
    (*change)->moved = moved;
    return *change;
}

// The old object goes first; what stands there now is looked at again when it has gone.
void Runner::replace_by_kind(std::optional<Pending::Handle> change, const std::string& path,
                             const Observed& now, ObjectKind was, Sighting when) {
    if (change) when.first = std::min((*change)->first, when.first);
    desire(change, path, Action::remove, nullptr, when)->print.kind = was;
    news_[path] = {now, when};
}

void Runner::drop(Pending::Handle change) {
    const std::string path = change->path;
    if (change->action == Action::remove && !change->moved) delete_hold_.undone(path);
    forget_large(path);
    news_.erase(path);
    failures_->succeeded(path);
    pending_.erase(change);
}

void Runner::forget_large(const std::string& path) {
    const auto large = larges_.find(path);
    if (large == larges_.end()) return;
    large_durable_bytes_ -= large->second.durable.total();
    larges_.erase(large);
    state_.ranges_forget(record_.id, path);
    // A process that begins now would take a range still on its way for a change still wanted, and bring back
    // at the target what has been replaced or removed since. A bundle without a record is nobody's to it.
    for (const auto& [id, bundle] : open_)
        if (bundle.is_range() && bundle.manifest.entries[0].path == path) state_.bundle_remove(id);
}

// Publishing into a directory has changed its mtime at the target.
void Runner::touch(const std::string& directory, SweepNumber first, bool published) {
    if (const auto compared = comparing_.find(directory); compared != comparing_.end())
        compared->second = true;
    if (directory.empty()) return;  // the store's own root is not an object of the dataset
    maybe_touched_.erase(directory);
    if (auto change = pending_.find(directory)) {
        Change& known = **change;
        if (known.action != Action::settle) return;
        if (known.place == Place::in_flight)
            known.again = true;
        else if (!std::exchange(known.unsettled, true))
            state_.directory_unsettle(record_.id, directory);
        pending_.set_first(*change, first);
        return;
    }
    if (!published) {
        const auto row = state_.object(record_.id, directory);
        if (!row || !row->published || row->print.kind != ObjectKind::directory) return;
    }
    state_.directory_unsettle(record_.id, directory);
    look_later(directory, ObjectKind::directory, first)->unsettled = true;
}

// Nothing is known to be missing, but no watermark may pass before the source has been asked.
Pending::Handle Runner::look_later(const std::string& path, ObjectKind kind, SweepNumber first) {
    Change settle;
    settle.path = path;
    settle.action = Action::settle;
    settle.print.kind = kind;
    settle.first = first;
    settle.seen = record_.sweeps;
    settle.known = false;
    return pending_.insert(std::move(settle));
}

}  // namespace longhaul::control
