// The seam between control's edge (REST, CLI, peers, dataplane socket) and its core (capture, bundles, watermarks,
// state). Edge calls Core; Core reaches the outside only through Ports. Both sides are testable alone.
//
// Threads: Core has one thread of its own (its event loop); every public function may be called from any thread and
// returns a copy. Callbacks into Core (on_*) only enqueue.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/config/calendar.h"
#include "dataplane/base/result.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

using WallNs = std::int64_t;  // nanoseconds since the Unix epoch

// ---- configuration objects, as REST shows them -------------------------------------------------------------------

struct Target {
    std::string site;   // another site of the configuration
    std::string store;  // "posix:/lake"; beneath one of that site's allowed roots
};

inline constexpr double kWeightMin = 0.01, kWeightMax = 1000;

enum class Mode : std::uint8_t { namespace_, copy };  // "namespace": deletes propagate; "copy": they never do
// "object": each object as soon as it is durable; "ordered": control/publish/README.md
enum class Consistency : std::uint8_t { object, ordered };
struct DatasetSpec {
    std::string name;    // [a-z0-9][a-z0-9-]{0,62}
    std::string source;  // "posix:/lake"
    Target target;
    Mode mode = Mode::namespace_;
    Consistency consistency = Consistency::ordered;
    double rpo_target_s = 300;
    std::string traffic = "bulk";  // class: latency | bulk | scavenger
    double rescan_s = 10;
    std::string link;                 // empty: the scheduler chooses
    double delete_hold_share = 0.01;  // mode namespace: more removals than this share of the objects wait
    std::uint64_t delete_hold_objects = 10'000;  // ... or than so many, if that is fewer; 0: none ever waits
    // What the scheduler goes by, payload: never less while there is work, never more, share of the rest.
    std::uint64_t floor_bps = 0, cap_bps = 0;  // cap 0: none
    double weight = 1;                         // kWeightMin to kWeightMax
    // What the operator expects, for admission; 0: unknown.
    std::uint64_t expect_change_bps = 0, expect_burst_bytes = 0;
};

// What of a dataset may be changed while it runs; what is not given stays.
struct DatasetChange {
    std::optional<std::string> link;                  // empty: the scheduler chooses
    std::optional<std::uint64_t> floor_bps, cap_bps;  // cap 0: none
    std::optional<double> weight;
    bool of_policy() const { return floor_bps || cap_bps || weight; }
};

// ---- views ---------------------------------------------------------------------------------------------------------

