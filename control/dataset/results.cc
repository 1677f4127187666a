// From the dataplane's reports to what is recorded as published, and to what has to be tried again.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <unordered_map>

#include "control/dataset/runner.h"
#include "dataplane/wire/attributes.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kEntriesMany = wire::kEntriesMax;

Observed observed_of(const Change& change) {
    return {change.print,
            change.link ? *change.link : std::string(),
            change.attributes ? *change.attributes : std::string(),
            change.holes ? *change.holes : std::vector<RangeRecord>(),
            change.holes != nullptr,
            change.racy};
}

// The target's control has to open it (again).
bool store_lost(wire::FailReason reason) {
    return reason == wire::FailReason::store_unknown || reason == wire::FailReason::store_closed ||
           reason == wire::FailReason::store_gone;
}

bool source_moved(wire::FailReason reason) {
    return reason == wire::FailReason::source_changed || reason == wire::FailReason::source_vanished;
}

}  // namespace

bool Runner::on_bundle(const command::BundleEvent& event, Moment now) {
    const auto found = open_.find(event.id);
    if (found == open_.end()) return false;
    // Whatever its generation: the dataplane tells of the newest that it has heard of, and that may be older than ours.
    Open& bundle = found->second;
    bundle.accepted = true;
    moved_at_ = now.wall;
    offer_retry_at_ = 0;
    const bool settled = event.stage == wire::Stage::durable || event.stage == wire::Stage::published;
    const bool all_done = event.stage == wire::Stage::published && event.failed_entries == 0 &&
                          !bundle.is_range() && !bundle.is_verify();  // finish() says so of each, for good
    if (event.stage != wire::Stage::failed && event.failed_entries == 0 && !all_done) on_arrived(bundle);
    if (settled && event.failed_entries == 0 && !all_done) on_durable(bundle, now);
    if (sent_back(bundle, event)) {
        to_ack_.push_back(event.id);
        ++stats_.bundles_failed;
        begin_run(now);
    } else if (event.stage == wire::Stage::published || event.stage == wire::Stage::failed) {
        const bool broken = order_broken_by(bundle, event);
        const bool in_order = bundle.in_order();
        finish(found, event, now);
        if (broken)
            begin_run(now);
        else if (in_order)
            run_hold_ = 0;
    } else if (!bundle.stage || event.stage > *bundle.stage) {
        bundle.stage = event.stage;
    }
    const auto shown = record_.watermarks;
    // Only while the far end is heard: an idle dataset must not look durable at a target that is gone.
    raise(record_.watermarks.w_dur, ledger_.durable());
    raise(record_.watermarks.w_xfer, ledger_.transferred());
    const bool rose = record_.watermarks.w_xfer != shown.w_xfer || record_.watermarks.w_dur != shown.w_dur;
    if (rose) state_.dataset_update(record_);  // or a restart would show less
    return true;
}

void Runner::on_arrived(const Open& bundle) {
    if (bundle.stage || bundle.is_verify()) return;  // this stage or a later one has been reported already
    for (const auto& entry : bundle.manifest.entries) {
        const auto change = pending_.find(entry.path);
        if (!change) continue;
        if (bundle.is_range()) {
            const auto large = larges_.find(entry.path);
            if (large == larges_.end() || large->second.key != entry.object) continue;
            large->second.arrived.add(entry.file_offset, entry.size);
            if (!large->second.all_arrived()) continue;
        }
        if (!news_.contains(entry.path) && !needs_second_look(**change)) pending_.set_arrived(*change);
    }
}

void Runner::on_durable(Open& bundle, Moment now) {
    if (bundle.stage && *bundle.stage >= wire::Stage::durable) return;  // repeated after a reconnect
    bundle.stage = wire::Stage::durable;
    if (bundle.is_verify()) return;
    drain_.add(now.steady, bundle.manifest.payload_bytes);
    activity_.drained(bundle.manifest.payload_bytes);
    if (bundle.is_range()) {
        for (const auto& entry : bundle.manifest.entries)
            finish_range(entry, wire::FailReason::none, now);
        return;
    }
    for (const auto& entry : bundle.manifest.entries) {
        const auto change = pending_.find(entry.path);
        const bool says_all = change && !news_.contains(entry.path) && !needs_second_look(**change);
        if (says_all) pending_.set_durable(*change, true);
    }
}

