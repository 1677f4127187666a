// Property: under consistency `ordered` a reader at the target never sees a change without those before it.
//
// The real Runner and the real PublishOrder around models of a source tree (stamped by a coarse clock, swept while it
// changes), of both dataplanes (bundles overtake each other, are staged, applied entry by entry behind the door of
// drivers/storage) and of every restart. After every entry that becomes visible the promises of
// control/publish/README.md are checked. Replay: LONGHAUL_SEED=<seed>; a range: LONGHAUL_SEEDS=<count>.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>

#include "control/dataset/runner.h"
#include "control/publish/publish_order.h"
#include "dataplane/base/random.h"
#include "tests/unit/control_core/ordered_source.h"
#include "tests/unit/control_core/seeds.h"

namespace longhaul::control {
namespace {

namespace fs = std::filesystem;
using command::OrderEvent;
using command::OrderState;
using test::kTick;
using test::OrderedSource;
using test::Past;
using wire::EntryKind;
using wire::FailReason;

class OrderedWorld final : public Ports {
  public:
    explicit OrderedWorld(std::uint64_t seed) : random_(seed), ids_(~seed), seed_(seed) {
        const fs::path memory = "/dev/shm";
        const fs::path above = access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
        std::string pattern = above.string() + "/longhaul-ordered-XXXXXX";
        directory_ = mkdtemp(pattern.data());
        config_.bundle_bytes_max = 1 << 20;
        config_.bundle_entries_max = 3;
        if (seed % 3 == 0) config_.changes_bytes_max = 4000 + seed % 7 * 1000;  // room for a dozen changes
        boot(true);
    }
    ~OrderedWorld() override {
        runner_.reset();
        state_.reset();
        fs::remove_all(directory_);
    }

    void run() {
        for (int step = 0; step < 1200 && !::testing::Test::HasFailure(); ++step)
            act();
        quiet_ = true;
        restart_source_dataplane();  // what was never reported is sent again
        for (int step = 0; step < 6000 && !settled(); ++step)
            act();
        EXPECT_TRUE(settled()) << "seed " << seed_
                               << " does not come to rest: " << runner_->view(now()).dataset.rpo.limited_by;
        for (const auto& [path, past] : history_)
            EXPECT_EQ(shown(path), past.back().version)
                << "seed " << seed_ << ": " << path << " differs in the end";
        EXPECT_EQ(violations_, 0u) << "seed " << seed_ << ": the door had to refuse a publication";
    }
    std::uint64_t shown_changes() const { return shown_changes_; }
    std::uint64_t links_shown() const { return links_shown_; }
    std::uint64_t links_refused() const { return links_refused_; }

  private:
    // ---- Ports of the source's control ----
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
        std::erase_if(waiting_results_, [&](const auto& waiting) { return waiting == id; });
        return {};
    }
    Result<void> bundle_ack(const std::vector<wire::BundleId>& ids) override {
        for (const auto& id : ids)
            std::erase_if(done_, [&](const auto& event) { return event.id == id; });
        return {};
    }
    Result<void> order_settle(std::uint8_t, const wire::BundleId&, std::uint32_t, bool) override {
        return Error{ErrorCode::not_found, "the source has no staging"};
    }
    Result<TargetAccepted> target_accept(const DatasetSpec&) override { return TargetAccepted{7}; }
    Result<void> target_release(const std::string&, const std::string&, std::uint64_t) override { return {}; }
    std::vector<LinkChoice> links_to(const std::string&) override { return {}; }

    // ---- what may happen ----
    Moment now() const { return {clock_, static_cast<TimeNs>(clock_)}; }

