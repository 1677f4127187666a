// The runner's side of a comparison of both ends: bundles that move no payload, behind everything that does.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>

#include "control/dataset/draft.h"
#include "control/dataset/runner.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kVerifiesOpenMax = 4;
constexpr std::size_t kVerifyEntriesMax = 1024;
constexpr std::uint64_t kIdleBytes = 256u << 20;  // a bundle
constexpr std::uint64_t kBusyBytes = 16u << 20;   // a bundle, while there is work
constexpr double kCreditBytesMax = 256u << 20;    // what a busy time may save up

wire::Entry entry_of(const Verification::Stretch& stretch) {
    wire::Entry entry;
    entry.kind = wire::EntryKind::verify;
    entry.path = stretch.file.path;
    entry.mtime_ns = stretch.file.mtime_ns;
    entry.ctime_ns = stretch.file.ctime_ns;
    entry.size = stretch.length;
    entry.file_offset = stretch.offset;
    entry.file_size = stretch.file.size;
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
        default:  // what the target cannot read back is as good as lost
            return Verification::Outcome::differs;
    }
}

// Says nothing of the file: it is asked again.
bool unanswered(wire::FailReason reason) {
    return of_the_bundle(reason) || reason == wire::FailReason::manifest_malformed ||
           reason == wire::FailReason::internal;
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

bool Runner::compose_verify(Moment now) {
    if (!verification_.running() || verifying_.size() >= kVerifiesOpenMax || now.steady < verify_retry_at_)
        return false;
    const bool busy_otherwise = busy();
    if (busy_otherwise && !verify_earned()) return false;
    auto drawn = verification_.draw(verify_entries_, busy_otherwise ? kBusyBytes : kIdleBytes,
                                    [this](const std::string& from_key, std::size_t most) {
                                        return state_.published_files(record_.id, from_key, most);
                                    });
    Draft draft;
    std::vector<Verification::Stretch> taken;
    for (auto& stretch : drawn) {
        // ctime 0: a write may have hidden in the clock's grain; it is sent once more anyway.
        const bool in_doubt = pending_.find(stretch.file.path).has_value() || stretch.file.ctime_ns == 0;
        if (in_doubt) {
            verification_.settle(stretch, Verification::Outcome::changed);
            continue;
        }
        if (busy_otherwise) verify_credit_bytes_ -= static_cast<double>(stretch.length);
        draft.manifest.entries.push_back(entry_of(stretch));
        draft.notes.emplace_back();
        taken.push_back(std::move(stretch));
    }
    if (taken.empty()) {
        fold_verification(now);
        return !drawn.empty();
    }
    verifying_.emplace(seal(std::move(draft), now), std::move(taken));
    return true;
}

void Runner::earn_verify_credit(std::uint64_t payload_bytes) {
    if (!verification_.running()) return;
    verify_credit_bytes_ += static_cast<double>(payload_bytes) * config_.verify_share;
    verify_credit_bytes_ = std::min(verify_credit_bytes_, kCreditBytesMax);
}

void Runner::finish_verify(const Open& bundle, const command::BundleEvent& event, Moment now) {
    auto sent = verifying_.extract(bundle.manifest.id);
    if (!sent) return;
    std::vector<wire::FailReason> reasons(sent.mapped().size(), wire::FailReason::none);
    for (const auto& failure : event.failures)
        if (failure.entry < reasons.size()) reasons[failure.entry] = failure.reason;
    const bool whole = event.stage == wire::Stage::failed;
    // Which of the others failed is not known: so few are asked for that every failure will have a name.
    const bool unnamed = !whole && event.failed_entries > event.failures.size();
    verify_entries_ = unnamed ? wire::kFailuresListed : std::min(kVerifyEntriesMax, 2 * verify_entries_);
    if (whole) verify_retry_at_ = now.steady + kSecond;
    for (std::size_t i = 0; i < reasons.size(); ++i) {
        auto& stretch = sent.mapped()[i];
        const bool unknown =
            whole || unanswered(reasons[i]) || (unnamed && reasons[i] == wire::FailReason::none);
        if (unknown)
            verification_.give_back(std::move(stretch));
        else
            judge_stretch(stretch, reasons[i]);
    }
    fold_verification(now);
}

// A difference counts only of a version that is still the one which the target should have.
void Runner::judge_stretch(const Verification::Stretch& stretch, wire::FailReason reason) {
    auto outcome = outcome_of(reason);
    const std::string& path = stretch.file.path;
    if (outcome == Verification::Outcome::differs || outcome == Verification::Outcome::missing) {
        const auto row = state_.object(record_.id, path);
        const bool current = row && row->published && row->print.kind == ObjectKind::file &&
                             row->print.size == stretch.file.size &&
                             row->print.mtime_ns == stretch.file.mtime_ns &&
                             row->print.ctime_ns == stretch.file.ctime_ns && !pending_.find(path);
        if (current)
            repair(path, *row, reason);
        else
            outcome = Verification::Outcome::changed;
    }
    verification_.settle(stretch, outcome);
}

// No watermark passes before it has been sent again.
void Runner::repair(const std::string& path, const ObjectRecord& row, wire::FailReason reason) {
    notice("VERIFY_FAIL", path,
           reason == wire::FailReason::target_missing
               ? "it was published and is not at the target any more; it is sent again"
               : "the target's copy is not what the source has; it is sent again (" +
                     std::string(wire::to_string(reason)) + ")");
    count_published(row, nullptr);
    state_.object_may_be_gone(record_.id, path);
    // Its other names are of the same bytes: no new name is made of them.
    for (auto names = state_.names_of(record_.id, row.print); !names.empty();
         names = state_.names_of(record_.id, row.print))
        for (const std::string& name : names)
            state_.object_in_doubt(record_.id, name);
    look_later(path, ObjectKind::file, seen_now().first);
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
    for (auto& stretch : sent.mapped())
        verification_.give_back(std::move(stretch));
}

VerifyView Runner::verify_view() const {
    const auto& record = verification_.record();
    VerifyView view;
    view.started = record.started;
    view.ended = record.ended;
    view.counts = record.counts;
    return view;
}

}  // namespace longhaul::control