// Watermarks, source time, w_pub <= w_dur <= w_xfer <= w_disc: every change up to then is known / has arrived /
// is durable / can be read at the target. Changes after it may be lost. nullopt: not proven yet (seeding).
struct StageTimes {
    std::optional<WallNs> w_disc, w_xfer, w_dur, w_pub;
};
struct ObjectFailure {
    std::string dataset, path;  // path: UTF-8, other bytes as \xNN
    std::string reason;         // wire::to_string(FailReason)
    std::string remedy;         // wire::explain
    WallNs since = 0, last_try = 0;
    std::uint32_t tries = 0;
};
// How many pending changes have waited how long, at most: the time since the last proof that they had not happened.
struct AgeBuckets {
    static constexpr std::array<unsigned, 5> kUpTo_s{60, 300, 900, 3600, 14400};
    std::array<std::uint64_t, kUpTo_s.size() + 1> counts{};  // the last one: older than all of them
};
struct SloWindow {  // both forms of attainment; absent while the window holds nothing to judge
    std::uint64_t minutes_good = 0, minutes_missed = 0, minutes_seeding = 0;
    std::optional<double> time_ratio;  // good / (good + missed); seeding minutes do not count
    std::uint64_t changes = 0, changes_late = 0, bytes = 0, bytes_late = 0;
    std::optional<double> change_ratio;  // published within the target / all
    double lag_max_s = 0;
};
struct SloView {
    SloWindow hour, day, month;  // 1 h, 24 h, 30 d
    double objective = 0;        // of minutes, over 30 d
    double budget_min = 0, budget_left_min = 0;
    std::optional<double> burn_rate;  // of the last hour; 1 spends the budget in exactly 30 d
};
struct RpoView {
    std::string dataset, site;   // site: the target's
    std::string role;            // "source" | "target": where this figure was computed
    std::string state;           // SEEDING | PROTECTED | CATCHING_UP | STALLED | UNKNOWN
    std::string quality;         // proven | estimated | unknown
    std::string quality_reason;  // why it is not proven
    StageTimes watermarks;
    std::optional<WallNs> now_src;              // the source's clock
    std::optional<double> clock_uncertainty_s;  // of now_src; included in the lags
    std::optional<double> rpo_lag_s;  // now_src - W_pub; null while seeding or when no bound is known
    std::optional<double> durable_lag_s;
    double rpo_target_s = 0;
    std::optional<bool> within_target;
    double unknown_for_s = 0;    // 0 unless the quality is unknown
    std::string limiting_stage;  // where the lag comes from: discovery | transfer | durability | publication
    double rescan_s = 0;
    std::uint64_t objects_total = 0, bytes_total = 0;    // known at the source
    std::uint64_t objects_behind = 0, bytes_behind = 0;  // not yet published
    std::uint64_t objects_published = 0, bytes_published = 0;
    std::uint64_t objects_failing = 0;
    std::optional<double> eta_s;  // null with eta_reason
    std::string eta_reason;
    std::string limited_by;       // the oldest pending object or stage, for people
    std::string limiting_object;  // its path, UTF-8
    AgeBuckets ages;
    std::optional<double> oldest_pending_age_s;
    double change_bps = 0, change_1h_bps = 0;  // found at the source: averages over 5 min and 1 h
    std::uint64_t bytes_undiscovered_estimate =
        0;                                   // change rate since the last look; never part of bytes_behind
    double drain_bps = 0;                    // payload, last seconds
    double drain_average_bps = 0;            // while there was work, over a minute
    std::optional<double> time_to_breach_s;  // null with its reason
    std::string time_to_breach_reason;
    double required_bps = 0;  // would clear what is behind within required_within_s
    double required_within_s = 0;
    double proof_interval_s =
        0;  // between two proofs when nothing is behind: a rescan and what a sweep takes
    SloView slo;
    WallNs computed_at = 0;
};
// What an operator is woken for, and what was refused to whom. Kinds: SEEDING_LATE, BREACH_PREDICTED, BREACH,
// BREACH_ENDED, STALLED, METRIC_STALE, VERIFY_FAIL, DELETE_SURGE, ORDER_VIOLATION, POLICY_REFUSED, PEER_REFUSED.
struct Event {
    std::uint64_t id = 0;  // ascending, never used twice
    WallNs at = 0;
    std::string kind;
    std::string dataset, site, role;  // empty: of no dataset
    std::string text;                 // for people
    std::string stage, object;        // the cause, if known
    std::string who;                  // asked for what was refused
    std::optional<double> rpo_target_s, lag_s, peak_lag_s, duration_s;
    std::optional<WallNs> watermark;
};
struct Breach {  // one line of the ledger
    std::int64_t id = 0;
    std::string subject;  // which watch it belongs to
    std::string dataset, site, role;
    WallNs started = 0;
    std::optional<WallNs> ended;
    double rpo_target_s = 0, peak_lag_s = 0;
    std::string stage, cause;
};
// What the control of another site said, with both clocks around the exchange.
struct PeerReport {
    WallNs asked = 0, heard = 0;        // ours
    WallNs received = 0, answered = 0;  // theirs; 0: it does not tell
    struct Claim {                      // of a dataset whose source is here
        std::string dataset;
        std::uint64_t store = 0;  // changes when a replica begins anew: the epoch of its watermark
        std::optional<WallNs> w_pub;
    };
    std::vector<Claim> claims;
};
struct PeerClockView {
    std::string site;
    double offset_s = 0, uncertainty_s = 0;  // theirs minus ours
    WallNs measured_at = 0;
    std::string problem;
};
// How changes of a source are found (control/capture). Sweeps always are the proof; events make them known sooner.
struct CaptureView {
    std::string kind =
        "sweeps";              // "fanotify": events cause looks at what they name; "sweeps": there are none
    std::string reason;        // why it is not more than that, empty if all is well
    std::uint64_t events = 0;  // heard, since this process began
    std::uint64_t events_nearby = 0;  // ... of them: not of this source, but of its file system
    std::uint64_t hints = 0;          // paths that were named to be looked at
    std::uint64_t losses = 0;         // times that sight was lost, and a sweep made up for it
    std::uint64_t hints_waiting = 0;
};
// Published objects that both ends have compared: of files the bytes, read from their disks; of all, mode, owner, mtime,
// attributes and text.
struct VerifyCounts {
    std::uint64_t objects = 0, bytes = 0;      // the same
    std::uint64_t differing = 0, missing = 0;  // at the target; sent again
    std::uint64_t changed = 0;                 // not compared: the source had or got another version
    std::uint64_t unreadable = 0;              // at the source
    std::uint64_t metadata = 0;  // of those that differ: equal but for mode, owner, mtime or attributes
    VerifyCounts& operator+=(const VerifyCounts& other) {
        objects += other.objects;
        bytes += other.bytes;
        differing += other.differing;
        missing += other.missing;
        changed += other.changed;
        unreadable += other.unreadable;
        metadata += other.metadata;
        return *this;
    }
};
// Files that were read back from the target's disk after they had been published, since this process began.
struct ReadBackCounts {
    std::uint64_t files = 0, bytes = 0;        // the same
    std::uint64_t differing = 0, missing = 0;  // at the target; sent again
    std::uint64_t skipped = 0;  // not read back: not chosen, no room, or another version came first
    std::uint64_t waiting = 0;  // now
};
struct VerifyView {
    WallNs started = 0, ended = 0;  // 0: never asked for; under way
    VerifyCounts counts;
    ReadBackCounts read_back;
};
struct DatasetView {
    DatasetSpec spec;
    std::uint64_t target_store = 0;
    std::string link;  // assigned
    RpoView rpo;
    WallNs last_sweep_started = 0;
    double last_sweep_took_s = 0;
    std::uint64_t sweeps = 0;
    std::uint64_t deletes_held = 0;  // removals that wait for dataset_release_deletes
    CaptureView capture;
    VerifyView verify;
    std::string problem;                // why it does not move, empty if it does
    std::vector<std::string> warnings;  // of its admission; only in the answer to its creation
};
struct BundleView {
    std::string id, dataset, link, stage;
    std::uint32_t generation = 0;
    std::uint64_t bytes = 0;
    std::uint32_t entries = 0;
    WallNs offered_at = 0;
};
struct FlowView {
    std::string dataset, target_site, link, traffic;
    std::uint64_t rate_bps = 0;      // assigned, payload; of an idle flow what it may begin with
    std::uint64_t achieved_bps = 0;  // payload, last seconds
    std::uint32_t bundles_in_flight = 0;
    std::string reason;             // why this rate: schedule::to_string(FlowReason), or why there is none
    std::optional<double> slack_s;  // target - lag - time to send what is behind at this rate
    std::uint64_t floor_bps = 0, cap_bps = 0;
    double weight = 1;
    std::uint64_t turn = 0;  // of the scheduler, counted from the start of this process
};
// Whether a policy can hold, in numbers (control/schedule/admission.h).
struct Plan {
    std::string dataset;
    std::vector<std::string> refusals;   // it cannot hold: creating it is refused
    std::vector<std::string> warnings;   // it holds only while others are quiet, or not at every hour
    double needs_bps = 0, within_s = 0;  // payload, from what is expected of the source; 0: nothing is known
    std::string link;                    // with the most room
    double link_bps = 0, available_bps = 0;
};
// What happens to datasets when a link carries nothing for a while (control/schedule/impact.h).
struct LinkImpact {
    struct Row {
        std::string dataset;
        double rpo_target_s = 0;
        std::optional<double> lag_s;
        std::string link_after;  // empty: none
        std::uint64_t rate_bps = 0, rate_after_bps = 0;
        double change_bps = 0;  // of the source, lately or as expected
        std::optional<double> time_to_breach_s;
        bool breaks = false;  // within the window
        std::string reason;
    };
    std::string link, site;
    double window_s = 0;
    std::uint64_t lost_bps = 0, left_bps = 0;  // payload towards the same site
    std::vector<Row> rows;                     // those affected, the first to breach first
};
struct CoreStats {
    std::uint64_t sweeps = 0, changes = 0, bundles_offered = 0, bundles_moved = 0, bundles_published = 0,
                  bundles_failed = 0, objects_published = 0, bytes_published = 0, schedule_turns = 0;
    std::uint64_t changes_bytes = 0;     // of memory: changes not yet published, of all datasets
    std::uint64_t order_violations = 0;  // publications that would have broken the order; all were refused
};