    void act() {
        clock_ += static_cast<WallNs>(1 + random_.below(8'000'000));
        if (quiet_) clock_ += 20'000'000;
        const auto dice = random_.below(1000);
        if (dice < 200 && !quiet_) {
            source_.change();
        } else if (dice < 260) {
            if (!sweep_ && runner_->sweep_due(now())) begin_sweep();
        } else if (dice < 500) {
            sweep_on();
        } else if (dice < 560) {
            look();
        } else if (dice < 760) {
            carry();
        } else if (dice < 960) {
            apply_one();
        } else if (dice < 970 && !quiet_) {
            restart_source_dataplane();
        } else if (dice < 978 && !quiet_) {
            boot(false);
        } else if (dice < 986 && !quiet_) {
            restart_session();
        } else if (dice < 994) {
            order_ = PublishOrder();
            for (auto& [id, staged] : staged_)
                tell(staged.event);
        }
        turn();
        judge();
    }

    void turn() {
        runner_->tick(now());
        if (auto paths = runner_->take_look_ups(); !paths.empty()) look_ups_ = std::move(paths);
        state_->commit();
        for (int i = 0; i < 4 && runner_->compose(now()); ++i) {
        }
        state_->commit();
        runner_->flush(now());
        order_.step(static_cast<TimeNs>(clock_),
                    [this](const OrderEvent& event, bool publish) -> Result<void> {
                        const auto found = staged_.find(event.id);
                        if (found == staged_.end()) return Error{ErrorCode::not_found, "gone"};
                        if (publish) {
                            found->second.event.state = OrderState::publishing;
                            return {};
                        }
                        report(event.id, wire::Stage::failed, FailReason::superseded, {});
                        staged_.erase(found);
                        return {};
                    });
    }

    // ---- sweeps, as control/capture/sweep.cc walks ----
    struct Frame {
        std::vector<std::pair<std::string, OrderedSource::Node>> entries;
        std::int64_t appeared_by = 0;
        std::size_t next = 0;
    };
    struct Sweep {
        std::vector<Frame> stack;
        std::map<std::string, ObjectRecord> rows;  // by key; those not met yet
        std::vector<Observation> batch;
        std::vector<std::pair<std::string, std::int64_t>> racy;
        bool clean = true, walked = false;
    };

    void list(const std::string& directory, std::int64_t appeared_by) {
        Frame frame;
        frame.appeared_by = appeared_by;
        for (const auto& [path, node] : tree_)
            if (parent_of(path) == directory) frame.entries.emplace_back(path, node);
        sweep_->stack.push_back(std::move(frame));
    }

    void begin_sweep() {
        static_cast<void>(runner_->begin_sweep(now()));
        state_->commit();
        sweep_.emplace(Sweep{});
        sweep_->clean = quiet_ || random_.chance(0.9);
        auto cursor = std::move(ObjectCursor::open(directory_ + "/state.sqlite", 1)).value();
        cursor->restart({}, {});
        for (; cursor->valid(); cursor->next())
            sweep_->rows[std::string(cursor->key())] = cursor->record();
        clock_ += static_cast<WallNs>(random_.below(3'000'000));
        list("", 0);
    }

    void gone_until(const std::string* key) {
        auto& rows = sweep_->rows;
        while (!rows.empty() && (key == nullptr || rows.begin()->first < *key)) {
            sweep_->batch.push_back({path_of_key(rows.begin()->first), std::nullopt, clock_});
            rows.erase(rows.begin());
        }
    }

