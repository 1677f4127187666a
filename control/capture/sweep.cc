// A merge of two ordered walks: the tree on disk and the table of what is published.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/sweep.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <thread>

namespace longhaul::control {

namespace {

constexpr std::size_t kBatch = 512;
constexpr std::size_t kUnsupportedNamed = 100;

class Sweeper {
  public:
    Sweeper(const SweepRequest& request, const SweepSink& sink, const std::atomic<bool>& stop, Tree tree,
            std::unique_ptr<ObjectCursor> recorded)
        : request_(request),
          sink_(sink),
          stop_(stop),
          tree_(std::move(tree)),
          recorded_(std::move(recorded)) {
        result_.clean = true;
        result_.root = tree_.identity();
        other_root_ = request_.root_before.known() && request_.root_before != tree_.identity();
    }

    SweepResult run() {
        if (other_root_ && !request_.beneath.empty()) {
            trouble("the source directory is another one than before");
            return std::move(result_);
        }
        std::vector<Frame> stack;
        if (request_.beneath.empty())
            enter(stack, "", "", 0);
        else
            begin_beneath(stack);
        walk(stack);
        if (!stopped_) skip_to_end();
        if (!stopped_) look_again_at_racy();
        if (!stopped_) flush();
        if (stopped_) {
            result_.clean = false;
            if (result_.problem.empty()) result_.problem = "the sweep was interrupted";
        } else if (other_root_) {
            judge_other_root();
        }
        return std::move(result_);
    }

  private:
    struct Frame {
        std::string directory, key;
        std::vector<std::string> names;
        std::size_t looked_at = 0;  // of the names
        Descriptor entered;         // while its entries are looked at: closed beneath it, a tree may be deep
        std::vector<Listed> entries;
        std::int64_t appeared_by_ns = 0;  // the directory, under this name: what is in it was not here before
        std::size_t next = 0;             // of the entries
    };

    void begin_beneath(std::vector<Frame>& stack) {
        auto entry = tree_.find(request_.beneath);
        if (!entry) {
            trouble(entry.error().text);
            withhold_removals_ = true;
        } else if (entry.value()) {
            Frame above;
            const auto slash = request_.beneath.rfind('/');
            if (slash != std::string::npos) above.directory = request_.beneath.substr(0, slash);
            visit(stack, above, request_.beneath, 0, *entry.value());
            close_directory(above);
        }
    }

    void walk(std::vector<Frame>& stack) {
        while (!stack.empty() && !stopped_) {
            Frame& frame = stack.back();
            if (frame.next == frame.entries.size()) {
                if (look_further(frame)) continue;
                close_directory(frame);
                stack.pop_back();
                continue;
            }
            Listed& entry = frame.entries[frame.next++];
            const std::string path =
                frame.directory.empty() ? entry.name : frame.directory + "/" + entry.name;
            visit(stack, frame, path, frame.appeared_by_ns, entry);
        }
    }

    void visit(std::vector<Frame>& stack, Frame& in, const std::string& path, std::int64_t appeared_by_ns,
               Listed& entry) {
        if (stop_.load(std::memory_order_relaxed)) stopped_ = true;
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
        enter(stack, path, key, !stood_here && renamed ? changed_by_ns : appeared_by_ns);
    }

    void enter(std::vector<Frame>& stack, const std::string& directory, const std::string& key,
               std::int64_t appeared_by_ns) {
        auto listing = tree_.list(directory);
        if (!listing) {
            cannot_read(directory, key, listing.error().text);
            return;
        }
        if (!listing.value()) {  // vanished since its parent was listed
            const bool may_remove = !other_root_ && !withhold_removals_;
            if (leave_out_subtree(key) && may_remove) emit({directory, std::nullopt, file_clock(), true});
            return;
        }
        if (!stack.empty()) close_directory(stack.back());
        Frame frame;
        frame.directory = directory;
        frame.key = key;
        frame.names = std::move(*std::move(listing).value());
        frame.appeared_by_ns = appeared_by_ns;
        stack.push_back(std::move(frame));
    }