// ---- what Core needs from the outside -------------------------------------------------------------------------------

struct LinkChoice {  // a link to the target site, as the edge knows it now
    std::string name;
    std::uint8_t link = 0;
    std::string peer_site;
    bool up = false;
    std::uint64_t rate_bps = 0;  // contracted, or as changed since
    double payload_share = 0.9;  // of that rate, as configured and measured
    double rtt_s = 0;
    Calendar calendar;
    bool answering =
        false;  // up, and the far end gets what we send: open bundles leave one that does not answer
    bool operator==(const LinkChoice&) const = default;
};
struct TargetAccepted {
    std::uint64_t store = 0;
};

class Ports {
  public:
    virtual ~Ports() = default;
    // Dataplane. Never blocks longer than a few ms; unavailable when it is not connected: Core tries again later.
    // `marked`: a target that was opened before; its directory has to bear the store's mark.
    virtual Result<void> store_open(std::uint64_t store, const std::string& directory, bool target,
                                    bool marked) = 0;
    // Lets go of a source's directory. What still reads from it fails, and may be offered again once it is open anew.
    virtual void store_close(std::uint64_t store) = 0;
    virtual Result<bool> bundle_offer(const command::BundleOfferMessage& offer,
                                      std::vector<std::uint8_t> head) = 0;
    virtual Result<void> bundle_cancel(const wire::BundleId& id) = 0;
    virtual Result<void> bundle_ack(const std::vector<wire::BundleId>& ids) = 0;
    // A bundle staged here for a dataset that is published in order: publish it, or discard it.
    virtual Result<void> order_settle(std::uint8_t link, const wire::BundleId& id, std::uint32_t generation,
                                      bool publish) = 0;
    // Peer control, over mTLS; may take seconds: Core calls it from a helper thread.
    virtual Result<TargetAccepted> target_accept(
        const DatasetSpec& spec) = 0;  // idempotent by dataset name and our site
    // not_found: its site does not know that replica (any more).
    virtual Result<void> target_release(const std::string& dataset, const std::string& site,
                                        std::uint64_t store) = 0;
    virtual std::vector<LinkChoice> links_to(const std::string& site) = 0;
};

