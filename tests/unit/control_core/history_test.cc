// Property: whatever happens, no W_dur or W_pub ever claims more than the target holds, and in the end all is
// there.
//
// One Runner over a real state store on a virtual clock. The source's history is kept; sweeps overlap with
// changes and with look-ups that hints caused, and hand in late what they saw; hints come late or never; bundles
// overtake each other, entries and whole bundles fail, staging is lost, either process
// restarts; files are renamed, swapped and linked. A seed decides everything, bundle ids too. Replay one history: LONGHAUL_SEED=<seed>
// unit-control_core --gtest_filter=History.*, or so many from there on: LONGHAUL_SEEDS=<count>
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <set>

#include "control/dataset/runner.h"
#include "dataplane/base/random.h"
#include "tests/unit/control_core/seeds.h"

namespace longhaul::control {
namespace {

namespace fs = std::filesystem;
using wire::EntryKind;
using wire::FailReason;

struct Version {  // of one path, since `time`
    WallNs time = 0;
    std::optional<Observed> state;  // nullopt: absent
};

class CopiesWorld final : public Ports {
  public:
    explicit CopiesWorld(std::uint64_t seed) : random_(seed), ids_(~seed), seed_(seed) {
        // Every step commits: in memory, where there is such a file system, a history takes a tenth of the
        // time.
        const fs::path memory = "/dev/shm";
        const fs::path above = access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
        std::string pattern = above.string() + "/longhaul-history-XXXXXX";
        directory_ = mkdtemp(pattern.data());
        config_.bundle_bytes_max = 8192;
        config_.bundle_entries_max = 3;
        if (seed % 3 == 0) config_.changes_bytes_max = 3000 + seed % 7 * 500;  // room for some changes
        for (const char* path : {"a", "b", "c", "d", "e", "f", "folder", "link"})
            history_[path] = {{0, std::nullopt}};
        boot(true);
    }
    ~CopiesWorld() override {
        runner_.reset();
        state_.reset();
        fs::remove_all(directory_);
    }

    void run() {
        for (int step = 0; step < 1500 && !::testing::Test::HasFailure(); ++step)
            act();
        quiet_ = true;
        reconnect();  // what was never reported is now
        for (int step = 0; step < 3000 && !settled(); ++step)
            act();
        EXPECT_TRUE(settled()) << "seed " << seed_ << " does not come to rest";
        for (const auto& [path, versions] : history_)
            EXPECT_TRUE(holds(path, versions.back().state))
                << "seed " << seed_ << ": " << path << " differs in the end";
    }

    std::uint64_t links() const { return links_; }

  private:
    // ---- Ports ----
    Result<void> store_open(std::uint64_t, const std::string&, bool, bool) override { return {}; }
    void store_close(std::uint64_t) override {}
    Result<bool> bundle_offer(const command::BundleOfferMessage&, std::vector<std::uint8_t> head) override {
        auto manifest = wire::parse_manifest(head);
        EXPECT_TRUE(manifest.ok());
        if (random_.chance(0.05)) return false;
        offered_.push_back({std::move(manifest).value(), {}});
        return true;
    }
    Result<void> bundle_cancel(const wire::BundleId& id) override {
        std::erase_if(offered_, [&](const auto& offer) { return offer.manifest.id == id; });
        return {};
    }
    Result<void> bundle_ack(const std::vector<wire::BundleId>& ids) override {
        for (const auto& id : ids)
            std::erase_if(done_, [&](const auto& event) { return event.id == id; });
        return {};
    }
    Result<void> order_settle(std::uint8_t, const wire::BundleId&, std::uint32_t, bool) override {
        return Error{ErrorCode::not_found, "nothing is staged in this model"};
    }
    Result<TargetAccepted> target_accept(const DatasetSpec&) override { return TargetAccepted{7}; }
    Result<void> target_release(const std::string&, const std::string&, std::uint64_t) override { return {}; }
    std::vector<LinkChoice> links_to(const std::string&) override { return {}; }

