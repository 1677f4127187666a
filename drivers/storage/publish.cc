// Entry by entry in manifest order; then one fsync for each directory that gained or lost a name; then
// directory and in-place metadata, deepest first and last of all, because every rename moves the mtime of its
// directory.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <utility>

#include "drivers/storage/errors.h"
#include "drivers/storage/metadata.h"
#include "drivers/storage/order.h"
#include "drivers/storage/progress.h"
#include "drivers/storage/target_tree.h"

namespace longhaul::storage {

using wire::Entry;
using wire::EntryKind;
using wire::FailReason;

namespace {

constexpr std::size_t kMetadataBatch = 64;  // open descriptors at once
constexpr mode_t kPrivateMode = 0600;

bool is_in_place(EntryKind kind) noexcept {
    return kind == EntryKind::directory || kind == EntryKind::metadata;
}
bool needs_path(EntryKind kind) noexcept {
    return kind != EntryKind::range && kind != EntryKind::mark && kind != EntryKind::verify;
}

bool lies_below(const std::string& path, const std::string& directory) noexcept {
    if (directory.empty()) return true;
    return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

class Publishing {
  public:
    explicit Publishing(PublishJob& job)
        : job_(job),
          entries_(job.manifest->entries),
          disk_(job.store->disk),
          staging_(job.store->staging.get()),
          tree_(disk_, job.store->root.get()) {}

    void run() {
        // What is put into a directory that has no name any more is lost.
        if (!job_.discard_only && !stands()) return fail_all(FailReason::store_gone);
        if (in_order() && !job_.discard_only)
            run_in_order();
        else
            apply();
        if (!job_.discard_only) static_cast<void>(stands());  // or what was told to be there is not
    }

  private:
    bool stands() {
        job_.store_gone = !job_.store->is_at(job_.store->directory);
        return !job_.store_gone;
    }
    bool waits(EntryKind kind) const noexcept {  // for the renames that move its mtime
        return is_in_place(kind) && !(in_order() && kind == EntryKind::metadata);
    }
    bool in_order() const noexcept { return job_.manifest->publish == wire::PublishRule::in_order; }
    void run_in_order();
    void apply();
    void fail_all(FailReason reason);
    void apply_in_order();
    int apply(std::size_t index);
    int publish_file(std::size_t index);
    int publish_symlink(std::size_t index);
    int note_range(const Entry& entry);
    void sync_notes();
    int assemble(std::size_t index);
    int publish_hole(std::size_t index);
    int publish_link(std::size_t index);
    int change_metadata(const Entry& entry);  // now, in its turn
    void apply_in_place_metadata();
    void flush_metadata(std::vector<std::pair<std::size_t, UniqueFd>>& changed);
    bool sync_together();
    void sync_directories();
    void sync_staging();
    void hold_back_marks();
    void discard(std::size_t index);
    bool object_failed(const wire::ObjectKey& object) const;
    bool may_be_a_repetition(const Entry& entry);
    bool may_be_passed_over(std::size_t index) const noexcept;
    bool shows_all_it_must() const noexcept;

    PublishJob& job_;
    const std::vector<Entry>& entries_;
    Disk& disk_;
    const int staging_;
    TargetTree tree_;
    bool staging_touched_ = false;
    std::map<wire::ObjectKey, UniqueFd> noted_;  // staged objects with new records, not flushed
    bool stopped_ = false;  // in order: an entry has failed, nothing behind it may become visible
};

void Publishing::discard(std::size_t index) {
    if (!job_.staged[index].empty()) disk_.unlinkat(staging_, job_.staged[index].c_str(), 0);
}

void Publishing::apply() {
    apply_in_order();
    sync_notes();
    sync_directories();
    apply_in_place_metadata();
    hold_back_marks();
}

// The position moves only behind everything it speaks for. A crash in between sends the bundle again, and it
// is applied again: nothing later has been.
void Publishing::run_in_order() {
    OrderLock order(disk_, staging_);
    if (order.error() != 0) return fail_all(target_reason(order.error()));
    if (!wire::follows(job_.manifest->place, order.position())) {
        job_.out_of_order = true;
        return fail_all(FailReason::superseded);
    }
    apply();
    if (!shows_all_it_must()) return;
    const int error = order.advance(job_.manifest->place);
    job_.place_taken = error == 0;
    if (error != 0) fail_all(target_reason(error));
}

void Publishing::fail_all(FailReason reason) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        discard(i);
        job_.reasons[i] = reason;
    }
}

// What may be missing without a later change giving away that it is: a version that the source has replaced or
// removed since, and a name that should have gone.
bool Publishing::may_be_passed_over(std::size_t index) const noexcept {
    const FailReason reason = job_.reasons[index];
    return reason == FailReason::source_vanished || reason == FailReason::source_changed ||
           entries_[index].kind == EntryKind::remove;
}

// Also behind the flushes of directories, which may fail for what was applied in its turn.
bool Publishing::shows_all_it_must() const noexcept {
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (job_.reasons[i] != FailReason::none && !may_be_passed_over(i)) return false;
    return true;
}

void Publishing::apply_in_order() {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        FailReason& reason = job_.reasons[i];
        if (stopped_) reason = FailReason::cancelled;
        if (job_.discard_only || job_.cancelled.load(std::memory_order_relaxed))
            reason = FailReason::cancelled;
        if (reason == FailReason::none && needs_path(entries_[i].kind) &&
            !wire::path_is_safe(entries_[i].path))
            reason =
                FailReason::target_path;  // the caller has checked it; this is the last door before the disk
        if (reason == FailReason::none) {
            reason = staged_reason(apply(i));
        }
        if (reason == FailReason::none) continue;
        discard(i);
        stopped_ = stopped_ || (in_order() && !may_be_passed_over(i));
    }
}

