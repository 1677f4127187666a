// The runner's standing tasks, and how it shows itself.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/runner.h"

#include <algorithm>
#include <utility>

namespace longhaul::control {

namespace {

constexpr TimeNs kAgesEvery = 500 * kMillisecond;
constexpr std::size_t kNoticesMax = 1000;  // more than all comparisons together find in a turn

}  // namespace

Runner::Runner(DatasetRecord record, StateStore& state, Ports& ports, const CoreConfig& config,
               CoreStats& stats, MakeId make_id)
    : record_(std::move(record)),
      state_(state),
      ports_(ports),
      config_(config),
      stats_(stats),
      make_id_(std::move(make_id)),
      failures_(std::make_shared<Failures>(record_.spec.name)),
      entries_cap_(wire::kEntriesMax),
      discovered_once_(record_.watermarks.w_disc.has_value()),
      seeding_since_(record_.created),
      read_back_(config_.read_back_share) {}

Demand Runner::demand(Moment now) {
    Demand demand;
    const auto& spec = record_.spec;
    demand.dataset = spec.name;
    demand.target_site = spec.target.site;
    demand.traffic = spec.traffic;
    demand.link = spec.link;
    demand.active = active();
    demand.weight = spec.weight;
    demand.floor_bps = spec.floor_bps;
    demand.cap_bps = spec.cap_bps;
    demand.bytes_behind = bytes_behind();
    demand.drain_bps = drain_.rate_bps(now.steady);
    demand.rpo_target_s = spec.rpo_target_s;
    if (const auto published = record_.watermarks.w_pub)
        demand.lag_s = static_cast<double>(now.wall - *published) / 1e9;
    demand.on_link = last_link_;
    demand.moved_at = flow_.moved_at;
    demand.home = flow_.home;
    return demand;
}

void Runner::set_policy(const DatasetSpec& spec) {
    record_.spec.floor_bps = spec.floor_bps;
    record_.spec.cap_bps = spec.cap_bps;
    record_.spec.weight = spec.weight;
    state_.dataset_policy(record_);
}

double Runner::change_bps(Moment now) {
    return std::max(static_cast<double>(record_.spec.expect_change_bps), drain_.rate_bps(now.steady));
}

std::uint64_t Runner::bytes_behind() const {
    return pending_.undurable_bytes() - std::min(pending_.undurable_bytes(), large_durable_bytes_) +
           overflow_.counts().bytes;
}

void Runner::set_flow(const Flow& flow, Moment now, std::uint64_t turn) {
    flow_ = flow;
    flow_turn_ = turn;
    pace_.set_rate(flow.rate_bps, now.steady);
    if (flow.assigned) last_link_ = flow.link.link;
}

void Runner::tick(Moment now) {
    turn_at_ = now.steady;
    pending_.release_due(now.steady);
    // What a running sweep finds gone may yet be found under another name, and waits for its end anyway.
    if (!sweeping_)
        delete_hold_.judge({record_.spec.delete_hold_share, record_.spec.delete_hold_objects}, now.steady,
                           published_.objects, overflow_.counts().removals);
    follow_up(now);
    sweep_for_forgotten(now);
    if (delete_hold_.holds() && !surge_said_) notice("DELETE_SURGE", {}, surge_text());
    surge_said_ = delete_hold_.holds();
    const bool waits = active();
    if (waits && !work_waits_) {
        moved_at_ = now.wall;
        drain_.begin(now.steady);
    }
    work_waits_ = waits;
    activity_.passed(now.steady, waits);
    if (now.steady >= ages_at_ + kAgesEvery) {
        ages_at_ = now.steady;
        ages_ = ages(now.wall, oldest_pending_age_s_);
    }
    read_back_.release_due(now.steady);  // before: the source is opened for it
    hold_store(now);
}

// The dataplane holds the source open while there is something to read from it, and no longer: an idle source can be
// unmounted, and one that was mounted anew is opened anew.
void Runner::hold_store(Moment now) {
    if (!connected_) return;
    const auto store = static_cast<std::uint64_t>(record_.id);
    const bool comparing = verification_.running() || read_back_.waits() || !verifying_.empty();
    const bool wanted = (active() || comparing) && !source_gone_;
    if (wanted) store_used_at_ = now.steady;
    if (store_open_ && (store_stale_ || (!wanted && now.steady >= store_used_at_ + kStoreIdle))) {
        ports_.store_close(store);
        store_open_ = false;
    }
    if (store_open_ || !wanted || now.steady < store_retry_at_) return;
    const std::string directory = record_.spec.source.substr(std::string_view("posix:").size());
    const auto opened = ports_.store_open(store, directory, false, false);
    store_open_ = opened.ok();
    store_stale_ = false;
    store_problem_ = opened ? std::string() : "the dataplane cannot open the source: " + opened.error().text;
    store_retry_at_ = now.steady + kSecond;
    // It may hold another directory still, for the process of control that was here before this one.
    if (!opened) ports_.store_close(store);
}

void Runner::leave() {
    cancel_all();
    if (store_open_) ports_.store_close(static_cast<std::uint64_t>(record_.id));
    store_open_ = false;
}

void Runner::advance_watermarks() {
    raise(record_.watermarks.w_disc, ledger_.discovered());
}

std::string Runner::obstacle() const {
    if (!source_problem_.empty()) return source_problem_;
    if (!connected_) return "the dataplane is not connected: start longhaul-dataplane, or look at its log";
    for (const auto* text : {&store_problem_, &flow_.obstacle, &offer_problem_, &target_problem_})
        if (!text->empty()) return *text;
    if (delete_hold_.holds()) return surge_text();
    return {};
}

std::string Runner::surge_text() const {
    return std::to_string(removals_behind()) +
           " deletes are held because they are unusually many: if they are meant, release them with "
           "`longhaul datasets release-deletes " +
           record_.spec.name + "`";
}

std::uint64_t Runner::release_deletes() {
    const std::uint64_t held = delete_hold_.holds() ? removals_behind() : 0;
    delete_hold_.release(overflow_.counts().removals);
    held_ = held_ || held > 0;  // ordered: an epoch lets them go
    return held;
}

std::string Runner::limited_by() const {
    const auto* oldest = pending_.oldest();
    if (oldest == nullptr) return busy() ? "mark on its way" : std::string();
    const char* doing = oldest->place == Place::in_flight ? "in flight: "
                        : oldest->place == Place::backoff ? "failing, will be tried again: "
                        : oldest->place == Place::large   ? "large file in ranges: "
                                                          : "waiting to be sent: ";
    return doing + shown_path(oldest->path);
}

FlowView Runner::flow_view(const std::string& link, double drain_bps) const {
    FlowView view;
    view.dataset = record_.spec.name;
    view.target_site = record_.spec.target.site;
    view.link = link;
    view.traffic = record_.spec.traffic;
    view.rate_bps = flow_.rate_bps;
    view.achieved_bps = static_cast<std::uint64_t>(drain_bps);
    view.bundles_in_flight = static_cast<std::uint32_t>(open_.size());
    view.reason = flow_.assigned ? to_string(flow_.reason) : flow_.obstacle;
    view.slack_s = flow_.slack_s;
    view.floor_bps = record_.spec.floor_bps;
    view.cap_bps = record_.spec.cap_bps;
    view.weight = record_.spec.weight;
    view.turn = flow_turn_;
    return view;
}

// Between two proofs of an idle source: the next sweep starts a period after the last one did, or when that has
// ended, and proves its own start when it is through.
double Runner::proof_interval_s() const {
    return std::max(record_.spec.rescan_s, sweep_took_s_) + sweep_took_s_;
}

AgeBuckets Runner::ages(WallNs now, std::optional<double>& oldest_s) const {
    AgeBuckets buckets;
    oldest_s.reset();
    ledger_.unpublished.for_each([&](SweepNumber first, std::uint64_t count) {
        const WallNs since =
            ledger_.not_before(first).value_or(record_.watermarks.w_pub.value_or(seeding_since_));
        const double age_s = std::max(0.0, static_cast<double>(now - since) / 1e9);
        std::size_t bucket = 0;
        while (bucket < AgeBuckets::kUpTo_s.size() && age_s > AgeBuckets::kUpTo_s[bucket])
            ++bucket;
        buckets.counts[bucket] += count;
        oldest_s = std::max(oldest_s.value_or(0), age_s);
    });
    return buckets;
}

void Runner::notice(const char* kind, const std::string& object, std::string text) {
    if (notices_.size() >= kNoticesMax) return;  // the failures have them all
    Event event;
    event.kind = kind;
    event.dataset = record_.spec.name;
    event.site = record_.spec.target.site;
    event.role = "source";
    event.object = shown_path(object);
    event.text = std::move(text);
    event.rpo_target_s = record_.spec.rpo_target_s;
    event.watermark = record_.watermarks.w_pub;
    notices_.push_back(std::move(event));
}

std::optional<std::string> Runner::target_claims(const std::optional<PeerReport::Claim>& claim,
                                                 WallNs asked) {
    if (asked <= std::max(record_.created, seeding_since_))
        return std::nullopt;  // said before there was a replica
    std::string contradiction;
    if (!claim)
        contradiction = "site " + record_.spec.target.site + " does not know this replica any more";
    else if (claim->store != record_.target_store)
        contradiction =
            "site " + record_.spec.target.site +
            " speaks of another replica than the one this dataset was given: an epoch that has ended, or a "
            "state that was put back";
    else if (claim->w_pub && (!mark_highest_ || *claim->w_pub > *mark_highest_))
        contradiction =
            "site " + record_.spec.target.site +
            " claims a watermark that was never sent to it: its state or its word cannot be relied on";
    const bool news = !contradiction.empty() && unproven_.empty();
    unproven_ = std::move(contradiction);
    return news ? std::optional(unproven_) : std::nullopt;
}

ChangeCounts Runner::take_published_counts() {
    return std::exchange(published_counts_, {});
}

RunnerView Runner::view(Moment now) {
    RunnerView view;
    view.facts.watermarks = record_.watermarks;
    view.facts.rpo_target_s = record_.spec.rpo_target_s;
    view.facts.source_readable = source_readable_;
    view.facts.work_waits = work_waits_;
    view.facts.moved_at = moved_at_;
    view.facts.obstacle = obstacle();
    view.facts.unproven = unproven_;
    view.facts.seeding_since = seeding_since_;

    auto& rpo = view.dataset.rpo;
    rpo.dataset = record_.spec.name;
    rpo.site = record_.spec.target.site;
    rpo.role = "source";
    rpo.rescan_s = record_.spec.rescan_s;
    const bool counting = sweeps_done_ == 0 && sweeping_;
    rpo.objects_total = counting ? std::max(record_.objects_total, objects_found_) : record_.objects_total;
    rpo.bytes_total = counting ? std::max(record_.bytes_total, bytes_found_) : record_.bytes_total;
    rpo.objects_behind = pending_.size() + overflow_.counts().objects;
    rpo.bytes_behind = bytes_behind();
    rpo.objects_published = published_.objects;
    rpo.bytes_published = published_.bytes;
    rpo.objects_failing = failures_->size();
    rpo.drain_bps = drain_.rate_bps(now.steady);
    rpo.limited_by = limited_by();
    if (const auto* oldest = pending_.oldest()) rpo.limiting_object = shown_path(oldest->path);
    rpo.ages = ages_;
    rpo.oldest_pending_age_s = oldest_pending_age_s_;
    rpo.change_bps = activity_.change_bps();
    rpo.change_1h_bps = activity_.change_1h_bps();
    rpo.drain_average_bps = activity_.drain_bps();
    rpo.proof_interval_s = proof_interval_s();
    rpo.eta_reason = "the first sweep is still counting";
    if (!counting) {
        Load load;
        load.bytes_behind = rpo.bytes_behind;
        load.objects_behind = rpo.objects_behind;
        load.oldest_bytes = pending_.oldest_undurable_bytes();
        load.change_bps = rpo.change_bps;
        load.drain_bps = rpo.drain_bps;
        view.facts.load = load;
    }

    view.dataset.spec = record_.spec;
    view.dataset.target_store = record_.target_store;
    view.dataset.link = flow_.assigned ? flow_.link.name : std::string();
    view.dataset.last_sweep_started = sweep_started_;
    view.dataset.last_sweep_took_s = sweep_took_s_;
    view.dataset.sweeps = sweeps_done_;
    view.dataset.deletes_held = delete_hold_.holds() ? removals_behind() : 0;
    view.dataset.verify = verify_view();
    view.dataset.problem = view.facts.obstacle;
    if (view.dataset.problem.empty() && rpo.objects_failing > 0)
        view.dataset.problem = std::to_string(rpo.objects_failing) +
                               " objects fail: their reasons are in the dataset's failures";

    view.flow = flow_view(view.dataset.link, rpo.drain_bps);
    for (const auto& [id, bundle] : open_) {
        BundleView shown;
        shown.id = wire::to_string(id);
        shown.dataset = record_.spec.name;
        shown.link =
            flow_.assigned && flow_.link.link == bundle.link ? flow_.link.name : std::to_string(bundle.link);
        shown.stage = bundle.stage ? wire::to_string(*bundle.stage) : bundle.accepted ? "offered" : "waiting";
        shown.generation = bundle.manifest.generation;
        shown.bytes = bundle.manifest.payload_bytes;
        shown.entries = static_cast<std::uint32_t>(bundle.manifest.entries.size());
        shown.offered_at = bundle.offered_at;
        view.bundles.push_back(std::move(shown));
    }
    return view;
}

}  // namespace longhaul::control
