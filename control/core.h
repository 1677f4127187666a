// The seam between control's edge (REST, CLI, peers, dataplane socket) and its core (capture, bundles, watermarks,
// state). Edge calls Core; Core reaches the outside only through Ports. Both sides are testable alone.
//
// Threads: Core has one thread of its own (its event loop); every public function may be called from any thread and
// returns a copy. Callbacks into Core (on_*) only enqueue.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

using WallNs = std::int64_t;  // nanoseconds since the Unix epoch

// ---- configuration objects, as REST shows them -------------------------------------------------------------------

struct Target {
    std::string site;   // another site of the configuration
    std::string store;  // "posix:/lake"; beneath one of that site's allowed roots
};

enum class Mode : std::uint8_t { namespace_, copy };  // "namespace": deletes propagate; "copy": they never do
// "object": each object as soon as it is durable; "ordered": control/publish/README.md; "group": refused
enum class Consistency : std::uint8_t { object, ordered };
struct DatasetSpec {
    std::string name;    // [a-z0-9][a-z0-9-]{0,62}
    std::string source;  // "posix:/lake"
    Target target;
    Mode mode = Mode::namespace_;
    Consistency consistency = Consistency::object;
    double rpo_target_s = 300;
    std::string traffic = "bulk";  // class: latency | bulk | scavenger
    double rescan_s = 10;
    std::string link;                 // empty: the scheduler chooses
    double delete_hold_share = 0.01;  // mode namespace: more removals than this share of the objects wait
    std::uint64_t delete_hold_objects = 10'000;  // ... or than so many, if that is fewer; 0: none ever waits
};

// ---- views ---------------------------------------------------------------------------------------------------------

struct StageTimes {  // watermarks, source time; nullopt: not proven yet (seeding)
    std::optional<WallNs> w_disc, w_dur, w_pub;
};
struct ObjectFailure {
    std::string dataset, path;  // path: UTF-8, other bytes as \xNN
    std::string reason;         // wire::to_string(FailReason)
    std::string remedy;         // wire::explain
    WallNs since = 0, last_try = 0;
    std::uint32_t tries = 0;
};
struct RpoView {
    std::string dataset, site;  // site: the target's
    std::string role;           // "source" | "target": where this figure was computed
    std::string state;          // SEEDING | PROTECTED | CATCHING_UP | STALLED | UNKNOWN
    std::string quality;        // proven | unknown
    StageTimes watermarks;
    std::optional<double> rpo_lag_s;  // now_src - W_pub; null while seeding
    std::optional<double> durable_lag_s;
    double rpo_target_s = 0;
    std::optional<bool> within_target;
    double rescan_s = 0;
    std::uint64_t objects_total = 0, bytes_total = 0;    // known at the source
    std::uint64_t objects_behind = 0, bytes_behind = 0;  // not yet published
    std::uint64_t objects_published = 0, bytes_published = 0;
    std::uint64_t objects_failing = 0;
    std::optional<double> eta_s;  // null with eta_reason
    std::string eta_reason;
    std::string limited_by;  // the oldest pending object or stage, for people
    double drain_bps = 0;    // payload, last seconds
    WallNs computed_at = 0;
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
    std::string problem;             // why it does not move, empty if it does
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
    std::uint64_t rate_bps = 0;      // assigned
    std::uint64_t achieved_bps = 0;  // payload, last seconds
    std::uint32_t bundles_in_flight = 0;
};
struct CoreStats {
    std::uint64_t sweeps = 0, changes = 0, bundles_offered = 0, bundles_published = 0, bundles_failed = 0,
                  objects_published = 0, bytes_published = 0;
    std::uint64_t order_violations = 0;  // publications that would have broken the order; all were refused
};

// ---- what Core needs from the outside -------------------------------------------------------------------------------

struct LinkChoice {  // a link to the target site, as the edge knows it now
    std::string name;
    std::uint8_t link = 0;
    std::string peer_site;
    bool up = false;
    std::uint64_t rate_bps = 0;
};
struct TargetAccepted {
    std::uint64_t store = 0;
};

class Ports {
  public:
    virtual ~Ports() = default;
    // Dataplane. Never blocks longer than a few ms; unavailable when it is not connected: Core tries again later.
    virtual Result<void> store_open(std::uint64_t store, const std::string& directory, bool target) = 0;
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
    virtual Result<void> target_release(const std::string& dataset, const std::string& site) = 0;
    virtual std::vector<LinkChoice> links_to(const std::string& site) = 0;
};

struct CoreConfig {
    std::string site;
    std::string state_directory;  // longhaul.sqlite lives here
    std::vector<std::string>
        allowed_roots;  // target stores must lie beneath one; empty: no dataset is accepted here
    std::uint64_t bundle_bytes_max = 64u
                                     << 20;  // further bounded by 100 ms of the flow's rate, at least 1 MiB
    std::uint32_t bundle_entries_max = 2048;
    std::uint32_t bundles_in_flight_max = 64;
    std::function<WallNs()> clock;  // the source's wall clock; empty: the system's
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
    virtual Result<void> dataset_remove(const std::string& name) = 0;  // stops replicating; the replica stays
    virtual Result<DatasetView> dataset(const std::string& name) = 0;
    virtual std::vector<DatasetView> datasets() = 0;
    virtual Result<void> dataset_rescan(const std::string& name) = 0;  // now instead of at the next period

    // Lets the removals go that are held as a surge; their number, 0 when none are.
    virtual Result<std::uint64_t> dataset_release_deletes(const std::string& name) = 0;

    // Datasets whose target is here (called by the peer's control through the edge).
    virtual Result<TargetAccepted> accept_target(const std::string& source_site, const DatasetSpec& spec) = 0;
    virtual Result<void> release_target(const std::string& source_site, const std::string& dataset) = 0;

    virtual std::vector<RpoView> rpo() = 0;         // sources and targets of this site
    virtual std::vector<BundleView> bundles() = 0;  // in progress
    virtual std::vector<ObjectFailure> failures(const std::string& dataset) = 0;
    virtual std::vector<FlowView> flows() = 0;
    virtual CoreStats stats() = 0;

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