    void visit() {
        Frame& frame = sweep_->stack.back();
        if (frame.next == frame.entries.size()) {
            sweep_->stack.pop_back();
            return;
        }
        const auto [path, node] = frame.entries[frame.next++];
        const std::int64_t appeared_by = frame.appeared_by;
        const std::string key = key_of_path(path);
        gone_until(&key);
        const auto row = sweep_->rows.find(key);
        const bool known = row != sweep_->rows.end();
        const Observed seen = source_.observed(node);
        const bool renamed = seen.renamed_directory();
        const std::int64_t changed_by = std::max(appeared_by, seen.changed_by_ns());
        const bool stood_here = known && row->second.published && row->second.print.kind == seen.print.kind &&
                                row->second.print.inode == node.inode;
        if (difference(known ? &row->second : nullptr, &seen) != Difference::none) {
            if (seen.racy)
                sweep_->racy.emplace_back(path, changed_by);
            else
                sweep_->batch.push_back({path, seen, changed_by});
        }
        if (known) sweep_->rows.erase(row);
        if (!node.directory) return;
        if (source_.directory_stands(path)) {
            list(path, !stood_here && renamed ? changed_by : appeared_by);
        } else {  // vanished since: what is beneath it is left out
            const std::string below = key + '\0';
            const auto unseen = std::erase_if(
                sweep_->rows, [&](const auto& entry) { return entry.first.starts_with(below); });
            if (unseen > 0) sweep_->batch.push_back({path, std::nullopt, clock_, true});
        }
    }

    void sweep_on() {
        if (!sweep_) return;
        for (std::uint64_t i = 0, count = 1 + random_.below(4); i < count && !sweep_->stack.empty(); ++i) {
            visit();
            clock_ += static_cast<WallNs>(random_.below(2'000'000));
        }
        const bool over = sweep_->stack.empty();
        if (over && !sweep_->walked) {
            gone_until(nullptr);
            sweep_->walked = true;
            if (!sweep_->racy.empty()) clock_ += kRacyNs;
        } else if (over) {
            for (const auto& [path, changed_by] : sweep_->racy) {
                const auto found = tree_.find(path);
                if (found == tree_.end())
                    sweep_->batch.push_back({path, std::nullopt, clock_});
                else
                    sweep_->batch.push_back(
                        {path, source_.observed(found->second), std::max(changed_by, found->second.ctime)});
            }
        }
        if (over || random_.chance(0.5)) runner_->found(std::exchange(sweep_->batch, {}));
        if (!over || (!sweep_->racy.empty() && !std::exchange(racy_done_, true))) return;
        racy_done_ = false;
        SweepResult result;
        result.clean = sweep_->clean;
        sweep_.reset();
        runner_->end_sweep(result, now());
    }

    void look() {
        if (look_ups_.empty()) return;
        std::vector<Observation> seen;
        for (const auto& path : std::exchange(look_ups_, {})) {
            const auto found = tree_.find(path);
            std::optional<Observed> state;
            if (found != tree_.end()) state = source_.observed(found->second);
            seen.push_back({path, state, state ? state->changed_by_ns() : clock_});
        }
        runner_->looked_up(std::move(seen));
    }

    // ---- the dataplanes ----
    struct Offered {
        wire::Manifest manifest;
        std::vector<FailReason> read;
    };
    struct Staged {
        Offered bundle;
        OrderEvent event;
        std::size_t next = 0;
        bool stopped = false;
        std::vector<wire::EntryFailure> failures;
    };

    void carry() {
        if (offered_.empty()) return;
        const auto next =
            std::next(offered_.begin(), static_cast<std::ptrdiff_t>(random_.below(offered_.size())));
        if (next->read.empty()) {
            for (const auto& entry : next->manifest.entries)
                next->read.push_back(read(entry));
            return;
        }
        Offered bundle = std::move(*next);
        offered_.erase(next);
        waiting_results_.push_back(bundle.manifest.id);
        const auto id = bundle.manifest.id;
        if (!quiet_ && random_.chance(0.02)) return report(id, wire::Stage::failed, FailReason::limit, {});
        if (bundle.manifest.publish ==
            wire::PublishRule::when_durable) {  // a mark, or read back and the same
            const EntryKind kind = bundle.manifest.entries[0].kind;
            EXPECT_TRUE(kind == EntryKind::mark || kind == EntryKind::verify);
            return report(id, wire::Stage::published, FailReason::none, {});
        }
        Staged staged;
        staged.event.id = id;
        staged.event.store = 7;
        staged.event.generation = bundle.manifest.generation;
        staged.event.place = bundle.manifest.place;
        staged.bundle = std::move(bundle);
        staged_[id] = std::move(staged);
        tell(staged_[id].event);
    }