    // A batch of a directory at a time, so that one with a million entries costs their names only. False: that was all.
    bool look_further(Frame& frame) {
        frame.entries.clear();
        frame.next = 0;
        if (frame.looked_at == frame.names.size()) return false;
        const std::size_t count = std::min(kBatch, frame.names.size() - frame.looked_at);
        const auto names = std::span(frame.names).subspan(frame.looked_at, count);
        frame.looked_at += count;
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

    void open_directory(Frame& frame, Descriptor&& entered) {
        attributes_.enter(entered.get());
        frame.entered = std::move(entered);
    }
    void close_directory(Frame& frame) {
        attributes_.leave();
        frame.entered = Descriptor();
    }

    void cannot_read(const std::string& directory, const std::string& key, const std::string& why) {
        trouble(why + "; correct its permissions or the disk");
        if (directory.empty()) {
            result_.readable = false;
            withhold_removals_ = true;
        } else {
            leave_out_subtree(key);
        }
    }

    bool at(const std::string& key) const { return recorded_->valid() && recorded_->key() == key; }

    // Recorded objects that sort before `key` are not in the tree any more.
    void skip_rows_until(std::string_view key) {
        while (recorded_->valid() && recorded_->key() < key && !stopped_) {
            gone();
            recorded_->next();
        }
    }
    void skip_to_end() {
        while (recorded_->valid() && !stopped_) {
            gone();
            recorded_->next();
        }
    }
    void gone() {
        if (other_root_ || withhold_removals_) return;
        emit({path_of_key(recorded_->key()), std::nullopt, file_clock()});
    }

    // Passes over everything recorded beneath a directory that could not be looked into. True if there was
    // any.
    bool leave_out_subtree(const std::string& key) {
        const std::string prefix = key + '\0';
        bool any = false;
        while (recorded_->valid() && recorded_->key().starts_with(prefix)) {
            any = true;
            recorded_->next();
        }
        return any;
    }

    // True: the same directory was published under this name.
    bool compare(Frame& in, const std::string& path, const std::string& key, Observed now,
                 std::int64_t changed_by_ns) {
        skip_rows_until(key);
        const ObjectRecord* record = at(key) ? &recorded_->record() : nullptr;
        known_found_ += record != nullptr ? 1 : 0;
        const bool stood_here = record != nullptr && record->published &&
                                record->print.kind == now.print.kind &&
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
    bool add_attributes(Frame& in, const std::string& path, const ObjectRecord* record, Observed& now) {
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
    static bool stands_as_recorded(const ObjectRecord* record, const Fingerprint& now) {
        if (record == nullptr || !record->published || !attributes_known(record->print.attributes))
            return false;
        const Fingerprint& before = record->print;
        return before.kind == now.kind && before.inode == now.inode && before.ctime_ns == now.ctime_ns;
    }

    // Waits once for the clock to leave the tick in which the youngest files were last written, then looks
    // again: from then on a further write shows in their ctime. What is still being written stays marked.
    void look_again_at_racy() {
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

    // The root's device or inode is not the one of the last sweep: mounted anew, or not mounted at all.
    // Nothing was taken as removed. It is adopted when at least half of what was known is there.
    void judge_other_root() {
        result_.clean = false;
        const bool nothing_known = request_.objects_before == 0;
        if (nothing_known || (result_.objects > 0 && known_found_ * 2 >= request_.objects_before)) {
            if (result_.problem.empty())
                result_.problem =
                    "the source was mounted anew; nothing counts as removed until the next sweep";
            return;
        }
        result_.readable = false;
        result_.root = {};
        result_.problem =
            "source directory " + shown_path(request_.root) + " is another one than before (device " +
            std::to_string(request_.root_before.device) + " -> " + std::to_string(tree_.identity().device) +
            ") and holds " + std::to_string(known_found_) + " of " + std::to_string(request_.objects_before) +
            " known objects: mount the right file system, or remove the dataset and create it again; "
            "nothing is deleted at the target";
    }

    void trouble(std::string text) {
        result_.clean = false;
        if (result_.problem.empty()) result_.problem = std::move(text);
    }
    void unsupported(const std::string& path) {
        if (result_.unsupported.size() < kUnsupportedNamed) result_.unsupported.push_back(path);
    }

    void emit(Observation observation) {
        batch_.push_back(std::move(observation));
        if (batch_.size() >= kBatch) flush();
    }
    void flush() {
        if (!sink_(std::exchange(batch_, {}), result_)) stopped_ = true;
    }

    const SweepRequest& request_;
    const SweepSink& sink_;
    const std::atomic<bool>& stop_;
    Tree tree_;
    AttributeReader attributes_;
    std::unique_ptr<ObjectCursor> recorded_;
    SweepResult result_;
    std::vector<Observation> batch_;
    std::vector<std::pair<std::string, std::int64_t>> racy_;  // and by when it had changed
    std::uint64_t known_found_ = 0;
    bool other_root_ = false;
    bool withhold_removals_ = false;
    bool stopped_ = false;
};

}  // namespace

SweepResult sweep(const SweepRequest& request, const SweepSink& sink, const std::atomic<bool>& stop) {
    SweepResult failed;
    failed.readable = false;
    auto tree = Tree::open(request.root);
    if (!tree) {
        failed.problem = tree.error().text;
        return failed;
    }
    auto cursor = ObjectCursor::open(request.state_path, request.dataset,
                                     request.beneath.empty() ? std::string() : key_of_path(request.beneath));
    if (!cursor) {
        failed.problem = cursor.error().text;
        return failed;
    }
    return Sweeper(request, sink, stop, std::move(tree).value(), std::move(cursor).value()).run();
}

std::vector<Observation> look_again(const std::string& root, const RootIdentity& expected,
                                    const std::vector<std::string>& paths) {
    std::vector<Observation> seen;
    auto tree = Tree::open(root);
    if (!tree || (expected.known() && tree.value().identity() != expected)) return seen;
    for (const auto& path : paths) {
        auto found = tree.value().look(path);
        if (!found) continue;
        auto now = std::move(found).value();
        const auto changed_by_ns = now ? now->changed_by_ns() : file_clock();
        seen.push_back({path, std::move(now), changed_by_ns});
    }
    return seen;
}

}  // namespace longhaul::control