    // ---- what may happen ----
    Moment now() const { return {clock_, static_cast<TimeNs>(clock_)}; }

    void act() {
        clock_ += static_cast<WallNs>(1 + random_.below(50'000'000));
        if (quiet_) clock_ += 300'000'000;
        const auto dice = random_.below(100);
        if (dice < 15 && !quiet_) {
            change();
        } else if (dice < 20) {
            if (runner_->sweep_due(now())) begin_sweep();
        } else if (dice < 60) {
            look();
        } else if (dice < 90) {
            carry();
        } else if (dice < 91 && !quiet_) {
            restart_dataplane();
        } else if (dice < 92 && !quiet_) {
            boot(false);
        } else if (dice < 93 && !quiet_) {
            staged_.clear();
        }
        turn();
        judge();
    }

    void turn() {
        runner_->tick(now());
        if (!hints_.paths.empty() && random_.chance(0.3)) hint();
        if (auto paths = runner_->take_look_ups(); !paths.empty())
            glances_.push_back({Look::paths, {paths.begin(), paths.end()}, {}, true, {}});
        if (auto scan = runner_->take_scan())
            glances_.push_back(
                {Look::scan, {scan->beneath}, {{scan->beneath, state_->object(1, scan->beneath)}}, true, {}});
        state_->commit();
        for (int i = 0; i < 4 && runner_->compose(now()); ++i) {
        }
        state_->commit();
        runner_->flush(now());
    }

    static bool is_file_name(const std::string& path) { return path.size() == 1; }

    // A file takes another name, over whatever stands there; two swap theirs; or one gets one more.
    void rename_or_link() {
        std::vector<std::string> files;
        for (const auto& [path, versions] : history_)
            if (is_file_name(path)) files.push_back(path);
        const std::string from = files[random_.below(files.size())], to = files[random_.below(files.size())];
        auto file = history_.at(from).back().state;
        const auto other = history_.at(to).back().state;
        if (from == to || !file || (other && other->print.inode == file->print.inode)) return;
        const auto dice = random_.below(10);
        const auto& before = history_.at(to);
        const bool was_here = std::any_of(before.begin(), before.end(), [&](const Version& version) {
            return version.state && version.state->print.inode == file->print.inode;
        });
        // What is in a directory that is moved keeps its ctime. (That it comes back with it: docs/unfinished.md.)
        if (was_here || random_.chance(0.7)) file->print.ctime_ns = clock_;
        auto left = std::optional<Observed>();
        if (dice < 2 && other) {
            left = other;
            left->print.ctime_ns = clock_;
        } else if (dice < 5) {
            file->print.ctime_ns = clock_;
            file->print.names += 1;
            left = file;
        }
        history_.at(to).push_back({clock_, file});
        history_.at(from).push_back({clock_, left});
        for (const auto& path : {from, to})
            if (random_.chance(0.7)) hints_.paths.push_back({path, random_.chance(0.2)});
    }

    void change() {
        if (random_.chance(0.3)) return rename_or_link();
        auto& [path, versions] =
            *std::next(history_.begin(), static_cast<std::ptrdiff_t>(random_.below(history_.size())));
        Version fresh{clock_, std::nullopt};
        if (random_.chance(0.75)) {
            Observed state;
            const bool link = path == "link";
            const bool directory = path == "folder";
            const bool chmod_only = !link && versions.back().state && random_.chance(directory ? 0.9 : 0.2);
            if (chmod_only) {  // twice, and a directory is as it was: nothing tells that it ever was not
                state = *versions.back().state;
                state.print.mode ^= directory ? 0055 : 0111;  // the owner's bits of a directory come last
            } else if (const auto& old = versions[random_.below(versions.size())].state;
                       (directory || link) && old && random_.chance(0.5)) {  // restored from a backup
                state = *old;
                state.print.inode = ++inode_;
            } else if (directory || link) {
                state.print.kind = directory ? ObjectKind::directory : ObjectKind::symlink;
                state.print.mtime_ns = clock_;
                state.print.inode = ++inode_;
                state.print.mode = directory ? 0755 : 0777;
                if (link) state.link = std::to_string(clock_);
            } else {
                state.print.size = random_.chance(0.2) ? 20'000 : random_.below(3000);
                state.print.mtime_ns = clock_;
                state.print.inode =
                    random_.chance(0.9) ? ++inode_ : 1 + random_.below(inode_ + 1);  // some come back
                state.print.birth_ns = random_.chance(0.9) ? clock_ : 0;
                state.print.names = 1;
                state.print.mode = 0644;
            }
            state.print.ctime_ns = clock_;
            fresh.state = state;
        }
        versions.push_back(fresh);
        if (random_.chance(0.7)) hints_.paths.push_back({path, random_.chance(0.2)});
    }

