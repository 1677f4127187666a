// The read-only views: each reads the copy that the loop left, and judges it by the time of the look.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/core_loop.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kBreachesShown = 1000;

}  // namespace

void CoreLoop::leave_copy(Moment at) {
    Copy fresh;
    for (const auto& [id, dataset] : datasets_) {
        fresh.runners.push_back(dataset->runner.view(at));
        auto& seen = fresh.runners.back();
        seen.dataset.capture = capture_view(*dataset);
        add_monitored(subject_of(seen.dataset.spec), seen.facts, seen.dataset.rpo);
        fresh.failures.emplace(dataset->runner.spec().name, dataset->runner.failures());
    }
    fresh.targets = targets_.views();
    for (auto& target : fresh.targets) {
        add_clock(target, at.wall);
        add_monitored(subject_of(target), target.facts, target.rpo);
    }
    for (const auto& [site, clock] : clocks_)
        fresh.peer_clocks.push_back({site, static_cast<double>(clock.best()->offset_ns) / 1e9,
                                     clock.best()->uncertainty_s(at.wall), clock.best()->measured_at,
                                     clock.problem(at.wall)});
    if (breaches_changed_) breaches_ = state_->breaches(kBreachesShown);
    breaches_changed_ = false;
    fresh.breaches = breaches_;
    fresh.stats = stats_;
    fresh.stats.order_violations = targets_.order_violations();
    std::vector<std::optional<WallNs>> shown;
    for (const auto& runner : fresh.runners)
        shown.push_back(runner.facts.watermarks.w_pub);
    for (const auto& target : fresh.targets)
        shown.push_back(target.facts.watermarks.w_pub);
    const bool moved = shown != published_shown_;
    published_shown_ = std::move(shown);
    {
        const std::scoped_lock lock(copy_mutex_);
        copy_ = std::move(fresh);
        published_number_ += moved ? 1 : 0;
    }
    if (moved) published_.notify_all();
}

std::uint64_t CoreLoop::wait_for_published(std::uint64_t seen, std::chrono::milliseconds patience) {
    std::unique_lock lock(copy_mutex_);
    published_.wait_for(lock, patience, [&] { return published_number_ != seen; });
    return published_number_;
}

Result<DatasetView> CoreLoop::dataset(const std::string& name) {
    for (auto& view : datasets())
        if (view.spec.name == name) return view;
    return unknown(name);
}

std::vector<DatasetView> CoreLoop::datasets() {
    const WallNs at = wall();
    const std::scoped_lock lock(copy_mutex_);
    std::vector<DatasetView> views;
    for (const auto& runner : copy_.runners) {
        views.push_back(runner.dataset);
        judge_source(runner, at, views.back().rpo);
    }
    return views;
}

std::vector<RpoView> CoreLoop::rpo() {
    const WallNs at = wall();
    const std::scoped_lock lock(copy_mutex_);
    std::vector<RpoView> views;
    for (const auto& runner : copy_.runners) {
        views.push_back(runner.dataset.rpo);
        judge_source(runner, at, views.back());
    }
    for (const auto& target : copy_.targets)
        views.push_back(judge_target(target, at));
    return views;
}

std::vector<BundleView> CoreLoop::bundles() {
    const std::scoped_lock lock(copy_mutex_);
    std::vector<BundleView> views;
    for (const auto& runner : copy_.runners)
        views.insert(views.end(), runner.bundles.begin(), runner.bundles.end());
    return views;
}

std::vector<ObjectFailure> CoreLoop::failures(const std::string& dataset) {
    std::shared_ptr<const Failures> found;
    {
        const std::scoped_lock lock(copy_mutex_);
        if (const auto known = copy_.failures.find(dataset); known != copy_.failures.end())
            found = known->second;
    }
    return found ? found->list() : std::vector<ObjectFailure>();
}

std::vector<FlowView> CoreLoop::flows() {
    const std::scoped_lock lock(copy_mutex_);
    std::vector<FlowView> views;
    for (const auto& runner : copy_.runners)
        views.push_back(runner.flow);
    return views;
}

CoreStats CoreLoop::stats() {
    const std::scoped_lock lock(copy_mutex_);
    return copy_.stats;
}

std::vector<Breach> CoreLoop::breaches() {
    const std::scoped_lock lock(copy_mutex_);
    return copy_.breaches;
}

std::vector<PeerClockView> CoreLoop::peer_clocks() {
    const std::scoped_lock lock(copy_mutex_);
    return copy_.peer_clocks;
}

std::vector<PeerReport::Claim> CoreLoop::claims_for(const std::string& source_site) {
    const std::scoped_lock lock(copy_mutex_);
    std::vector<PeerReport::Claim> claims;
    for (const auto& target : copy_.targets)
        if (target.source_site == source_site)
            claims.push_back({target.rpo.dataset, target.store, target.facts.watermarks.w_pub});
    return claims;
}

void CoreLoop::judge_source(const RunnerView& runner, WallNs at, RpoView& view) {
    judge(runner.facts, at, view);
    if (view.state == "STALLED" && !runner.facts.obstacle.empty()) view.limited_by = runner.facts.obstacle;
}

RpoView CoreLoop::judge_target(const TargetView& target, WallNs at) const {
    RpoView view = judge_at_target(target, at);
    view.site = config_.site;
    return view;
}

}  // namespace longhaul::control
