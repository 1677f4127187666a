// One dataset whose source is here: from what sweeps see to bundles, from results to watermarks.
//
// A state machine on the loop's thread. It reads no clock, opens no file and starts no thread: sweeps,
// look-ups and time come in as arguments, bundles leave through Ports. Order of a turn, kept by Core:
//   observe / finish / on_bundle ... -> compose -> StateStore::commit -> flush (offers and acknowledgements)
// so that nothing is offered or acknowledged that a crash could forget.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/capture/sweep.h"
#include "control/dataset/delete_hold.h"
#include "control/dataset/failures.h"
#include "control/dataset/large.h"
#include "control/dataset/pending.h"
#include "control/dataset/release_queue.h"
#include "control/rpo/drain.h"
#include "control/rpo/status.h"
#include "control/rpo/watermarks.h"
#include "control/schedule/schedule.h"
#include "control/state/state_store.h"

namespace longhaul::control {

struct Moment {         // both clocks, read once a turn
    WallNs wall = 0;    // watermarks and views
    TimeNs steady = 0;  // waiting and rates
};

// Everything of a view that does not depend on when it is looked at.
struct RunnerView {
    DatasetView dataset;
    RpoFacts facts;
    std::vector<BundleView> bundles;
    FlowView flow;
};

class Runner {
  public:
    using MakeId = std::function<wire::BundleId()>;  // never twice the same; tests want to know them before

    Runner(DatasetRecord record, StateStore& state, Ports& ports, const CoreConfig& config, CoreStats& stats,
           MakeId make_id = random_bundle_id);
    void load(Moment now);  // what was in flight when the process before this one ended

    const DatasetRecord& record() const { return record_; }
    const DatasetSpec& spec() const { return record_.spec; }
    std::shared_ptr<const Failures> failures() const { return failures_; }

    // -- sweeps and look-ups
    // ------------------------------------------------------------------------------------------
    bool sweep_due(Moment now) const;
    bool sweeping_now() const { return sweeping_; }
    TimeNs next_sweep_at() const { return next_sweep_at_; }
    SweepRequest begin_sweep(Moment now);
    void sweeping(const SweepResult& so_far);             // progress of the running sweep
    void found(std::vector<Observation>&& observations);  // of the running sweep
    void end_sweep(const SweepResult& result, Moment now);
    void rescan_now() { next_sweep_at_ = 0; }
    std::vector<std::string> take_look_ups();  // paths to look at again; empty: none, or some are under way
    void looked_up(std::vector<Observation>&& observations);

    // -- the dataplane
    // ------------------------------------------------------------------------------------------------
    void on_dataplane_up(const command::StatusReport& status, Moment now);
    void on_dataplane_down();
    bool on_bundle(const command::BundleEvent& event, Moment now);  // false: not a bundle of this dataset
    void cancel_all();
    std::uint64_t release_deletes();  // how many were held

    // -- work
    // ---------------------------------------------------------------------------------------------------------
    Demand demand() const;
    void set_flow(const Flow& flow);
    void tick(Moment now);  // retries
    // Takes a bundle's worth of changes and records it. False: nothing can go now.
    bool compose(Moment now);
    void flush(Moment now);  // after the commit
    std::size_t open_bundles() const { return open_.size(); }
    bool owns(const wire::BundleId& id) const { return open_.contains(id); }
    bool wants_target_accepted(Moment now) const { return wants_accept_ && now.steady >= accept_retry_at_; }
    void accept_asked(Moment now) { accept_retry_at_ = now.steady + 60 * kSecond; }
    void target_accepted(const Result<TargetAccepted>& answer, Moment now);
    bool busy() const { return pending_.size() > 0 || !open_.empty(); }

    RunnerView view(Moment now);

  private:
    struct Open {  // a bundle from its record in the state store to its final stage
        wire::Manifest manifest;
        std::vector<EntryNote> notes;
        std::vector<std::uint8_t> head;  // until the dataplane has it
        std::uint8_t link = 0;
        bool accepted = false;
        std::optional<wire::Stage> stage;
        WallNs offered_at = 0;
        bool is_mark() const;
        bool is_range() const;
        bool in_order() const;
    };
    using OpenBundles = std::map<wire::BundleId, Open>;
    // When something was looked at, in sweeps.
    struct Sighting {
        SweepNumber first = 0;  // no clean sweep before this one met it
        SweepNumber seen = 0;   // the last sweep that had begun by then: it still stood there after its start
        std::int64_t changed_by_ns = 0;  // Observation: of the change itself
    };
    struct LateNews {  // seen of a path while a change of it was in flight
        std::optional<Observed> now;
        Sighting when;
    };

    // observe.cc
    void observe(const std::string& path, const std::optional<Observed>& now, Sighting when);
    void desire(std::optional<Pending::Handle> change, const std::string& path, Action action,
                const Observed* now, Sighting when);
    void replace_by_kind(std::optional<Pending::Handle> change, const std::string& path, const Observed& now,
                         ObjectKind was, Sighting when);
    void drop(Pending::Handle change);
    void touch(const std::string& directory, SweepNumber first);
    void look_later(const std::string& path, ObjectKind kind, SweepNumber first);
    void forget_large(const std::string& path);
    Sighting seen_now() const { return {sweeping_ ? record_.sweeps : record_.sweeps + 1, record_.sweeps}; }
    bool needs_second_look(const Change& change) const;

