// One dataset whose source is here: from what sweeps see to bundles, from results to watermarks.
//
// A state machine on the loop's thread. It reads no clock, opens no file and starts no thread: sweeps,
// look-ups and time come in as arguments, bundles leave through Ports. Order of a turn, kept by Core:
//   observe / finish / on_bundle ... -> compose -> StateStore::commit -> flush (offers and acknowledgements)
// so that nothing is offered or acknowledged that a crash could forget.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "control/capture/hints.h"
#include "control/capture/sweep.h"
#include "control/dataset/crossings.h"
#include "control/dataset/delete_hold.h"
#include "control/dataset/failures.h"
#include "control/dataset/large.h"
#include "control/dataset/overflow.h"
#include "control/dataset/pending.h"
#include "control/dataset/read_back.h"
#include "control/dataset/release_queue.h"
#include "control/dataset/verification.h"
#include "control/rpo/activity.h"
#include "control/rpo/drain.h"
#include "control/rpo/status.h"
#include "control/rpo/watermarks.h"
#include "control/schedule/pace.h"
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
    void set_policy(const DatasetSpec& spec);  // floor, cap and weight of it
    std::shared_ptr<const Failures> failures() const { return failures_; }

    // -- sweeps and look-ups
    // ------------------------------------------------------------------------------------------
    bool sweep_due(Moment now) const;
    bool sweeping_now() const { return sweeping_; }
    TimeNs next_sweep_at() const;  // of the steady clock; 0: now
    SweepRequest begin_sweep(Moment now);
    void sweeping(const SweepResult& so_far);             // progress of the running sweep
    bool wants_more() const;                              // false: whoever sweeps should wait
    void found(std::vector<Observation>&& observations);  // of the running sweep
    void end_sweep(const SweepResult& result, Moment now);
    void rescan_now() { next_sweep_at_ = 0; }
    std::vector<std::string> take_look_ups();  // paths to look at again; empty: none, or some are under way
    void looked_up(std::vector<Observation>&& observations);

    // -- hints (hinted.cc)
    // ----------------------------------------------------------------------------------------------------
    bool wants_hints() const;  // false: as many as it can look at are there already
    void hinted(Hints&& hints);
    std::optional<SweepRequest> take_scan();  // a directory to be swept beneath; none while one is under way
    void scanned(std::vector<Observation>&& observations);  // by that scan
    void end_scan(const SweepResult& result);

    // -- the dataplane
    // ------------------------------------------------------------------------------------------------
    void on_dataplane_up(const command::StatusReport& status, Moment now);
    void on_dataplane_down();
    bool on_bundle(const command::BundleEvent& event, Moment now);  // false: not a bundle of this dataset
    void leave();                                                   // its dataset is removed
    std::uint64_t release_deletes();                                // how many were held
    void verify_start(Moment now);                                  // unless it runs already

    // -- work
    // ---------------------------------------------------------------------------------------------------------
    Demand demand(Moment now);
    void set_flow(const Flow& flow, Moment now, std::uint64_t turn = 0);
    bool active() const { return busy() || mark_wanted(); }
    const Flow& flow() const { return flow_; }
    std::string link_name() const { return flow_.assigned ? flow_.link.name : std::string(); }
    double change_bps(Moment now);  // of the source: as expected, or as fast as it lately was sent
    bool woken() const { return active() && flow_.reason == FlowReason::idle; }  // since the last turn
    // Open bundles leave links that do not answer for the flow's link, under a higher generation.
    void move_stranded(const std::vector<LinkChoice>& links);
    void set_link(const std::string& link);  // the operator's wish
    void tick(Moment now);                   // retries
    // Takes a bundle's worth of changes and records it. False: nothing can go now.
    bool compose(Moment now);
    void flush(Moment now);  // after the commit
    std::size_t open_bundles() const { return open_.size(); }
    bool owns(const wire::BundleId& id) const { return open_.contains(id); }
    bool wants_target_accepted(Moment now) const { return wants_accept_ && now.steady >= accept_retry_at_; }
    void accept_asked(Moment now) { accept_retry_at_ = now.steady + 60 * kSecond; }
    void target_accepted(const Result<TargetAccepted>& answer, Moment now);
    // What the target's control says it holds. Not empty: news for the operator.
    std::optional<std::string> target_claims(const std::optional<PeerReport::Claim>& claim, WallNs asked);
    std::vector<Event> take_notices() { return std::exchange(notices_, {}); }
    bool busy() const { return pending_.size() > 0 || open_.size() > verifying_.size(); }

    RunnerView view(Moment now);
    ChangeCounts
    take_published_counts();  // since the last call; what was there before the first proof is left out

  private:
    static constexpr std::size_t kLookUpsMax = 4096;  // at a time
    static constexpr TimeNs kStoreIdle = kSecond;
    static constexpr TimeNs kWantedSweepGap = kSecond;  // after a sweep, before the next one that is wanted
    struct Open {  // a bundle from its record in the state store to its final stage
        wire::Manifest manifest;
        std::vector<EntryNote> notes;
        std::vector<std::uint8_t> head;  // until the dataplane has it
        std::uint8_t link = 0;
        bool accepted = false;
        bool moving = false;      // to be offered with a generation that the dataplane may not know
        std::uint64_t order = 0;  // of composing
        std::optional<wire::Stage> stage;
        WallNs offered_at = 0;
        bool is_mark() const;
        bool is_range() const;
        bool is_verify() const;
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
    // `promised`: it is taken in even if there is no room, as an epoch may count on it.
    void observe(const std::string& path, const std::optional<Observed>& now, Sighting when,
                 bool promised = false);
    Pending::Handle desire(std::optional<Pending::Handle> change, const std::string& path, Action action,
                           const Observed* now, Sighting when);
    void replace_by_kind(std::optional<Pending::Handle> change, const std::string& path, const Observed& now,
                         ObjectKind was, Sighting when);
    void drop(Pending::Handle change);
    void not_looked_into(const std::string& directory);
    SweepNumber first_possible(const std::string& path, SweepNumber first) const;
    void all_looked_into();
    // `published`: it certainly is, and nobody needs to look.
    void touch(const std::string& directory, SweepNumber first, bool published = false);
    Pending::Handle look_later(const std::string& path, ObjectKind kind, SweepNumber first);
    void forget_large(const std::string& path);
    Sighting seen_now() const { return {sweeping_ ? record_.sweeps : record_.sweeps + 1, record_.sweeps}; }
    bool needs_second_look(const Change& change) const;

    // hinted.cc
    void sweep_soon();
    void look_soon(const std::string& path);
    void scan_soon(const std::string& path);
    bool scan_instead(const Observation& seen);
    // A sweep has begun since: what was seen before its start must not undo what it has seen after.
    bool outdated(const Sighting& since) const { return since.seen != record_.sweeps; }

    // compose.cc
    struct Draft;
    std::uint64_t bundle_bound() const;
    std::uint64_t open_bound() const;
    bool may_compose() const;
    bool compose_objects(Moment now);
    bool compose_range(Moment now);
    bool compose_mark(Moment now);
    bool fill(Draft& draft, Place place);
    bool remove_may_go(const Change& change) const;
    bool fits(const Draft& draft, const Change& change) const;
    bool travels_in_ranges(const Change& change) const;
    bool becomes_large(Pending::Handle change);
    void begin_large(const Change& change, Large& large);
    void load_durable(const std::string& path, Large& large);
    bool add_range(Draft& draft, const Change& change, Large& large);
    void add_entry(Draft& draft, const Change& change);
    void remember(const Open& bundle);
    wire::BundleId seal(Draft&& draft, Moment now);

    // same_file.cc
    bool may_link(const Change& change) const;
    std::optional<std::string> same_file_in_the_way(const Change& change);
    std::vector<std::string> names_at_target(const Fingerprint& print);
    void choose_name(Change& change);
    bool is_moved(const std::string& path) const;
    void find_moved(const Fingerprint& now);
    void send_bytes_instead(Pending::Handle change);

    // order.cc
    enum class Turn : std::uint8_t { goes, waits, over };
    bool ordered() const { return record_.spec.consistency == Consistency::ordered; }
    void close_epoch();
    void date(Change& change, std::int64_t changed_by_ns, bool same_directory);
    void follow_up(Moment now);
    TimeNs pause_between_sweeps() const;
    bool has_work_for_long() const;
    void requeue(Pending::Handle change);
    bool compose_in_order(Moment now);
    Turn turn_of(const Release& next, Pending::Handle change);
    bool take_in_order(Draft& draft, Pending::Handle change);
    bool name_is_taken(const std::string& path);
    Pending::Handle first_of_its_tick(Pending::Handle change);
    bool order_broken_by(const Open& bundle, const command::BundleEvent& event) const;
    static bool sent_back(const Open& bundle, const command::BundleEvent& event);
    void begin_run(Moment now);
    void doubt_removed(const std::string& path);
    void know_parents(Draft& draft, const Change& change);
    void load_order_of(Change& change, const Open& bundle, std::size_t index);

    // overflow.cc
    static constexpr TimeNs kFollowUpMin =
        100 * kMillisecond;  // between two sweeps that the source did not ask for
    bool memory_above(std::uint64_t bytes) const;
    bool forgotten_may_return() const;
    bool has_room_for(const std::string& path, bool removal, std::int64_t changed_by_ns,
                      const std::optional<Pending::Handle>& change);
    std::vector<Pending::Handle> dispensable(bool only_removals);
    bool make_room_for(const std::string& path, bool removal, std::int64_t changed_by_ns);
    void let_go(Pending::Handle change);
    void forget(const Forgotten& change, const std::string& path);
    void forgotten_found();
    void sweep_for_forgotten(Moment now);

    // verify.cc
    struct Comparing {
        std::vector<Verification::Stretch> stretches;
        bool read_back = false;  // nobody has asked
    };
    bool verify_earned() const;
    bool may_compare(std::size_t bundles_max, Moment now) const;
    bool compose_verify(Moment now);
    std::vector<PublishedObject> objects_to_compare(const std::string& from_key, std::size_t most);
    bool compares_names() const;
    bool names_may_differ(const std::string& directory);
    bool compose_read_back(Moment now);
    void compare(Comparing&& comparing, Moment now);
    std::optional<PublishedObject> to_read_back(const ReadBack::File& file);
    void settle(bool read_back, const Verification::Stretch& stretch, Verification::Outcome outcome,
                Moment now);
    void give_back(bool read_back, Verification::Stretch&& stretch);
    void earn_verify_credit(std::uint64_t payload_bytes);
    void finish_verify(const Open& bundle, const command::BundleEvent& event, Moment now);
    bool in_doubt(const PublishedObject& object);
    bool moved_meanwhile(const PublishedObject& object);
    bool being_compared(const std::string& path) const;
    void judge_stretch(bool read_back, Verification::Stretch&& stretch, wire::FailReason reason, Moment now);
    void repair(const PublishedObject& object, wire::FailReason reason);
    void fold_verification(Moment now);
    void give_back_verify(const wire::BundleId& id);
    VerifyView verify_view() const;

    // results.cc
    void on_arrived(const Open& bundle);
    void on_durable(Open& bundle, Moment now);
    void finish(OpenBundles::iterator bundle, const command::BundleEvent& event, Moment now);
    void finish_mark(const Open& bundle, bool published, Moment now);
    void finish_range(const wire::Entry& entry, wire::FailReason reason, Moment now);
    void finish_entry(const Open& bundle, std::size_t index, wire::FailReason reason, Moment now);
    void count_change(const Change& change, WallNs now);
    void succeeded(Pending::Handle change, Moment now);
    void failed(Pending::Handle change, wire::FailReason reason, Moment now);
    void count_published(const std::optional<ObjectRecord>& before, const Fingerprint* after);
    void hear_late_news(const std::string& path);
    void give_back(OpenBundles::iterator bundle);

    // moving.cc
    void renew(Open& bundle);
    void load_entry(const Open& bundle, std::size_t index);
    void load_range(const wire::Entry& entry);
    void assemble_if_complete(const std::string& path);
    void advance_watermarks();

    void hold_store(Moment now);
    void cancel_all();
    bool mark_wanted() const;
    std::uint64_t bytes_behind() const;
    std::uint64_t removals_behind() const { return pending_.removes() + overflow_.counts().removals; }
    FlowView flow_view(const std::string& link, double drain_bps) const;
    std::string obstacle() const;
    std::string surge_text() const;
    std::string limited_by() const;
    double proof_interval_s() const;
    void notice(const char* kind, const std::string& object, std::string text);
    AgeBuckets ages(WallNs now, std::optional<double>& oldest_s) const;

    DatasetRecord record_;
    StateStore& state_;
    Ports& ports_;
    const CoreConfig& config_;
    CoreStats& stats_;
    const MakeId make_id_;
    std::shared_ptr<Failures> failures_;

    SweepLedger ledger_;
    Pending pending_{ledger_, stats_.changes_bytes};
    Overflow overflow_;
    struct {  // no room can be made for removals, or what changed then or later: nobody looks for some again
        bool for_removals = false;
        std::int64_t from_ns = std::numeric_limits<std::int64_t>::max();
        std::string from_path;
    } full_;
    std::map<std::string, SweepNumber, std::less<>> unseen_;  // directories: Observation::content_unseen
    std::unordered_map<std::string, LateNews> news_;
    std::map<std::string, Large> larges_;
    std::uint64_t large_durable_bytes_ = 0;
    std::optional<std::int64_t> root_mtime_ns_;  // of the source, as the last clean sweep began
    OpenBundles open_;
    std::vector<wire::BundleId> to_offer_, to_ack_;
    std::set<std::string> look_ups_;  // ordered: a directory before its content
    ReleaseQueue queue_;              // ordered: what may leave, in its order
    bool held_ = false;               // ordered: something waits for a later epoch
    TimeNs run_hold_ = 0, run_hold_until_ = 0;
    bool looking_up_ = false;
    Sighting looking_up_since_;
    std::unordered_set<std::string> hinted_;            // of look_ups_: because of a hint
    std::unordered_set<std::string> looking_at_hints_;  // of those under way
    std::set<std::string> scans_;                       // directories to be swept beneath
    std::string scanning_;                              // empty: none is under way
    Sighting scanning_since_;
    Crossings crossings_;
    bool sweep_wanted_ = false;    // for what no look-up can tell
    TimeNs sweep_not_before_ = 0;  // when it is wanted

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
    bool store_stale_ = false;  // since it was opened, another directory came to stand at the source
    bool source_gone_ = false;  // as the last sweep saw it
    TimeNs store_used_at_ = 0;
    TimeNs store_retry_at_ = 0;
    std::string store_problem_, offer_problem_, target_problem_;
    TimeNs offer_retry_at_ = 0;  // the dataplane has enough for now, or could not take the last offer
    bool wants_accept_ = false;
    Flow flow_;
    Pace pace_;
    std::uint64_t flow_turn_ = 0;
    std::optional<std::uint8_t> last_link_;  // of the last flow that had one
    std::size_t entries_cap_;                // shrinks when failures did not fit their list
    bool range_next_ = false;                // large and small take turns
    std::uint64_t bytes_open_ = 0, next_order_ = 0;

    std::optional<WallNs> mark_sent_;  // highest watermark on its way or proven
    std::size_t marks_open_ = 0;
    TimeNs mark_retry_at_ = 0;
    std::optional<WallNs> moved_at_;  // the target's last sign of progress, or when work began to wait
    bool work_waits_ = false;
    TimeNs accept_retry_at_ = 0;
    DrainMeter drain_;
    DeleteHold delete_hold_;
    TimeNs turn_at_ = 0;  // of the last tick
    Activity activity_;
    bool discovered_once_ = false;  // a clean sweep has ended: what is found from now on has changed
    WallNs seeding_since_ = 0;
    std::string unproven_;                // the target's control contradicts what was sent to it
    std::optional<WallNs> mark_highest_;  // ever put on its way to this replica
    std::vector<Event> notices_;          // of this turn
    bool surge_said_ = false;
    ChangeCounts published_counts_;
    Verification verification_{{}};
    ReadBack read_back_;
    std::map<wire::BundleId, Comparing> verifying_;    // of open_
    std::unordered_map<std::string, bool> comparing_;  // directories of verifying_: touched since
    // Directories into which something was sent whose outcome was not heard, or not good: their mtime may have moved.
    std::unordered_set<std::string> maybe_touched_;
    std::size_t verify_entries_ = wire::kFailuresListed;
    double verify_credit_bytes_ = 0;
    TimeNs verify_retry_at_ = 0;
    AgeBuckets ages_;
    std::optional<double> oldest_pending_age_s_;
    TimeNs ages_at_ = 0;
};

}  // namespace longhaul::control