class ChangeFeed;  // control/capture/hints.h
// A feed for a source directory; it calls `wake` from any thread when there is something to take.
using MakeFeed =
    std::function<std::shared_ptr<ChangeFeed>(const std::string& directory, std::function<void()> wake)>;

struct CoreConfig {
    std::string site;
    std::string state_directory;  // longhaul.sqlite lives here
    std::vector<std::string>
        allowed_roots;  // target stores must lie beneath one; empty: no dataset is accepted here
    std::uint64_t bundle_bytes_max = 64u
                                     << 20;  // further bounded by 100 ms of the flow's rate, at least 1 MiB
    std::uint32_t bundle_entries_max = 2048;
    std::uint32_t bundles_in_flight_max = 64;
    std::uint64_t changes_bytes_max = 400u << 20;  // of memory for changes, of all datasets together
    std::size_t sweep_threads = 4;  // of one sweep, at most: what it waits for is the source's file system
    double verify_share =
        0.01;  // of the payload sent: what comparing and reading back may read while there is work
    double read_back_share = 1;     // of the files published: those that are read back
    MakeFeed make_feed;             // empty: sweeps alone
    std::string no_feed_reason;     // why it is empty
    std::function<WallNs()> clock;  // the source's wall clock, as it is; empty: the system's, never set back
};