void Runner::finish(OpenBundles::iterator found, const command::BundleEvent& event, Moment now) {
    const Open bundle = std::move(found->second);
    open_.erase(found);
    if (!bundle.is_verify()) state_.bundle_remove(bundle.manifest.id);
    to_ack_.push_back(bundle.manifest.id);
    bytes_open_ -= bundle.manifest.payload_bytes;

    const bool whole = event.stage == wire::Stage::failed;
    whole ? ++stats_.bundles_failed : ++stats_.bundles_published;
    if (whole && store_lost(event.reason)) {
        target_problem_ = wire::explain(event.reason);
        wants_accept_ = true;
    } else if (!whole) {
        target_problem_.clear();
    }
    const bool counted = bundle.stage && *bundle.stage >= wire::Stage::durable;
    if (!whole && !counted) {
        drain_.add(now.steady, bundle.manifest.payload_bytes);
        activity_.drained(bundle.manifest.payload_bytes);
    }
    if (bundle.is_mark()) return finish_mark(bundle, !whole && event.failed_entries == 0, now);
    if (bundle.is_verify()) return finish_verify(bundle, event, now);

    std::unordered_map<std::size_t, wire::FailReason> reasons;
    for (const auto& failure : event.failures)
        reasons.emplace(failure.entry, failure.reason);
    // The list is shorter than the count: which of the others failed is not known. All go again, so few at a
    // time that every failure will have a name.
    const bool unnamed = event.failed_entries > event.failures.size();
    if (!whole && unnamed)
        entries_cap_ = wire::kFailuresListed;
    else if (!whole)
        entries_cap_ = std::min(kEntriesMany, entries_cap_ * 2);
    for (std::size_t i = 0; i < bundle.manifest.entries.size(); ++i) {
        auto reason = whole ? event.reason : wire::FailReason::none;
        if (const auto named = reasons.find(i); named != reasons.end()) reason = named->second;
        if (whole && reason == wire::FailReason::none) reason = wire::FailReason::internal;
        if (bundle.is_range()) {
            // Which of the unnamed ones failed is not known: all go again.
            if (unnamed && reason == wire::FailReason::none) reason = wire::FailReason::internal;
            finish_range(bundle.manifest.entries[i], reason, now);
        } else if (!whole && unnamed && reason == wire::FailReason::none) {
            if (auto change = pending_.find(bundle.manifest.entries[i].path)) {
                pending_.set_durable(*change, false);
                pending_.ready(*change);
                requeue(*change);
                hear_late_news(bundle.manifest.entries[i].path);
            }
        } else {
            finish_entry(bundle, i, reason, now);
        }
    }
}

void Runner::finish_mark(const Open& bundle, bool published, Moment now) {
    --marks_open_;
    const WallNs watermark = bundle.manifest.entries[0].mtime_ns;
    if (!published) {
        mark_sent_ = record_.watermarks.w_pub;
        mark_retry_at_ = now.steady + kSecond;
        return;
    }
    raise(record_.watermarks.w_pub, watermark);
    raise(record_.watermarks.w_dur, watermark);
    raise(record_.watermarks.w_xfer, watermark);
    raise(record_.watermarks.w_disc, watermark);
    state_.dataset_update(record_);
}

void Runner::finish_range(const wire::Entry& entry, wire::FailReason reason, Moment now) {
    const auto found = larges_.find(entry.path);
    const auto change = pending_.find(entry.path);
    if (found == larges_.end() || !change || found->second.key != entry.object)
        return;  // of an older version
    Large& large = found->second;
    if (reason == wire::FailReason::none) {
        large_durable_bytes_ -= large.durable.total();
        large.durable.add(entry.file_offset, entry.size);
        large_durable_bytes_ += large.durable.total();
        state_.range_put(record_.id, entry.path, entry.object, {entry.file_offset, entry.size});
        assemble_if_complete(entry.path);
        return;
    }
    large.taken.remove(entry.file_offset, entry.size);
    large.arrived.remove(entry.file_offset, entry.size);
    if ((*change)->place == Place::large)
        failed(*change, reason, now);  // once for all ranges that fail together
}

void Runner::assemble_if_complete(const std::string& path) {
    const auto change = pending_.find(path);
    if (!change || (*change)->place != Place::large || !larges_.at(path).complete()) return;
    (*change)->assemble = true;
    pending_.ready(*change);
}