int Publishing::apply(std::size_t index) {
    const Entry& entry = entries_[index];
    switch (entry.kind) {
        case EntryKind::file:
            return publish_file(index);
        case EntryKind::range:
            staging_touched_ = true;
            return note_range(entry);
        case EntryKind::assemble:
            return assemble(index);
        case EntryKind::directory:
            return tree_.make_directory(entry.path);
        case EntryKind::symlink:
            return publish_symlink(index);
        case EntryKind::link:
            return publish_link(index);
        case EntryKind::remove:
            return tree_.remove(entry.path);
        case EntryKind::metadata:
            return in_order() ? change_metadata(entry) : 0;
        case EntryKind::mark:
        case EntryKind::verify:
            return 0;
    }
    return EINVAL;
}

int Publishing::change_metadata(const Entry& entry) {
    UniqueFd changed;
    if (const int error = tree_.apply_metadata(entry, changed); error != 0) return error;
    if (!changed) return tree_.flush_everything();
    return disk_.fsync(changed.get()) == 0 ? 0 : errno;
}

int Publishing::publish_file(std::size_t index) {
    const Entry& entry = entries_[index];
    const char* name = job_.staged[index].c_str();
    int error = job_.flushed_together ? 0 : make_staged_file_ready(disk_, staging_, name, entry);
    if (error == 0) error = tree_.move_into_place(staging_, name, entry.path);
    if (error != 0) return error == ENOENT ? ENODATA : error;
    ++job_.files_published;
    return 0;
}

int Publishing::publish_symlink(std::size_t index) {
    const Entry& entry = entries_[index];
    const std::string name = bundle_staging_name(*job_.manifest, index, job_.serial);
    if (disk_.symlinkat(entry.target.c_str(), staging_, name.c_str()) != 0) return errno;
    int error = set_symlink_metadata(disk_, staging_, name.c_str(), entry);
    if (error == 0) error = tree_.move_into_place(staging_, name.c_str(), entry.path);
    if (error != 0)
        disk_.unlinkat(staging_, name.c_str(), 0);
    else
        ++job_.files_published;
    return error;
}

int Publishing::note_range(const Entry& entry) {
    UniqueFd& file = noted_[entry.object];
    if (!file) {
        const int fd = open_beneath(disk_, staging_, object_staging_name(entry.object),
                                    O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) return fd == -ENOENT ? ENODATA : -fd;  // gone meanwhile, and its bytes with it
        file = UniqueFd(disk_, fd);
    }
    return record_range(disk_, file.get(), entry);
}

