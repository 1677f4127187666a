// The runner's side of a comparison of both ends: bundles that move no payload, behind everything that does.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>

#include "control/dataset/draft.h"
#include "control/dataset/runner.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kVerifiesOpenMax = 4;
constexpr std::size_t kReadBacksOpenMax = 2;  // fewer: work that comes meanwhile shares the disks with them
constexpr std::size_t kVerifyEntriesMax = 1024;
constexpr std::uint64_t kIdleBytes = 256u << 20;     // a bundle
constexpr std::uint64_t kReadBackBytes = 64u << 20;  // likewise
constexpr std::uint64_t kBusyBytes = 16u << 20;      // a bundle, while there is work
constexpr double kCreditBytesMax = 256u << 20;       // what a busy time may save up

wire::EntryKind compared_as(ObjectKind kind) {
    return kind == ObjectKind::file        ? wire::EntryKind::file
           : kind == ObjectKind::directory ? wire::EntryKind::directory
                                           : wire::EntryKind::symlink;
}

wire::Entry entry_of(const Verification::Stretch& stretch, bool names) {
    const Fingerprint& print = stretch.object.print;
    wire::Entry entry;
    entry.kind = wire::EntryKind::verify;
    entry.compared = compared_as(print.kind);
    entry.path = stretch.object.path;
    entry.target = stretch.object.link;
    entry.mode = print.mode;
    entry.uid = print.uid;
    entry.gid = print.gid;
    entry.mtime_ns = print.mtime_ns;
    entry.ctime_ns = print.ctime_ns;
    // Where they are unknown, the target was given none.
    if (print.kind != ObjectKind::symlink && attributes_known(print.attributes))
        entry.attributes_digest = print.attributes;
    entry.size = print.kind == ObjectKind::directory && names ? 1 : stretch.length;
    entry.file_offset = stretch.offset;
    entry.file_size = stretch.object.bytes();
    return entry;
}

Verification::Outcome outcome_of(wire::FailReason reason) {
    switch (reason) {
        case wire::FailReason::none:
            return Verification::Outcome::same;
        case wire::FailReason::target_missing:
            return Verification::Outcome::missing;
        case wire::FailReason::source_vanished:
        case wire::FailReason::source_changed:
            return Verification::Outcome::changed;
        case wire::FailReason::source_io:
        case wire::FailReason::source_permission:
            return Verification::Outcome::unreadable;
        case wire::FailReason::other_owner:
        case wire::FailReason::other_mode:
        case wire::FailReason::other_mtime:
        case wire::FailReason::other_attributes:
            return Verification::Outcome::metadata;
        default:  // what the target cannot read back is as good as lost
            return Verification::Outcome::differs;
    }
}

bool is_root(const PublishedObject& object) {
    return object.path.empty();
}

// Says nothing of the file: it is asked again.
bool unanswered(wire::FailReason reason) {
    return of_the_bundle(reason) || reason == wire::FailReason::manifest_malformed ||
           reason == wire::FailReason::internal;
}

bool same_version(const PublishedObject& object, const ObjectRecord& row) {
    const Fingerprint &a = object.print, &b = row.print;
    return row.published && a.kind == b.kind && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns &&
           a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.attributes == b.attributes &&
           a.size == b.size && object.link == row.link;
}

std::string failure_text(wire::FailReason reason) {
    const std::string name = std::string(" (") + wire::to_string(reason) + ")";
    if (reason == wire::FailReason::target_names)
        return "other names stand in the target's directory than in the source's: what is missing is sent "
               "again, "
               "what others have put there has to be removed by hand" +
               name;
    if (reason == wire::FailReason::target_missing)
        return "it was published and is not at the target any more; it is sent again";
    if (wire::is_of_metadata(reason))
        return "the target's copy has the source's bytes, but another " +
               std::string(wire::to_string(reason)).substr(std::string_view("other_").size()) +
               "; it is set again" + name;
    return "the target's copy is not what the source has; it is sent again" + name;
}

}  // namespace

bool Runner::Open::is_verify() const {
    return !manifest.entries.empty() && manifest.entries[0].kind == wire::EntryKind::verify;
}

void Runner::verify_start(Moment now) {
    if (verification_.running()) return;
    verification_.start(now.wall);
    state_.verification_put(record_.id, verification_.record());
}

// While there is work a comparison has its share of the reads, and no more.
bool Runner::verify_earned() const {
    return verify_credit_bytes_ >= static_cast<double>(kBusyBytes);
}

// What the target has of it may differ from the row, and something is done about that already.
bool Runner::in_doubt(const PublishedObject& object) {
    const Fingerprint& print = object.print;
    if (pending_.find(object.path)) return true;
    if (print.attributes == kAttributesInDoubt || print.attributes == kMetadataLost) return true;
    // ctime 0: a write may have hidden in the clock's grain; it is sent once more anyway.
    if (print.kind == ObjectKind::file) return print.ctime_ns == 0;
    if (is_root(object) && print.mtime_ns != root_mtime_ns_) return true;
    if (print.mtime_ns == kMtimeUnsettled) return true;
    return print.kind == ObjectKind::directory &&
           (pending_.flies_into(object.path) || maybe_touched_.contains(object.path));
}

