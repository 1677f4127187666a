// SPDX-License-Identifier: Apache-2.0
#include "control/capture/sweeper.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <thread>

namespace longhaul::control {

namespace {

constexpr std::size_t kBatch = 512;
constexpr std::size_t kUnsupportedNamed = 100;
constexpr std::size_t kAloneMax = 4096;  // entries that one thread looks at before it calls others
constexpr std::size_t kShareMin = 128;   // entries that are worth a share, unless a directory is among them

bool stands_as_recorded(const ObjectRecord* record, const Fingerprint& now) {
    if (record == nullptr || !record->published || !attributes_known(record->print.attributes)) return false;
    const Fingerprint& before = record->print;
    return before.kind == now.kind && before.inode == now.inode && before.ctime_ns == now.ctime_ns;
}

}  // namespace

void Sweeper::begin() {
    if (request_.beneath.empty()) {
        recorded_->restart({}, {});
        enter("", "", 0);
    } else {
        const std::string key = key_of_path(request_.beneath);
        end_key_ = end_of_subtree(key);
        recorded_->restart(key, end_key_);
        begin_beneath();
    }
    walk();
    if (!stopped_) skip_to_end();
    while (auto share = party_.shares.take(true))
        work(std::move(*share));
}

void Sweeper::help() {
    bool was_at_work = false;
    while (auto share = party_.shares.take(std::exchange(was_at_work, true)))
        work(std::move(*share));
}

void Sweeper::work(Share&& share) {
    if (stopped_ || party_.stop.load(std::memory_order_relaxed)) {
        stopped_ = true;
        return;
    }
    end_key_ = share.end_key;
    recorded_->restart(share.first_key, end_key_);
    Frame frame;
    frame.directory = std::move(share.directory);
    frame.key = std::move(share.key);
    frame.names = std::move(share.names);
    frame.appeared_by_ns = share.appeared_by_ns;
    frame.end_key = std::move(share.end_key);
    stack_.push_back(std::move(frame));
    walk();
    if (!stopped_) skip_to_end();
    if (!stopped_) flush();
}

void Sweeper::adopt(Sweeper&& finished) {
    result_.clean &= finished.result_.clean;
    if (result_.problem.empty()) result_.problem = std::move(finished.result_.problem);
    result_.readable &= finished.result_.readable;
    result_.objects += finished.result_.objects;
    result_.bytes += finished.result_.bytes;
    for (const auto& path : finished.result_.unsupported)
        unsupported(path);
    std::move(finished.racy_.begin(), finished.racy_.end(), std::back_inserter(racy_));
    known_found_ += finished.known_found_;
    stopped_ |= finished.stopped_;
}

void Sweeper::begin_beneath() {
    auto entry = tree_.find(request_.beneath);
    if (!entry) {
        trouble(entry.error().text);
        withhold_removals_ = true;
    } else if (entry.value()) {
        Frame above;
        above.directory = parent_of(request_.beneath);
        visit(above, request_.beneath, 0, *entry.value());
        close_directory(above);
    }
}

void Sweeper::walk() {
    while (!stack_.empty() && !stopped_) {
        Frame& frame = stack_.back();
        if (frame.next == frame.entries.size()) {
            if (look_further(frame)) continue;
            leave(frame);
            continue;
        }
        Listed& entry = frame.entries[frame.next++];
        const std::string path = frame.directory.empty() ? entry.name : frame.directory + "/" + entry.name;
        visit(frame, path, frame.appeared_by_ns, entry);
        if (party_.shares.wanted()) give_half();
    }
    stack_.clear();
}

void Sweeper::visit(Frame& in, const std::string& path, std::int64_t appeared_by_ns, Listed& entry) {
    if (party_.stop.load(std::memory_order_relaxed)) stopped_ = true;
    if (!wire::path_is_safe(path)) {
        trouble("object " + shown_path(path) + " cannot be replicated: its path is longer than " +
                std::to_string(wire::kPathBytesMax) + " bytes; rename or move it");
        return;
    }
    if (entry.unsupported) {
        unsupported(path);
        return;  // what stood there before, if anything, counts as removed
    }
    const std::string key = key_of_path(path);
    if (entry.unreadable_link) {
        trouble("symlink " + shown_path(path) + " cannot be read");
        skip_rows_until(key);
        if (at(key)) recorded_->next();
        return;
    }
    const bool is_directory = entry.now.print.kind == ObjectKind::directory;
    result_.objects += 1;
    result_.bytes += entry.now.print.size;
    const std::int64_t changed_by_ns = std::max(appeared_by_ns, entry.now.changed_by_ns());
    const bool renamed = entry.now.renamed_directory();  // what is in it keeps its ctimes
    const bool stood_here = compare(in, path, key, std::move(entry.now), changed_by_ns);
    if (!is_directory) return;
    if (entry.foreign) {
        unsupported(path);
        if (leave_out_subtree(key))
            trouble("another file system is mounted at " + shown_path(path) +
                    " over objects that were replicated from there: unmount it, or give it a dataset of "
                    "its own");
        return;
    }
    enter(path, key, !stood_here && renamed ? changed_by_ns : appeared_by_ns);
}

void Sweeper::enter(const std::string& directory, const std::string& key, std::int64_t appeared_by_ns) {
    auto listing = tree_.list(directory);
    if (!listing) {
        cannot_read(directory, key, listing.error().text);
        return;
    }
    if (!listing.value()) {  // vanished since its parent was listed
        const bool may_remove = !party_.other_root && !withhold_removals_;
        if (leave_out_subtree(key) && may_remove) emit({directory, std::nullopt, file_clock(), true});
        return;
    }
    if (!stack_.empty()) close_directory(stack_.back());
    Frame frame;
    frame.directory = directory;
    frame.key = key;
    frame.names = std::move(*std::move(listing).value());
    frame.appeared_by_ns = appeared_by_ns;
    if (!directory.empty()) frame.end_key = end_of_subtree(key);
    stack_.push_back(std::move(frame));
}

// A batch of a directory at a time, so that one with a million entries costs their names only. False: that was all.
bool Sweeper::look_further(Frame& frame) {
    frame.entries.clear();
    frame.next = 0;
    if (frame.looked_at == frame.names.size()) return false;
    const std::size_t count = std::min(kBatch, frame.names.size() - frame.looked_at);
    const auto names = std::span(frame.names).subspan(frame.looked_at, count);
    frame.looked_at += count;
    if ((looked_at_ += count) > kAloneMax) party_.much_to_do();
    auto entered = tree_.enter(frame.directory);
    if (entered && !entered.value().valid()) return true;  // vanished
    if (entered) open_directory(frame, std::move(entered).value());
    auto seen = entered ? tree_.look_at(frame.entered, frame.directory, names)
                        : Result<std::vector<Listed>>(entered.error());
    if (seen) {
        frame.entries = std::move(seen).value();
        return true;
    }
    cannot_read(frame.directory, frame.key, seen.error().text);
    return false;
}

void Sweeper::leave(Frame& frame) {
    close_directory(frame);
    if (!frame.given_key.empty()) {
        skip_rows_until(frame.given_key);
        if (frame.end_key == end_key_)
            recorded_->end();
        else
            recorded_->restart(frame.end_key, end_key_);
    }
    stack_.pop_back();
}

// Half of what has not been come to yet, from as far up as there is some: so few shares are given, and large ones.
void Sweeper::give_half() {
    for (auto& frame : stack_)
        if (give_from(frame)) return;
}

bool Sweeper::give_from(Frame& frame) {
    Share share;
    const std::size_t ahead = frame.names.size() - frame.looked_at;
    if (ahead >= 2 * kShareMin) {
        const auto from = frame.names.begin() + static_cast<std::ptrdiff_t>(frame.looked_at + ahead / 2);
        share.names.assign(std::move_iterator(from), std::move_iterator(frame.names.end()));
        frame.names.erase(from, frame.names.end());
    } else {
        const std::size_t left = frame.entries.size() - frame.next;
        const bool innermost = &frame == &stack_.back();  // of which something is kept to go on with
        const std::size_t given = innermost ? left / 2 : left - left / 2;
        const auto from = frame.entries.end() - static_cast<std::ptrdiff_t>(given);
        const bool holds_more = std::any_of(from, frame.entries.end(), [](const Listed& entry) {
            return entry.now.print.kind == ObjectKind::directory;
        });
        if (given == 0 || (given + ahead < kShareMin && !holds_more)) return false;
        for (auto entry = from; entry != frame.entries.end(); ++entry)
            share.names.push_back(std::move(entry->name));
        frame.entries.erase(from, frame.entries.end());
        const auto unseen = frame.names.begin() + static_cast<std::ptrdiff_t>(frame.looked_at);
        share.names.insert(share.names.end(), unseen, frame.names.end());
        frame.names.erase(unseen, frame.names.end());
    }
    share.directory = frame.directory;
    share.key = frame.key;
    share.appeared_by_ns = frame.appeared_by_ns;
    share.end_key = frame.given_key.empty() ? frame.end_key : frame.given_key;
    share.first_key = frame.key.empty() ? share.names.front() : frame.key + '\0' + share.names.front();
    frame.given_key = share.first_key;
    flush();  // a directory is handed in before what is in it
    party_.shares.give(std::move(share));
    return true;
}

void Sweeper::open_directory(Frame& frame, Descriptor&& entered) {
    attributes_.enter(entered.get());
    frame.entered = std::move(entered);
}

void Sweeper::close_directory(Frame& frame) {
    attributes_.leave();
    frame.entered = Descriptor();
}

void Sweeper::cannot_read(const std::string& directory, const std::string& key, const std::string& why) {
    trouble(why + "; correct its permissions or the disk");
    if (directory.empty()) {
        result_.readable = false;
        withhold_removals_ = true;
    } else {
        leave_out_subtree(key);
    }
}

// Recorded objects that sort before `key` are not in the tree any more.
void Sweeper::skip_rows_until(std::string_view key) {
    while (recorded_->valid() && recorded_->key() < key && !stopped_) {
        gone();
        recorded_->next();
    }
}
void Sweeper::skip_to_end() {
    while (recorded_->valid() && !stopped_) {
        gone();
        recorded_->next();
    }
}
void Sweeper::gone() {
    if (party_.other_root || withhold_removals_) return;
    emit({path_of_key(recorded_->key()), std::nullopt, file_clock()});
}

// Passes over everything recorded beneath a directory that could not be looked into. True if there was
// any.
bool Sweeper::leave_out_subtree(const std::string& key) {
    const std::string prefix = key + '\0';
    bool any = false;
    while (recorded_->valid() && recorded_->key().starts_with(prefix)) {
        any = true;
        recorded_->next();
    }
    return any;
}

// True: the same directory was published under this name.
bool Sweeper::compare(Frame& in, const std::string& path, const std::string& key, Observed now,
                      std::int64_t changed_by_ns) {
    skip_rows_until(key);
    const ObjectRecord* record = at(key) ? &recorded_->record() : nullptr;
    known_found_ += record != nullptr ? 1 : 0;
    const bool stood_here = record != nullptr && record->published && record->print.kind == now.print.kind &&
                            record->print.inode == now.print.inode;
    if (add_attributes(in, path, record, now) && difference(record, &now) != Difference::none) {
        if (now.racy && now.print.kind == ObjectKind::file) {
            racy_.emplace_back(path, changed_by_ns);
        } else {
            tree_.look_at_holes(path, now);
            emit({path, std::move(now), changed_by_ns});
        }
    }
    if (record != nullptr) recorded_->next();
    return stood_here;
}

// Attributes never change without the ctime: those of an object that stands as it was are read only to be sent. False:
// they cannot be told.
bool Sweeper::add_attributes(Frame& in, const std::string& path, const ObjectRecord* record, Observed& now) {
    if (stands_as_recorded(record, now.print)) {
        now.print.attributes = record->print.attributes;
        if (now.print.attributes == 0 || difference(record, &now) == Difference::none) return true;
    }
    if (!in.entered.valid()) {  // closed while what is beneath it was looked at
        auto entered = tree_.enter(in.directory);
        if (!entered) trouble(entered.error().text);
        if (!entered || !entered.value().valid()) return entered.ok();
        open_directory(in, std::move(entered).value());
    }
    auto read = tree_.look_at_attributes(attributes_, path, now);
    if (!read) trouble(read.error().text);
    return read.ok();
}

void Sweeper::trouble(std::string text) {
    result_.clean = false;
    if (result_.problem.empty()) result_.problem = std::move(text);
}

void Sweeper::unsupported(const std::string& path) {
    if (result_.unsupported.size() < kUnsupportedNamed) result_.unsupported.push_back(path);
}

void Sweeper::emit(Observation observation) {
    batch_.push_back(std::move(observation));
    if (batch_.size() >= kBatch) flush();
}

void Sweeper::flush() {
    const std::uint64_t objects = result_.objects - std::exchange(objects_handed_in_, result_.objects);
    const std::uint64_t bytes = result_.bytes - std::exchange(bytes_handed_in_, result_.bytes);
    if (!party_.hand_in(std::exchange(batch_, {}), objects, bytes)) stopped_ = true;
}

void Sweeper::finish() {
    if (!stopped_) look_again_at_racy();
    if (!stopped_) flush();
}

// Waits once for the clock to leave the tick in which the youngest files were last written, then looks
// again: from then on a further write shows in their ctime. What is still being written stays marked.
void Sweeper::look_again_at_racy() {
    if (racy_.empty()) return;
    std::this_thread::sleep_for(std::chrono::nanoseconds(kRacyNs));
    for (const auto& [path, changed_by_ns] : racy_) {
        auto found = tree_.look(path);
        if (!found) {
            trouble(found.error().text);
        } else {
            auto now = std::move(found).value();
            const auto changed = now ? std::max(changed_by_ns, now->changed_by_ns()) : file_clock();
            emit({path, std::move(now), changed});
        }
        if (stopped_) return;
    }
}

}  // namespace longhaul::control