void Publishing::sync_notes() {
    for (const auto& [object, file] : noted_) {
        if (!file) continue;
        const int error = disk_.fsync(file.get()) == 0 ? 0 : errno;
        for (std::size_t i = 0; error != 0 && i < entries_.size(); ++i) {
            const bool told = entries_[i].kind == EntryKind::range && entries_[i].object == object;
            if (told && job_.reasons[i] == FailReason::none) job_.reasons[i] = target_reason(error);
        }
    }
    noted_.clear();
}

bool Publishing::object_failed(const wire::ObjectKey& object) const {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        if (entries_[i].kind == EntryKind::range && entries_[i].object == object &&
            job_.reasons[i] != FailReason::none)
            return true;
    }
    return false;
}

// Checked when it has a name of ours, so that nobody can put another file in its place meanwhile. Renaming a name over
// another of the same file leaves both.
int Publishing::publish_link(std::size_t index) {
    const Entry& entry = entries_[index];
    const std::string name = bundle_staging_name(*job_.manifest, index, job_.serial);
    int error = tree_.stage_another_name(entry.target, staging_, name.c_str());
    if (error == 0) error = set_linked_metadata(disk_, staging_, name.c_str(), entry);
    if (error == 0) error = tree_.move_into_place(staging_, name.c_str(), entry.path);
    disk_.unlinkat(staging_, name.c_str(), 0);
    if (error == 0) ++job_.files_published;
    return error;
}

// A file of nothing but a hole has no range that could have been staged.
int Publishing::publish_hole(std::size_t index) {
    const Entry& entry = entries_[index];
    const std::string name = bundle_staging_name(*job_.manifest, index, job_.serial);
    const int fd = open_beneath(disk_, staging_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                kPrivateMode);
    if (fd < 0) return -fd;
    const UniqueFd file(disk_, fd);
    int error = disk_.ftruncate(fd, entry.size) == 0 && disk_.fsync(fd) == 0 ? 0 : errno;
    if (error == 0) error = set_staged_metadata(disk_, staging_, name.c_str(), entry);
    if (error == 0) error = tree_.move_into_place(staging_, name.c_str(), entry.path);
    if (error != 0)
        disk_.unlinkat(staging_, name.c_str(), 0);
    else
        ++job_.files_published;
    return error;
}

// Ranges that come with their own assemble, of an object that was assembled before: they are offered again, and what they
// gathered now lacks the ranges of other bundles; or the whole version travels once more. Nobody here can tell.
bool Publishing::may_be_a_repetition(const Entry& entry) {
    const bool with_ranges = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& other) {
        return other.kind == EntryKind::range && other.object == entry.object;
    });
    struct stat found {};
    return with_ranges && disk_.fstatat(staging_, object_done_name(entry.object).c_str(), found) == 0;
}

// The empty d-* file is made before the rename: when the object is gone and d-* is there, a crash hid our
// answer and the bundle was offered again.
int Publishing::assemble(std::size_t index) {
    const Entry& entry = entries_[index];
    if (entry.object == wire::ObjectKey{}) return publish_hole(index);
    if (object_failed(entry.object)) return ENODATA;
    if (may_be_a_repetition(entry)) {  // from the first range again: with neither file there is no doubt
        disk_.unlinkat(staging_, object_staging_name(entry.object).c_str(), 0);
        disk_.unlinkat(staging_, object_done_name(entry.object).c_str(), 0);
        return ENODATA;
    }
    const std::string name = object_staging_name(entry.object);
    const std::string done = object_done_name(entry.object);
    struct stat staged {};
    if (disk_.fstatat(staging_, name.c_str(), staged) != 0) {
        if (errno != ENOENT) return errno;
        if (disk_.fstatat(staging_, done.c_str(), staged) != 0) return ENODATA;
        return tree_.touch_parent(entry.path);
    }
    if (!S_ISREG(staged.st_mode)) return ENODATA;
    if (const int error = prove_whole(disk_, staging_, name, entry); error != 0) return error;
    if (const int error = set_staged_metadata(disk_, staging_, name.c_str(), entry); error != 0) return error;
    const int mark =
        open_beneath(disk_, staging_, done, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kPrivateMode);
    if (mark < 0) return -mark;
    disk_.close(mark);
    staging_touched_ = true;
    if (const int error = tree_.move_into_place(staging_, name.c_str(), entry.path); error != 0) {
        disk_.unlinkat(staging_, done.c_str(), 0);
        return error;
    }
    ++job_.files_published;
    return 0;
}