bool Runner::may_compare(std::size_t bundles_max, Moment now) const {
    return verifying_.size() < bundles_max && now.steady >= verify_retry_at_ && (!busy() || verify_earned());
}

bool Runner::compose_verify(Moment now) {
    if (!verification_.running()) return compose_read_back(now);
    if (!may_compare(kVerifiesOpenMax, now)) return false;
    auto drawn = verification_.draw(
        verify_entries_, busy() ? kBusyBytes : kIdleBytes,
        [this](const std::string& from_key, std::size_t most) { return objects_to_compare(from_key, most); });
    const bool any = !drawn.empty();
    Comparing comparing;
    for (auto& stretch : drawn) {
        if (in_doubt(stretch.object))
            verification_.settle(stretch, Verification::Outcome::changed);
        else
            comparing.stretches.push_back(std::move(stretch));
    }
    if (comparing.stretches.empty())
        fold_verification(now);
    else
        compare(std::move(comparing), now);
    return any;
}

// The root first: no object of the dataset, but there are names in it. Where deletes do not travel, or what was put into the
// source's root since the last sweep, they may differ.
std::vector<PublishedObject> Runner::objects_to_compare(const std::string& from_key, std::size_t most) {
    auto objects = state_.published_objects(record_.id, from_key, most);
    if (!from_key.empty() || !compares_names() || !root_mtime_ns_) return objects;
    PublishedObject root;
    root.print.kind = ObjectKind::directory;
    root.print.mtime_ns = *root_mtime_ns_;
    objects.insert(objects.begin(), std::move(root));
    return objects;
}

bool Runner::compares_names() const {
    return record_.spec.mode == Mode::namespace_;
}

// Whether something in it is to come or to go, so that other names at the target say nothing. Who has very much to do is
// not asked: a directory can be compared another time.
bool Runner::names_may_differ(const std::string& directory) {
    constexpr std::size_t kPendingMax = 10'000;
    if (overflow_.since() || pending_.size() > kPendingMax) return true;
    bool any = false;
    pending_.for_each_listed([&](Pending::Handle change) {
        const bool of_name = change->action == Action::create || change->action == Action::remove;
        any = any || (of_name && parent_of(change->path) == directory);
    });
    return any;
}

// By itself, of what was published lately, where nobody has asked for a comparison of everything.
bool Runner::compose_read_back(Moment now) {
    if (!read_back_.waits() || !may_compare(kReadBacksOpenMax, now)) return false;
    auto drawn = read_back_.draw(verify_entries_, busy() ? kBusyBytes : kReadBackBytes,
                                 [this](const ReadBack::File& file) { return to_read_back(file); });
    if (drawn.empty()) return read_back_.waits();
    compare({std::move(drawn), true}, now);
    return true;
}

std::optional<PublishedObject> Runner::to_read_back(const ReadBack::File& file) {
    auto row = state_.object(record_.id, file.path);
    const bool same = row && row->published && row->print.kind == ObjectKind::file &&
                      row->print.size == file.size && row->print.mtime_ns == file.mtime_ns;
    if (!same) return std::nullopt;
    PublishedObject object{file.path, row->print, {}};
    return in_doubt(object) ? std::nullopt : std::optional(std::move(object));
}

void Runner::compare(Comparing&& comparing, Moment now) {
    const bool busy_otherwise = busy();
    Draft draft;
    for (const auto& stretch : comparing.stretches) {
        if (busy_otherwise) verify_credit_bytes_ -= static_cast<double>(stretch.length);
        if (stretch.object.print.kind == ObjectKind::directory) comparing_[stretch.object.path] = false;
        draft.manifest.entries.push_back(entry_of(stretch, compares_names()));
        draft.notes.emplace_back();
    }
    verifying_.emplace(seal(std::move(draft), now), std::move(comparing));
}

void Runner::settle(bool read_back, const Verification::Stretch& stretch, Verification::Outcome outcome,
                    Moment now) {
    if (read_back)
        read_back_.settle(stretch, outcome, now.steady);
    else
        verification_.settle(stretch, outcome);
}

void Runner::give_back(bool read_back, Verification::Stretch&& stretch) {
    if (read_back)
        read_back_.give_back(std::move(stretch));
    else
        verification_.give_back(std::move(stretch));
}

void Runner::earn_verify_credit(std::uint64_t payload_bytes) {
    if (!verification_.running() && !read_back_.waits()) return;
    verify_credit_bytes_ += static_cast<double>(payload_bytes) * config_.verify_share;
    verify_credit_bytes_ = std::min(verify_credit_bytes_, kCreditBytesMax);
}