class Core {
  public:
    static Result<std::unique_ptr<Core>> create(const CoreConfig& config,
                                                Ports& ports);  // opens state, does not start
    virtual ~Core() = default;                                  // stops the loop, flushes state

    virtual void start() = 0;

    // Datasets whose source is here.
    virtual Result<DatasetView> dataset_create(
        const DatasetSpec& spec) = 0;  // validates everything; asks the target first
    virtual Result<Plan> dataset_plan(const DatasetSpec& spec) = 0;    // what creating it would meet
    virtual Result<void> dataset_remove(const std::string& name) = 0;  // stops replicating; the replica stays
    virtual Result<DatasetView> dataset(const std::string& name) = 0;
    virtual std::vector<DatasetView> datasets() = 0;
    virtual Result<void> dataset_rescan(const std::string& name) = 0;  // now instead of at the next period
    // While it runs. New bundles take the new link; open ones end where they are, or move if their link dies.
    virtual Result<DatasetView> dataset_change(const std::string& name, const DatasetChange& change) = 0;

    // Compares both ends, object by object, without moving payload; one that runs goes on.
    virtual Result<DatasetView> dataset_verify(const std::string& name) = 0;
    // Lets the removals go that are held as a surge; their number, 0 when none are.
    virtual Result<std::uint64_t> dataset_release_deletes(const std::string& name) = 0;

    // Datasets whose target is here (called by the peer's control through the edge).
    virtual Result<TargetAccepted> accept_target(const std::string& source_site, const DatasetSpec& spec) = 0;
    virtual Result<void> release_target(const std::string& source_site, const std::string& dataset,
                                        std::uint64_t store) = 0;

    virtual std::vector<RpoView> rpo() = 0;  // sources and targets of this site
    // A number that rises whenever a published watermark here moves, or a dataset comes or goes. Waits until it is not
    // `seen` any more, for `patience` at most. Ask for it before the views: so nothing that they show is missed.
    virtual std::uint64_t wait_for_published(std::uint64_t seen, std::chrono::milliseconds patience) = 0;
    virtual std::vector<BundleView> bundles() = 0;  // in progress
    virtual std::vector<ObjectFailure> failures(const std::string& dataset) = 0;
    virtual std::vector<FlowView> flows() = 0;
    // `window_s` 0: as long as its next maintenance, or an hour.
    virtual Result<LinkImpact> link_impact(const std::string& link, double window_s) = 0;
    virtual CoreStats stats() = 0;

    // Events with a larger id than `after`, oldest first. The log is bounded: a gap before the first says how many
    // were missed.
    virtual std::vector<Event> events(std::uint64_t after, std::size_t most) = 0;
    virtual std::uint64_t last_event() = 0;
    // False: nothing newer than `after` within `patience`.
    virtual bool wait_for_event(std::uint64_t after, std::chrono::milliseconds patience) = 0;
    virtual void note(Event event) = 0;          // id and time are given here
    virtual std::vector<Breach> breaches() = 0;  // newest first, bounded

    virtual WallNs source_now() = 0;  // the clock that watermarks of this site's sources are made of
    virtual std::vector<PeerReport::Claim> claims_for(const std::string& source_site) = 0;
    virtual std::vector<PeerClockView> peer_clocks() = 0;
    virtual void on_peer(const std::string& site, const PeerReport& report) = 0;

    // Events from the dataplane.
    virtual void on_dataplane_up(
        const command::StatusReport& status) = 0;  // connected or restarted: state everything again
    virtual void on_dataplane_down() = 0;
    virtual void on_bundle(const command::BundleEvent& event) = 0;
    virtual void on_mark(std::uint64_t store, WallNs watermark) = 0;
    virtual void on_order(const command::OrderEvent& event) = 0;
    virtual void on_link(const command::LinkStatus& status) = 0;
};

}  // namespace longhaul::control