    void tell(OrderEvent& event) {
        event.position = door_;
        order_.on_event(event, static_cast<TimeNs>(clock_));
    }

    FailReason read(const wire::Entry& entry) {
        if (entry.kind != EntryKind::file) return FailReason::none;
        if (!quiet_ && random_.chance(0.02)) return FailReason::source_io;
        const auto found = tree_.find(entry.path);
        if (found == tree_.end() || found->second.directory) return FailReason::source_vanished;
        const bool same = found->second.version == entry.mtime_ns && found->second.ctime == entry.ctime_ns;
        return same ? FailReason::none : FailReason::source_changed;
    }

    // One entry of what is publishing; at the end the door, and the report.
    void apply_one() {
        const auto found = std::find_if(staged_.begin(), staged_.end(), [](const auto& entry) {
            return entry.second.event.state == OrderState::publishing;
        });
        if (found == staged_.end()) return;
        Staged& staged = found->second;
        const auto& entries = staged.bundle.manifest.entries;
        if (staged.next == 0 && !wire::follows(staged.event.place, door_)) {
            ++violations_;
            report(staged.event.id, wire::Stage::failed, FailReason::superseded, {});
            return end(found, OrderState::refused);
        }
        if (staged.next < entries.size()) {
            const std::size_t i = staged.next++;
            auto reason = staged.stopped ? FailReason::cancelled : staged.bundle.read[i];
            if (reason == FailReason::none && !quiet_ && random_.chance(0.02)) reason = FailReason::target_io;
            if (reason == FailReason::none) reason = apply(entries[i]);
            if (reason == FailReason::none) return;
            staged.failures.push_back({static_cast<std::uint32_t>(i), reason});
            const bool passed = reason == FailReason::source_changed ||
                                reason == FailReason::source_vanished || entries[i].kind == EntryKind::remove;
            staged.stopped = staged.stopped || !passed;
            return;
        }
        if (!staged.stopped) door_ = staged.event.place;
        report(staged.event.id, wire::Stage::published, FailReason::none, staged.failures);
        end(found, staged.stopped ? OrderState::failed : OrderState::published);
    }

    void end(std::map<wire::BundleId, Staged>::iterator staged, OrderState state) {
        staged->second.event.state = state;
        OrderEvent event = staged->second.event;
        staged_.erase(staged);
        tell(event);
    }

    FailReason apply(const wire::Entry& entry) {
        const std::string parent(parent_of(entry.path));
        if (entry.kind == EntryKind::remove) {
            const std::string below = entry.path + "/";
            const auto child = target_.lower_bound(below);
            if (child != target_.end() && child->first.starts_with(below)) return FailReason::target_occupied;
            target_.erase(entry.path);
            ++shown_changes_;
            return FailReason::none;
        }
        for (std::string above = parent; !above.empty(); above = parent_of(above))
            if (shown(above) > 1) return FailReason::target_path;
        for (std::string above = parent; !above.empty(); above = parent_of(above))
            target_.try_emplace(above, 1);  // as the target tree does
        const auto beneath = target_.lower_bound(entry.path + "/");
        const bool full = beneath != target_.end() && beneath->first.starts_with(entry.path + "/");
        if (full && entry.kind != EntryKind::directory) return FailReason::target_occupied;
        if (entry.kind == EntryKind::directory) {
            target_[entry.path] = 1;                 // also where a file stood
        } else if (entry.kind == EntryKind::link) {  // the target checks whose name it gives
            if (shown(entry.target) != entry.mtime_ns) {
                ++links_refused_;
                return FailReason::target_link;
            }
            target_[entry.path] = entry.mtime_ns;
            ++links_shown_;
        } else {
            EXPECT_TRUE(entry.kind == EntryKind::file || entry.kind == EntryKind::metadata);
            target_[entry.path] = entry.mtime_ns;
        }
        ++shown_changes_;
        return FailReason::none;
    }