    void hint() {
        if (random_.chance(0.05)) hints_.lost = "the queue overflowed";
        runner_->hinted(std::exchange(hints_, {}));
    }

    void begin_sweep() {
        static_cast<void>(runner_->begin_sweep(now()));
        Job sweep{Look::sweep, {}, {}, random_.chance(quiet_ ? 1 : 0.8), {}};
        for (const auto& [path, versions] : history_) {
            sweep.paths.push_back(path);
            sweep.recorded[path] =
                state_->object(1, path);  // as a read transaction sees it: stale by the end
        }
        jobs_.push_back(std::move(sweep));
    }

    // One step of one of the eyes: one path of its running job.
    void look() {
        const bool glance = !glances_.empty() && (jobs_.empty() || random_.chance(0.5));
        auto& queue = glance ? glances_ : jobs_;
        if (queue.empty()) return;
        Job& job = queue.front();
        if (!job.paths.empty()) {
            const std::string path = job.paths.front();
            job.paths.pop_front();
            const auto& state = history_.at(path).back().state;
            if (job.look == Look::paths) {
                job.seen.push_back({path, state});
            } else if (job.clean || random_.chance(0.5)) {
                const auto& row = job.recorded.at(path);
                if (difference(row ? &*row : nullptr, state ? &*state : nullptr) != Difference::none)
                    job.seen.push_back({path, state});
            }
            if (job.look == Look::sweep && random_.chance(0.5))
                runner_->found(std::exchange(job.seen, {}));  // handed in by batches
            return;
        }
        Job done = std::move(job);
        queue.pop_front();
        if (done.look == Look::paths) return runner_->looked_up(std::move(done.seen));
        SweepResult result;
        result.clean = done.clean;
        result.problem = done.clean ? "" : "not clean";
        if (done.look == Look::scan) {
            runner_->scanned(std::move(done.seen));
            return runner_->end_scan(result);
        }
        runner_->found(std::move(done.seen));
        runner_->end_sweep(result, now());
    }

    void carry() {
        if (!applied_.empty() && random_.chance(0.3)) return publish();
        if (offered_.empty()) return;
        const auto next =
            std::next(offered_.begin(), static_cast<std::ptrdiff_t>(random_.below(offered_.size())));
        if (next->read.empty()) {  // the source is read long before the target hears of it
            for (const auto& entry : next->manifest.entries)
                next->read.push_back(read(entry));
            return;
        }
        const auto [manifest, read_as] = std::move(*next);
        offered_.erase(next);
        command::BundleEvent event;
        event.id = manifest.id;
        event.generation = manifest.generation;
        event.stage = wire::Stage::published;
        if (!quiet_ && random_.chance(0.05)) {
            event.stage = wire::Stage::failed;
            event.reason = FailReason::limit;
        } else {
            for (std::uint32_t i = 0; i < manifest.entries.size(); ++i) {
                const bool breaks = !quiet_ && random_.chance(0.1);
                const bool lands = !breaks || random_.chance(0.5);  // what fails may be there all the same
                auto reason = lands ? apply(manifest.entries[i], read_as[i]) : FailReason::target_io;
                if (breaks) reason = FailReason::target_io;
                if (reason == FailReason::none) continue;
                ++event.failed_entries;
                if (random_.chance(0.8)) event.failures.push_back({i, reason});  // the list may be short
            }
        }
        applied_.push_back(event);
        if (event.stage == wire::Stage::published && random_.chance(0.5)) {
            event.stage = wire::Stage::durable;
            static_cast<void>(runner_->on_bundle(event, now()));
        } else {
            publish();
        }
    }