void Runner::finish_entry(const Open& bundle, std::size_t index, wire::FailReason reason, Moment now) {
    const std::string& path = bundle.manifest.entries[index].path;
    const auto change = pending_.find(path);
    if (!change || (*change)->place != Place::in_flight) return;
    if (reason == wire::FailReason::none) {
        succeeded(*change, now);
    } else if (bundle.in_order() && reason == wire::FailReason::cancelled) {  // something before it failed
        pending_.set_durable(*change, false);
        pending_.ready(*change);
        requeue(*change);
    } else
        failed(*change, reason, now);
    hear_late_news(path);
}

void Runner::hear_late_news(const std::string& path) {
    const auto news = news_.extract(path);
    if (!news) return;
    observe(path, news.mapped().now, news.mapped().when, true);
    if (const auto change = pending_.find(path)) (*change)->promised = true;
}

// A sweep has begun since this was last seen at the source, and may have met what stood there before: the
// same mode and mtime again, a name gone again. That equals the row as it was when the sweep began, so it
// says nothing, while the change lands. A file that is there cannot deceive like this: its ctime never returns, and the
// bundle read it at the source. One that was removed can: it comes back with the directory that it lies in.
bool Runner::needs_second_look(const Change& change) const {
    if (change.seen >= record_.sweeps) return false;
    const bool read_at_source = !change.assemble && !change.link_to && change.print.kind == ObjectKind::file;
    if (change.action == Action::remove || !read_at_source) return true;
    const auto before = state_.object(record_.id, change.path);
    return before && before->print.kind != ObjectKind::file;
}

// Late, if it may have happened longer ago than the target allows. What was found by the first sweep had not
// changed: it counts as seeding.
void Runner::count_change(const Change& change, WallNs now) {
    if (change.action == Action::settle) return;
    const auto since = ledger_.not_before(change.first);
    const auto proven = since ? since : record_.watermarks.w_pub;
    if (!proven) return;
    const bool late = static_cast<double>(now - *proven) / 1e9 > record_.spec.rpo_target_s;
    const bool carries =
        change.action == Action::create && change.print.kind == ObjectKind::file && !change.link_to;
    const std::uint64_t bytes = carries ? change.print.size : 0;
    published_counts_.changes += 1;
    published_counts_.bytes += bytes;
    published_counts_.late += late ? 1 : 0;
    published_counts_.bytes_late += late ? bytes : 0;
}

void Runner::succeeded(Pending::Handle handle, Moment now) {
    count_change(*handle, now.wall);
    const std::string path = handle->path;
    const SweepNumber first = handle->first;
    const Action action = handle->action;
    const bool again = handle->again;
    const auto before = handle->unheard_of ? std::nullopt : state_.object(record_.id, path);
    const bool unproven = needs_second_look(*handle);
    const ObjectKind kind = handle->print.kind;
    bool unsettled = again;
    if (action == Action::remove) {
        state_.object_forget(record_.id, path);
        count_published(before, nullptr);
    } else {
        const Fingerprint print = handle->print_at_target();
        unsettled |= print.mode != handle->print.mode;
        if (handle->unheard_of)
            state_.object_published_as_offered(record_.id, path);
        else
            state_.object_published(record_.id, path, print, handle->link ? *handle->link : std::string());
        count_published(before, &print);
        if (action != Action::settle) {
            ++stats_.objects_published;
            if (action == Action::create && !handle->link_to) stats_.bytes_published += print.size;
            // ctime 0: it is sent once more.
            const bool has_bytes = action == Action::create && kind == ObjectKind::file && !handle->link_to;
            if (has_bytes && print.ctime_ns != 0) read_back_.published(path, print, now.steady);
        }
    }
    forget_large(path);
    failures_->succeeded(path);
    pending_.erase(handle);
    if (action == Action::create || action == Action::remove) touch(std::string(parent_of(path)), first);
    if (unsettled) touch(path, first, true);
    if (unproven && !pending_.find(path))
        look_later(path, kind, first)->may_be_missing = action == Action::remove;
}

void Runner::count_published(const std::optional<ObjectRecord>& before, const Fingerprint* after) {
    if (before && before->published) {
        --published_.objects;
        if (before->print.kind == ObjectKind::file) published_.bytes -= before->print.size;
    }
    if (after != nullptr) {
        ++published_.objects;
        if (after->kind != ObjectKind::file) return;
        published_.bytes += after->size;
        published_.youngest_birth_ns = std::max(published_.youngest_birth_ns, after->birth_ns);
    }
}