    // To the source, if it still knows the bundle.
    void report(const wire::BundleId& id, wire::Stage stage, FailReason reason,
                std::vector<wire::EntryFailure> failures) {
        if (std::erase(waiting_results_, id) == 0) return;
        command::BundleEvent event;
        event.id = id;
        event.generation = 1;
        event.stage = stage;
        event.reason = reason;
        event.failed_entries = static_cast<std::uint32_t>(failures.size());
        event.failures = std::move(failures);
        done_.push_back(event);
        if (!quiet_ && random_.chance(0.05)) return;  // heard only after the next reconnect
        static_cast<void>(runner_->on_bundle(event, now()));
    }

    // ---- restarts ----
    void
    restart_source_dataplane() {  // what it had sent may still be staged, and be published, at the target
        offered_.clear();
        waiting_results_.clear();
        done_.clear();
        reconnect();
    }

    // The link's session, or the target's dataplane: staging is gone, what was not answered is sent again.
    void restart_session() {
        for (auto next = staged_.begin(); next != staged_.end();) {
            const auto staged = next++;
            if (std::erase(waiting_results_, staged->first) > 0)
                offered_.push_back({staged->second.bundle.manifest, {}});
            end(staged, OrderState::gone);
        }
    }

    void reconnect() {
        command::StatusReport status;
        for (const auto& offer : offered_)
            status.in_flight.push_back(offer.manifest.id);
        status.in_flight.insert(status.in_flight.end(), waiting_results_.begin(), waiting_results_.end());
        status.bundles = done_;
        runner_->on_dataplane_up(status, now());
        for (const auto& event : status.bundles)
            static_cast<void>(runner_->on_bundle(event, now()));
    }