    // To this target, what is durable is there; that it is published is heard at some time later.
    void publish() {
        const auto next =
            std::next(applied_.begin(), static_cast<std::ptrdiff_t>(random_.below(applied_.size())));
        const auto event = *next;
        applied_.erase(next);
        done_.push_back(event);
        if (!quiet_ && random_.chance(0.05)) return;  // reported only after the next reconnect or restart
        static_cast<void>(runner_->on_bundle(event, now()));
    }

    FailReason read(const wire::Entry& entry) const {
        const bool reads = entry.kind == EntryKind::file || entry.kind == EntryKind::range ||
                           entry.kind == EntryKind::verify;
        if (!reads) return FailReason::none;
        const auto& state = history_.at(entry.path).back().state;
        if (!state) return FailReason::source_vanished;
        return state->print.ctime_ns == entry.ctime_ns ? FailReason::none : FailReason::source_changed;
    }

    FailReason apply(const wire::Entry& entry, FailReason read_as) {
        if (entry.kind == EntryKind::mark) return FailReason::none;
        if (entry.kind == EntryKind::remove) {
            target_.erase(entry.path);
            return FailReason::none;
        }
        if (entry.kind == EntryKind::assemble) {
            std::uint64_t held = 0;
            for (const auto& [offset, size] : staged_[entry.object])
                held += size;
            if (held != entry.size) return FailReason::staging_missing;
            staged_.erase(entry.object);
            target_[entry.path] = {entry.mtime_ns, entry.mode};
            return FailReason::none;
        }
        if (entry.kind == EntryKind::link) {
            const auto found = target_.find(entry.target);
            if (found == target_.end() || found->second.first != entry.mtime_ns)
                return FailReason::target_link;
            ++links_;
            target_[entry.path] = {entry.mtime_ns, entry.mode};
            return FailReason::none;
        }
        if (entry.kind == EntryKind::metadata) {
            const auto found = target_.find(entry.path);
            if (found == target_.end()) return FailReason::target_io;
            found->second = {entry.mtime_ns, entry.mode};
            // Bytes are named by their mtime here: metadata must never claim bytes that are not there.
            return FailReason::none;
        }
        if (read_as != FailReason::none) return read_as;
        if (entry.kind == EntryKind::verify) {
            const auto found = target_.find(entry.path);
            if (found == target_.end()) return FailReason::target_missing;
            if (found->second.first != entry.mtime_ns) return FailReason::integrity;
            return found->second.second == entry.mode ? FailReason::none : FailReason::other_mode;
        }
        if (entry.kind == EntryKind::range)
            staged_[entry.object][entry.file_offset] = entry.size;
        else
            target_[entry.path] = {entry.mtime_ns, entry.mode};
        return FailReason::none;
    }

    void restart_dataplane() {
        offered_.clear();
        applied_.clear();
        done_.clear();
        reconnect();
    }

    void reconnect() {
        command::StatusReport status;
        for (const auto& offer : offered_)
            status.in_flight.push_back(offer.manifest.id);
        for (const auto& event : applied_)
            status.in_flight.push_back(event.id);
        status.bundles = done_;
        runner_->on_dataplane_up(status, now());
        for (const auto& event : status.bundles)
            static_cast<void>(runner_->on_bundle(event, now()));
    }