void Runner::failed(Pending::Handle change, wire::FailReason reason, Moment now) {
    const std::string path = change->path;
    if (change->link_to && !of_the_bundle(reason)) send_bytes_instead(change);
    if (reason == wire::FailReason::target_link) {
        pending_.set_durable(change, false);
        pending_.ready(change);
        return requeue(change);
    }
    const TimeNs wait = failures_->failed(path, reason, now.wall);
    if (reason == wire::FailReason::integrity)
        notice("VERIFY_FAIL", path, "the target read other bytes than were sent; it is sent again");
    pending_.set_durable(change, false);
    pending_.back_off(change, now.steady + wait);
    if (change->print.kind == ObjectKind::file)
        pending_.wake(path);  // other names of it need not wait for a failure
    if (source_moved(reason)) look_ups_.insert(path);
    const bool staged_is_void = source_moved(reason) || reason == wire::FailReason::staging_missing ||
                                reason == wire::FailReason::integrity;
    if (staged_is_void) {
        forget_large(path);
        change->assemble = false;
    }
    // Metadata of something that the target does not have any more: the whole object goes.
    if (change->action == Action::metadata && !source_moved(reason)) {
        const Observed same = observed_of(*change);
        pending_.replace(change, Action::create, &same);
        change->takes_name = true;
        pending_.back_off(change, now.steady + wait);
    }
    requeue(change);
}

// The dataplane does not know this bundle (any more): its changes go again under another id.
void Runner::give_back(OpenBundles::iterator found) {
    const Open bundle = std::move(found->second);
    open_.erase(found);
    if (!bundle.is_verify()) state_.bundle_remove(bundle.manifest.id);
    bytes_open_ -= bundle.manifest.payload_bytes;
    if (bundle.is_mark()) {
        --marks_open_;
        mark_sent_ = record_.watermarks.w_pub;
        return;
    }
    if (bundle.is_verify()) return give_back_verify(bundle.manifest.id);
    for (auto entry = bundle.manifest.entries.rbegin(); entry != bundle.manifest.entries.rend(); ++entry) {
        if (bundle.is_range()) {
            const auto large = larges_.find(entry->path);
            if (large == larges_.end() || large->second.key != entry->object) continue;
            if (large->second.durable.covers(entry->file_offset, entry->size)) {
                assemble_if_complete(entry->path);
                continue;
            }
            large->second.taken.remove(entry->file_offset, entry->size);
            large->second.arrived.remove(entry->file_offset, entry->size);
            if (const auto change = pending_.find(entry->path)) pending_.set_durable(*change, false);
            continue;
        }
        const auto change = pending_.find(entry->path);
        if (!change || (*change)->place != Place::in_flight) continue;
        pending_.set_durable(*change, false);
        pending_.ready(*change);
        requeue(*change);
        hear_late_news(entry->path);
    }
}

void Runner::on_dataplane_up(const command::StatusReport& status, Moment now) {
    connected_ = true;
    store_open_ = false;
    store_retry_at_ = offer_retry_at_ = 0;
    std::set<wire::BundleId> known(status.in_flight.begin(), status.in_flight.end());
    for (const auto& event : status.bundles)
        known.insert(event.id);
    bool order_lost = false;
    for (auto next = open_.begin(); next != open_.end();) {
        const auto bundle = next++;
        if (known.contains(bundle->first)) {
            bundle->second.accepted = true;
            if (!bundle->second.moving) std::erase(to_offer_, bundle->first);
        } else if (bundle->second.accepted) {
            order_lost = order_lost || bundle->second.in_order();
            give_back(bundle);
        }
    }
    if (order_lost) begin_run(now);
    tick(now);
}

void Runner::on_dataplane_down() {
    connected_ = false;
    store_open_ = false;
}

void Runner::cancel_all() {
    for (const auto& [id, bundle] : open_) {
        // Best effort: what the dataplane still knows when it is next asked, and nobody owns, is cancelled
        // then.
        if (bundle.accepted) static_cast<void>(ports_.bundle_cancel(id).ok());
    }
}

