// The runner's standing tasks, and how it shows itself.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/runner.h"

#include <algorithm>

namespace longhaul::control {

Runner::Runner(DatasetRecord record, StateStore& state, Ports& ports, const CoreConfig& config,
               CoreStats& stats, MakeId make_id)
    : record_(std::move(record)),
      state_(state),
      ports_(ports),
      config_(config),
      stats_(stats),
      make_id_(std::move(make_id)),
      failures_(std::make_shared<Failures>(record_.spec.name)),
      entries_cap_(wire::kEntriesMax) {}

Demand Runner::demand() const {
    return {record_.spec.name, record_.spec.target.site, record_.spec.traffic, record_.spec.link,
            busy() || mark_wanted()};
}

void Runner::set_flow(const Flow& flow) {
    flow_ = flow;
}

void Runner::tick(Moment now) {
    turn_at_ = now.steady;
    pending_.release_due(now.steady);
    delete_hold_.judge({record_.spec.delete_hold_share, record_.spec.delete_hold_objects}, now.steady,
                       published_.objects);
    follow_up(now);
    const bool waits = busy() || mark_wanted();
    if (waits && !work_waits_) {
        moved_at_ = now.wall;
        drain_.begin(now.steady);
    }
    work_waits_ = waits;
    if (!connected_ || store_open_ || now.steady < store_retry_at_) return;
    const std::string directory = record_.spec.source.substr(std::string_view("posix:").size());
    const auto opened = ports_.store_open(static_cast<std::uint64_t>(record_.id), directory, false);
    store_open_ = opened.ok();
    store_problem_ = opened ? std::string() : "the dataplane cannot open the source: " + opened.error().text;
    store_retry_at_ = now.steady + kSecond;
}

void Runner::advance_watermarks() {
    raise(record_.watermarks.w_disc, ledger_.discovered());
}

std::string Runner::obstacle() const {
    if (!source_problem_.empty()) return source_problem_;
    if (!connected_) return "the dataplane is not connected: start longhaul-dataplane, or look at its log";
    for (const auto* text : {&store_problem_, &flow_.obstacle, &offer_problem_, &target_problem_})
        if (!text->empty()) return *text;
    if (delete_hold_.holds())
        return std::to_string(pending_.removes()) +
               " deletes are held because they are unusually many: if they are meant, release them with "
               "`longhaul datasets release-deletes " +
               record_.spec.name + "`";
    return {};
}

std::uint64_t Runner::release_deletes() {
    const std::uint64_t held = delete_hold_.holds() ? pending_.removes() : 0;
    delete_hold_.release();
    return held;
}

std::string Runner::limited_by() const {
    const auto* oldest = pending_.oldest();
    if (oldest == nullptr) return open_.empty() ? std::string() : "mark on its way";
    const char* doing = oldest->place == Place::in_flight ? "in flight: "
                        : oldest->place == Place::backoff ? "failing, will be tried again: "
                        : oldest->place == Place::large   ? "large file in ranges: "
                                                          : "waiting to be sent: ";
    return doing + shown_path(oldest->path);
}

RunnerView Runner::view(Moment now) {
    RunnerView view;
    view.facts.watermarks = record_.watermarks;
    view.facts.rpo_target_s = record_.spec.rpo_target_s;
    view.facts.source_readable = source_readable_;
    view.facts.work_waits = work_waits_;
    view.facts.moved_at = moved_at_;
    view.facts.obstacle = obstacle();

    auto& rpo = view.dataset.rpo;
    rpo.dataset = record_.spec.name;
    rpo.site = record_.spec.target.site;
    rpo.role = "source";
    rpo.rescan_s = record_.spec.rescan_s;
    const bool counting = sweeps_done_ == 0 && sweeping_;
    rpo.objects_total = counting ? std::max(record_.objects_total, objects_found_) : record_.objects_total;
    rpo.bytes_total = counting ? std::max(record_.bytes_total, bytes_found_) : record_.bytes_total;
    rpo.objects_behind = pending_.size();
    rpo.bytes_behind =
        pending_.undurable_bytes() - std::min(pending_.undurable_bytes(), large_durable_bytes_);
    rpo.objects_published = published_.objects;
    rpo.bytes_published = published_.bytes;
    rpo.objects_failing = failures_->size();
    rpo.drain_bps = drain_.rate_bps(now.steady);
    rpo.limited_by = limited_by();
    if (rpo.objects_behind == 0 && !counting) {
        rpo.eta_s = 0;
    } else if (counting) {
        rpo.eta_reason = "the first sweep is still counting";
    } else if (rpo.drain_bps > 0) {
        rpo.eta_s = static_cast<double>(rpo.bytes_behind) * 8 / rpo.drain_bps;
    } else {
        rpo.eta_reason =
            view.facts.obstacle.empty() ? "nothing has moved in the last 10 s" : view.facts.obstacle;
    }

    view.dataset.spec = record_.spec;
    view.dataset.target_store = record_.target_store;
    view.dataset.link = flow_.assigned ? flow_.link.name : std::string();
    view.dataset.last_sweep_started = sweep_started_;
    view.dataset.last_sweep_took_s = sweep_took_s_;
    view.dataset.sweeps = sweeps_done_;
    view.dataset.deletes_held = delete_hold_.holds() ? pending_.removes() : 0;
    view.dataset.problem = view.facts.obstacle;
    if (view.dataset.problem.empty() && rpo.objects_failing > 0)
        view.dataset.problem = std::to_string(rpo.objects_failing) +
                               " objects fail: their reasons are in the dataset's failures";

    view.flow = {record_.spec.name,
                 record_.spec.target.site,
                 view.dataset.link,
                 record_.spec.traffic,
                 flow_.rate_bps,
                 static_cast<std::uint64_t>(rpo.drain_bps),
                 static_cast<std::uint32_t>(open_.size())};
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