    // A new process of control: only SQLite survives. What was not committed is lost with it.
    void boot(bool first) {
        runner_.reset();
        state_.reset();
        jobs_.clear();
        glances_.clear();
        hints_ = {};
        state_ = std::move(StateStore::open(directory_ + "/state.sqlite")).value();
        if (first) {
            DatasetRecord record;
            record.spec.name = "lake";
            record.spec.source = "posix:/nowhere";
            record.spec.target = {"west", "posix:/replica"};
            record.spec.consistency = Consistency::object;
            record.spec.rescan_s = 0.5;
            record.target_store = 7;
            ASSERT_EQ(state_->dataset_add(record), 1);
            state_->commit();
        }
        runner_ = std::make_unique<Runner>(state_->datasets().at(0), *state_, *this, config_, stats_, [this] {
            const std::uint64_t high = ids_.next();
            return wire::BundleId{high, ids_.next()};
        });
        runner_->load(now());
        Flow flow;
        flow.assigned = true;
        flow.link = {"one", 1, "west", true, 1'000'000'000, 1, 0, {}};
        flow.rate_bps = flow.link.rate_bps;
        runner_->set_flow(flow, now());
        reconnect();
    }

    // ---- truth ----
    bool holds(const std::string& path, const std::optional<Observed>& state) const {
        const auto found = target_.find(path);
        if (!state || found == target_.end()) return !state && found == target_.end();
        return found->second == std::pair{state->print.mtime_ns, state->print.mode};
    }

    void judge() {
        judge("W_pub", runner_->record().watermarks.w_pub, highest_pub_);
        judge("W_dur", runner_->record().watermarks.w_dur, highest_dur_);
    }

    // The target holds, of every path, what the source had at the watermark or at some time after it.
    void judge(const char* name, const std::optional<WallNs>& claimed, WallNs& highest) {
        if (!claimed) return;
        ASSERT_GE(*claimed, highest) << "seed " << seed_ << ": " << name << " went back";
        highest = *claimed;
        for (const auto& [path, versions] : history_) {
            bool true_claim = false;
            for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
                true_claim = true_claim || holds(path, version->state);
                if (version->time <= *claimed) break;
            }
            ASSERT_TRUE(true_claim) << "seed " << seed_ << ": " << name << " " << *claimed
                                    << " claims a state of " << path
                                    << " that the target does not have; replay with LONGHAUL_SEED=" << seed_;
        }
    }

    bool settled() {
        const auto claimed = runner_->record().watermarks.w_pub;
        WallNs last_change = 0;
        for (const auto& [path, versions] : history_)
            last_change = std::max(last_change, versions.back().time);
        return claimed && *claimed > last_change && !runner_->busy();
    }

    struct Offered {
        wire::Manifest manifest;
        std::vector<FailReason> read;  // one per entry; empty: the dataplane has not looked at the source yet
    };
    enum class Look { sweep, scan, paths };
    struct Job {
        Look look = Look::sweep;
        std::deque<std::string> paths;
        std::map<std::string, std::optional<ObjectRecord>> recorded;
        bool clean = true;
        std::vector<Observation> seen;
    };

    Random random_;
    Random ids_;  // of bundles, apart: an id more does not change what happens next
    const std::uint64_t seed_;
    std::string directory_;
    CoreConfig config_;
    CoreStats stats_;
    WallNs clock_ = 1'000'000'000'000;
    WallNs highest_pub_ = 0, highest_dur_ = 0;
    bool quiet_ = false;
    std::uint64_t inode_ = 0, links_ = 0;
    std::map<std::string, std::vector<Version>> history_;
    std::map<std::string, std::pair<std::int64_t, std::uint32_t>>
        target_;  // path -> mtime (names the bytes), mode
    std::map<wire::ObjectKey, std::map<std::uint64_t, std::uint64_t>> staged_;
    std::vector<Offered> offered_;
    std::vector<command::BundleEvent> applied_, done_;
    std::deque<Job> jobs_, glances_;  // of either helper
    Hints hints_;
    std::unique_ptr<StateStore> state_;
    std::unique_ptr<Runner> runner_;
};

TEST(History, NoWatermarkClaimsMoreThanTheTargetHolds) {
    const auto [first, last] = test::seeds_to_play(300);
    std::uint64_t links = 0;
    for (std::uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
        CopiesWorld world(seed);
        world.run();
        links += world.links();
    }
    EXPECT_TRUE(links > 0 || first == last);
}

}  // namespace
}  // namespace longhaul::control