void Publishing::apply_in_place_metadata() {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (waits(entries_[i].kind) && job_.reasons[i] == FailReason::none) order.push_back(i);
    const auto depth = [&](std::size_t i) {
        return std::count(entries_[i].path.begin(), entries_[i].path.end(), '/');
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return depth(a) > depth(b); });
    // Changed in batches, then flushed: one journal commit serves a batch.
    std::vector<std::pair<std::size_t, UniqueFd>> changed;
    for (const std::size_t i : order) {
        UniqueFd fd;
        job_.reasons[i] = target_reason(tree_.apply_metadata(entries_[i], fd));
        if (job_.reasons[i] == FailReason::none) changed.emplace_back(i, std::move(fd));
        if (changed.size() == kMetadataBatch) flush_metadata(changed);
    }
    flush_metadata(changed);
}

void Publishing::flush_metadata(std::vector<std::pair<std::size_t, UniqueFd>>& changed) {
    for (const auto& [index, fd] : changed) {
        const int error = fd ? (disk_.fsync(fd.get()) == 0 ? 0 : errno) : tree_.flush_everything();
        job_.reasons[index] = target_reason(error);
    }
    changed.clear();
}

void Publishing::sync_staging() {
    ++job_.directory_fsyncs;
    if (disk_.fsync(staging_) == 0) return;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const bool staged = entries_[i].kind == EntryKind::range || entries_[i].kind == EntryKind::assemble;
        if (staged && job_.reasons[i] == FailReason::none) job_.reasons[i] = FailReason::target_io;
    }
}

// Two directories of the same journal cost two commits, the whole file system one.
bool Publishing::sync_together() {
    if (!job_.flushed_together || tree_.touched().size() < 2) return false;
    ++job_.file_system_flushes;
    const int error = tree_.flush_everything();
    if (error != 0) ++job_.store->flush_failures;
    for (FailReason& reason : job_.reasons)
        if (error != 0 && reason == FailReason::none) reason = target_reason(error);
    return true;
}

void Publishing::sync_directories() {
    if (sync_together()) return;
    if (staging_touched_) sync_staging();
    for (const std::string& directory : tree_.touched()) {
        ++job_.directory_fsyncs;
        const int error = tree_.sync_directory(directory);
        if (error == 0) continue;
        // Whatever lies below is reached through a name that may not survive: none of it is durable.
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            if (needs_path(entries_[i].kind) && lies_below(entries_[i].path, directory) &&
                job_.reasons[i] == FailReason::none)
                job_.reasons[i] = target_reason(error);
        }
    }
}

// A watermark beside a failed entry would claim a change that is not here.
void Publishing::hold_back_marks() {
    const auto failed = std::find_if(job_.reasons.begin(), job_.reasons.end(),
                                     [](FailReason reason) { return reason != FailReason::none; });
    if (failed == job_.reasons.end()) return;
    const FailReason first = *failed;
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (entries_[i].kind == EntryKind::mark) job_.reasons[i] = first;
}

}  // namespace

namespace {

// Workers publish into one tree in turns: a directory that another has just made, and not yet flushed, must not carry
// what this one calls durable.
std::mutex& turn_of(const Store& store) {
    static std::array<std::mutex, 16> turns;
    return turns[(store.device * 31 + store.inode) % turns.size()];
}

}  // namespace

void publish(PublishJob& job) {
    const std::lock_guard turn(turn_of(*job.store));
    Publishing(job).run();
}

}  // namespace longhaul::storage