void Runner::finish_verify(const Open& bundle, const command::BundleEvent& event, Moment now) {
    auto sent = verifying_.extract(bundle.manifest.id);
    if (!sent) return;
    auto& [stretches, read_back] = sent.mapped();
    std::vector<wire::FailReason> reasons(stretches.size(), wire::FailReason::none);
    for (const auto& failure : event.failures)
        if (failure.entry < reasons.size()) reasons[failure.entry] = failure.reason;
    const bool whole = event.stage == wire::Stage::failed;
    // Which of the others failed is not known: so few are asked for that every failure will have a name.
    const bool unnamed = !whole && event.failed_entries > event.failures.size();
    verify_entries_ = unnamed ? wire::kFailuresListed : std::min(kVerifyEntriesMax, 2 * verify_entries_);
    if (whole) verify_retry_at_ = now.steady + kSecond;
    for (std::size_t i = 0; i < reasons.size(); ++i) {
        const bool unknown =
            whole || unanswered(reasons[i]) || (unnamed && reasons[i] == wire::FailReason::none);
        if (unknown)
            give_back(read_back, std::move(stretches[i]));
        else
            judge_stretch(read_back, std::move(stretches[i]), reasons[i], now);
    }
    for (const auto& entry : bundle.manifest.entries)
        comparing_.erase(entry.path);
    fold_verification(now);
}

// Also a directory that something was published into, or a change of it heard of, while it was compared.
bool Runner::moved_meanwhile(const PublishedObject& object) {
    const auto row = state_.object(record_.id, object.path);
    if (!is_root(object) && (!row || !same_version(object, *row))) return true;
    if (in_doubt(object)) return true;
    const auto compared = comparing_.find(object.path);
    return compared != comparing_.end() && compared->second;
}

bool Runner::being_compared(const std::string& path) const {
    for (const auto& [id, comparing] : verifying_)
        for (const auto& stretch : comparing.stretches)
            if (stretch.object.path == path) return true;
    return verification_.waits(path) || read_back_.waits_for(path);
}

// A difference counts only of a version that is still the one which the target should have.
void Runner::judge_stretch(bool read_back, Verification::Stretch&& stretch, wire::FailReason reason,
                           Moment now) {
    auto outcome = outcome_of(reason);
    const std::string& path = stretch.object.path;
    // Once its metadata is being repaired, what is found of its other stretches counts no more: they come first.
    const bool too_early =
        outcome == Verification::Outcome::metadata && !stretch.whole() && being_compared(path);
    if (too_early) return give_back(read_back, std::move(stretch));
    if (outcome == Verification::Outcome::differs || outcome == Verification::Outcome::metadata ||
        outcome == Verification::Outcome::missing) {
        if (moved_meanwhile(stretch.object) ||
            (reason == wire::FailReason::target_names && names_may_differ(path)))
            outcome = Verification::Outcome::changed;
        else
            repair(stretch.object, reason);
    }
    settle(read_back, stretch, outcome, now);
}

// No watermark passes before it has been sent again.
void Runner::repair(const PublishedObject& object, wire::FailReason reason) {
    const std::string& path = object.path;
    const ObjectKind kind = object.print.kind;
    const SweepNumber first = seen_now().first;
    notice("VERIFY_FAIL", path.empty() ? "." : path, failure_text(reason));
    if (is_root(object)) return;
    if (reason == wire::FailReason::target_names)
        return touch(path, first);  // they have moved its mtime, too
    if (wire::is_of_metadata(reason) && kind == ObjectKind::directory) return touch(path, first);
    if (wire::is_of_metadata(reason) && kind == ObjectKind::file) {
        state_.metadata_lost(record_.id, path);
        look_later(path, kind, first);
        return;
    }
    const ObjectRecord row{object.print, object.link, true};
    count_published(row, nullptr);
    state_.object_may_be_gone(record_.id, path);
    look_later(path, kind, first);
    if (kind != ObjectKind::file) return;
    // Its other names are of the same bytes: no new name is made of them.
    for (auto names = state_.names_of(record_.id, row.print); !names.empty();
         names = state_.names_of(record_.id, row.print))
        for (const std::string& name : names)
            state_.object_in_doubt(record_.id, name);
}

void Runner::fold_verification(Moment now) {
    if (!verification_.fold(now.wall)) return;
    const auto& record = verification_.record();
    state_.verification_put(record_.id, record);
    if (record.ended == 0) return;
    spdlog::info("dataset {}: {} objects compared with the target: {} differ, {} are missing",
                 record_.spec.name, record.counts.objects, record.counts.differing, record.counts.missing);
}

// Another store, or the bundle is not known any more: what was asked is asked again.
void Runner::give_back_verify(const wire::BundleId& id) {
    auto sent = verifying_.extract(id);
    if (!sent) return;
    auto& [stretches, read_back] = sent.mapped();
    for (auto& stretch : stretches) {
        comparing_.erase(stretch.object.path);
        give_back(read_back, std::move(stretch));
    }
}

VerifyView Runner::verify_view() const {
    const auto& record = verification_.record();
    VerifyView view;
    view.started = record.started;
    view.ended = record.ended;
    view.counts = record.counts;
    view.read_back = read_back_.counts();
    return view;
}

}  // namespace longhaul::control