    // compose.cc
    struct Draft;
    std::uint64_t bundle_bound() const;
    bool may_compose() const;
    bool compose_objects(Moment now);
    bool compose_range(Moment now);
    bool compose_mark(Moment now);
    bool fill(Draft& draft, Place place);
    bool remove_may_go(const Change& change) const;
    bool fits(const Draft& draft, const Change& change) const;
    bool becomes_large(Pending::Handle change);
    void add_entry(Draft& draft, const Change& change);
    void seal(Draft&& draft, Moment now);

    // order.cc
    enum class Turn : std::uint8_t { goes, waits, over };
    bool ordered() const { return record_.spec.consistency == Consistency::ordered; }
    void close_epoch();
    void date(Change& change, std::int64_t changed_by_ns, bool same_directory);
    void follow_up(Moment now);
    void requeue(Pending::Handle change);
    bool compose_in_order(Moment now);
    Turn turn_of(const Release& next, Pending::Handle change);
    bool take_in_order(Draft& draft, Pending::Handle change);
    bool order_broken_by(const Open& bundle, const command::BundleEvent& event) const;
    static bool sent_back(const Open& bundle, const command::BundleEvent& event);
    void begin_run(Moment now);
    void doubt_directory(const std::string& path);
    static void load_order_of(Change& change, const Open& bundle, std::size_t index);

    // results.cc
    void on_durable(Open& bundle, Moment now);
    void finish(OpenBundles::iterator bundle, const command::BundleEvent& event, Moment now);
    void finish_mark(const Open& bundle, bool published, Moment now);
    void finish_range(const wire::Entry& entry, wire::FailReason reason, Moment now);
    void finish_entry(const Open& bundle, std::size_t index, wire::FailReason reason, Moment now);
    void succeeded(Pending::Handle change);
    void failed(Pending::Handle change, wire::FailReason reason, Moment now);
    void count_published(const std::optional<ObjectRecord>& before, const Fingerprint* after);
    void hear_late_news(const std::string& path);
    void give_back(OpenBundles::iterator bundle);
    void load_entry(const Open& bundle, std::size_t index);
    void load_range(const wire::Entry& entry);
    void assemble_if_complete(const std::string& path);
    void advance_watermarks();

    bool mark_wanted() const;
    std::string obstacle() const;
    std::string limited_by() const;

    DatasetRecord record_;
    StateStore& state_;
    Ports& ports_;
    const CoreConfig& config_;
    CoreStats& stats_;
    const MakeId make_id_;
    std::shared_ptr<Failures> failures_;

    SweepLedger ledger_;
    Pending pending_{ledger_};
    std::unordered_map<std::string, LateNews> news_;
    std::map<std::string, Large> larges_;
    std::uint64_t large_durable_bytes_ = 0;
    OpenBundles open_;
    std::vector<wire::BundleId> to_offer_, to_ack_;
    ReleaseQueue queue_;  // ordered: what may leave, in its order
    bool held_ = false;   // ordered: something waits for a later epoch
    TimeNs run_hold_ = 0, run_hold_until_ = 0;
    std::unordered_set<std::string> look_ups_;
    bool looking_up_ = false;
    Sighting looking_up_since_;

    bool sweeping_ = false;
    bool sweep_void_ = false;  // it compares with what has been forgotten since it began
    WallNs sweep_started_ = 0;
    TimeNs sweep_started_steady_ = 0, sweep_ended_steady_ = 0;
    TimeNs next_sweep_at_ = 0;
    double sweep_took_s_ = 0;
    std::uint64_t sweeps_done_ = 0;
    std::uint64_t objects_found_ = 0, bytes_found_ = 0;  // by the running sweep
    bool source_readable_ = true;
    std::string source_problem_;
    std::set<std::string> unsupported_said_;

    PublishedTotals published_;
    bool connected_ = false;
    bool store_open_ = false;
    TimeNs store_retry_at_ = 0;
    std::string store_problem_, offer_problem_, target_problem_;
    TimeNs offer_retry_at_ = 0;  // the dataplane has enough for now, or could not take the last offer
    bool wants_accept_ = false;
    Flow flow_;
    std::size_t entries_cap_;  // shrinks when failures did not fit their list
    bool range_next_ = false;  // large and small take turns
    std::uint64_t bytes_open_ = 0;

    std::optional<WallNs> mark_sent_;  // highest watermark on its way or proven
    std::size_t marks_open_ = 0;
    TimeNs mark_retry_at_ = 0;
    std::optional<WallNs> moved_at_;  // the target's last sign of progress, or when work began to wait
    bool work_waits_ = false;
    TimeNs accept_retry_at_ = 0;
    DrainMeter drain_;
    DeleteHold delete_hold_;
    TimeNs turn_at_ = 0;  // of the last tick
};

}  // namespace longhaul::control