    void boot(bool first) {
        runner_.reset();
        state_.reset();
        sweep_.reset();
        racy_done_ = false;
        look_ups_.clear();
        state_ = std::move(StateStore::open(directory_ + "/state.sqlite")).value();
        if (first) {
            DatasetRecord record;
            record.spec.name = "lake";
            record.spec.source = "posix:/nowhere";
            record.spec.target = {"west", "posix:/replica"};
            record.spec.consistency = Consistency::ordered;
            record.spec.rescan_s = 0.3;
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
        flow.link = {"one", 1, "west", true, 1'000'000'000};
        flow.rate_bps = flow.link.rate_bps;
        runner_->set_flow(flow, now(), 1);
        reconnect();
    }

    // ---- truth ----
    std::int64_t shown(const std::string& path) const {
        const auto found = target_.find(path);
        return found == target_.end() ? 0 : found->second;
    }

    void judge() {
        judge_order();
        judge_watermark();
    }

    // The latest time of a change that gives itself away at the target: of the version that is shown, or of the removal
    // of what was shown before.
    void judge_order() {
        WallNs latest = 0;
        std::string by;
        for (const auto& [path, past] : history_) {
            const std::int64_t version = shown(path);
            auto& seen = seen_[path];  // index into `past` of what was shown last
            std::size_t index = seen;
            if (version != 0) {
                while (index < past.size() && past[index].version != version)
                    ++index;
                ASSERT_LT(index, past.size()) << "seed " << seed_ << ": " << path << " went back in time";
                seen = index;
            } else if (path == OrderedSource::kOfAnyKind) {
                continue;  // what stood there had to go before what stands there now
            } else if (past[seen].version !=
                       0) {  // shown before, gone now: at the first removal since, at the earliest
                while (index < past.size() && past[index].version != 0)
                    ++index;
                ASSERT_LT(index, past.size())
                    << "seed " << seed_ << ": " << path << " vanished, the source has it";
                seen = index;
            }
            WallNs tells = past[seen].tells;
            if (version == 1)  // one directory looks like another of the same name
                for (std::size_t i = seen; i < past.size(); ++i)
                    if (past[i].version == 1) tells = std::min(tells, past[i].tells);
            if (tells > latest) latest = tells, by = path;
        }
        for (const auto& [path, past] : history_) {
            const Past& last = past.back();
            if (last.time >= latest || last.version == 0 || OrderedSource::may_come_late(path)) continue;
            ASSERT_EQ(shown(path), last.version)
                << "seed " << seed_ << ": " << by << " shows a change of " << latest << ", " << path << " of "
                << last.time << " is missing; replay with LONGHAUL_SEED=" << seed_;
        }
    }

    void judge_watermark() {
        const auto claimed = runner_->record().watermarks.w_pub;
        if (!claimed) return;
        ASSERT_GE(*claimed, highest_pub_) << "seed " << seed_;
        highest_pub_ = *claimed;
        for (const auto& [path, past] : history_) {
            bool true_claim = path == OrderedSource::kOfAnyKind && shown(path) == 0;
            for (auto version = past.rbegin(); version != past.rend(); ++version) {
                true_claim = true_claim || shown(path) == version->version;
                if (version->time <= *claimed - kTick) break;
            }
            ASSERT_TRUE(true_claim) << "seed " << seed_ << ": W_pub claims a state of " << path;
        }
    }

    bool settled() {
        const auto claimed = runner_->record().watermarks.w_pub;
        WallNs last_change = 0;
        for (const auto& [path, past] : history_)
            last_change = std::max(last_change, past.back().time);
        return claimed && *claimed > last_change && !runner_->busy();
    }

    Random random_;
    Random ids_;
    const std::uint64_t seed_;
    std::string directory_;
    CoreConfig config_;
    CoreStats stats_;
    WallNs clock_ = 1'000'000'000'000;
    WallNs highest_pub_ = 0;
    bool quiet_ = false, racy_done_ = false;
    std::uint64_t shown_changes_ = 0, violations_ = 0, links_shown_ = 0, links_refused_ = 0;
    OrderedSource source_{random_, clock_};
    std::map<std::string, OrderedSource::Node>& tree_ = source_.tree;
    std::map<std::string, std::vector<Past>>& history_ = source_.history;
    std::map<std::string, std::size_t> seen_;
    std::map<std::string, std::int64_t> target_;
    std::vector<Offered> offered_;
    std::vector<wire::BundleId> waiting_results_;
    std::vector<command::BundleEvent> done_;
    std::map<wire::BundleId, Staged> staged_;
    wire::OrderPlace door_;
    PublishOrder order_;
    std::vector<std::string> look_ups_;
    std::optional<Sweep> sweep_;
    std::unique_ptr<StateStore> state_;
    std::unique_ptr<Runner> runner_;
};

TEST(OrderedHistory, AReaderSeesNoChangeWithoutThoseBeforeIt) {
    const auto [first, last] = test::seeds_to_play(200);
    std::uint64_t shown = 0, links = 0, refused = 0;
    for (std::uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
        OrderedWorld world(seed);
        world.run();
        shown += world.shown_changes();
        links += world.links_shown();
        refused += world.links_refused();
    }
    EXPECT_GT(shown, (last - first + 1) * 20) << "histories in which little becomes visible prove little";
    EXPECT_GT(links, last - first + 1) << "renames and hard links have to travel as names";
    // Of what was on its way, and was passed over because the source had changed it meanwhile.
    EXPECT_LT(refused * 2, links) << "names that the target had to refuse cost a run each";
    RecordProperty("links", std::to_string(links) + " shown, " + std::to_string(refused) + " refused");
}

// When it was read: it was back, as it was, when a sweep looked. Its directory had been renamed.
TEST(OrderedHistory, OfAFileThatWasAwayForAMoment) {
    OrderedWorld(2232).run();
}

}  // namespace
}  // namespace longhaul::control