void Runner::target_accepted(const Result<TargetAccepted>& answer, Moment now) {
    accept_retry_at_ = now.steady + 5 * kSecond;
    wants_accept_ = !answer.ok();
    if (!answer) {
        target_problem_ = answer.error().text;
        return;
    }
    if (answer.value().store == record_.target_store) return;
    // Another store: nothing is known to be there. Seeding begins anew.
    record_.target_store = answer.value().store;
    seeding_since_ = now.wall;
    unproven_.clear();
    mark_highest_.reset();
    record_.watermarks.w_xfer.reset();
    record_.watermarks.w_dur.reset();
    record_.watermarks.w_pub.reset();
    cancel_all();
    while (!open_.empty())
        give_back(open_.begin());
    to_offer_.clear();
    ++record_.order_run;  // stored below
    record_.order_number = 0;
    mark_sent_.reset();
    published_ = {};
    for (auto& [path, large] : larges_) {
        large.arrived.clear();
        large.durable.clear();
        large.taken.clear();
    }
    large_durable_bytes_ = 0;
    state_.objects_forget_published(record_.id);
    state_.dataset_update(record_);
    sweep_void_ = sweeping_;
    ledger_.forget_sweeps();  // a mark must wait for the sweep that finds everything unpublished
    next_sweep_at_ = 0;
}

void Runner::load(Moment now) {
    published_ = state_.published_totals(record_.id);
    mark_sent_ = record_.watermarks.w_pub;
    mark_highest_ = record_.watermarks.w_disc;  // no mark says more than a sweep had found
    if (auto verification = state_.verification(record_.id))
        verification_ = Verification(std::move(*verification));
    for (auto& record : state_.bundles(record_.id)) {
        auto manifest = wire::parse_manifest(record.head);
        const bool whole = manifest.ok() && manifest.value().entries.size() == record.notes.size();
        // Written by another version: what it carried is found again by the next sweep.
        if (!whole) {
            state_.bundle_remove(record.id);
            continue;
        }
        Open bundle;
        bundle.manifest = std::move(manifest).value();
        bundle.notes = std::move(record.notes);
        bundle.link = record.link;
        bundle.accepted = true;  // if it never was, the dataplane does not know it and it is given back
        bundle.order = next_order_++;
        bundle.offered_at = record.offered_at;
        // It moved, and nobody knows whether that was told before the end: which link it is on is made certain.
        if (bundle.manifest.generation > 1) {
            renew(bundle);
            to_offer_.push_back(record.id);
        }
        bytes_open_ += bundle.manifest.payload_bytes;
        for (std::size_t i = 0; i < bundle.manifest.entries.size(); ++i)
            load_entry(bundle, i);
        open_.emplace(record.id, std::move(bundle));
    }
    moved_at_ = now.wall;
}

void Runner::load_entry(const Open& bundle, std::size_t index) {
    const auto& entry = bundle.manifest.entries[index];
    const auto& note = bundle.notes[index];
    if (entry.kind == wire::EntryKind::mark) {
        ++marks_open_;
        raise(mark_sent_, entry.mtime_ns);
        return;
    }
    auto known = pending_.find(entry.path);
    if (!known) {
        Change change;
        change.path = entry.path;
        change.action = static_cast<Action>(note.action);
        change.print = {entry.kind == wire::EntryKind::range ? entry.file_size : entry.size,
                        entry.mtime_ns,
                        entry.ctime_ns,
                        note.inode,
                        entry.mode,
                        entry.uid,
                        entry.gid,
                        note.kind,
                        wire::attributes_digest(entry.attributes),
                        note.birth_ns,
                        note.names};
        if (entry.kind == wire::EntryKind::link)
            change.link_to = std::make_unique<std::string>(entry.target);
        else if (!entry.target.empty())
            change.link = std::make_unique<std::string>(entry.target);
        if (!entry.attributes.empty()) change.attributes = std::make_unique<std::string>(entry.attributes);
        change.first = note.first_sweep;
        change.takes_name = true;
        change.seen = record_.sweeps;
        change.racy = note.racy;
        change.assemble = entry.kind == wire::EntryKind::assemble;
        load_order_of(change, bundle, index);
        known = pending_.insert(std::move(change));
    }
    if (entry.kind == wire::EntryKind::range || entry.kind == wire::EntryKind::assemble) load_range(entry);
    pending_.move(*known, entry.kind == wire::EntryKind::range ? Place::large : Place::in_flight);
}

void Runner::load_range(const wire::Entry& entry) {
    const auto [found, fresh] = larges_.try_emplace(entry.path);
    Large& large = found->second;
    if (fresh) {
        large.key = entry.object;
        large.size = entry.kind == wire::EntryKind::range ? entry.file_size : entry.size;
        if (large.key == kHollowObject) large.become_hollow();
        load_durable(entry.path, large);
    }
    if (entry.kind == wire::EntryKind::range && large.key == entry.object)
        large.taken.add(entry.file_offset, entry.size);
}

}  // namespace longhaul::control
