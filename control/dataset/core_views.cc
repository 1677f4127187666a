// The read-only views: each reads the copy that the loop left, and judges it by the time of the look.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/core_loop.h"

namespace longhaul::control {

void CoreLoop::leave_copy(Moment at) {
    Copy fresh;
    for (const auto& [id, dataset] : datasets_) {
        fresh.runners.push_back(dataset->runner.view(at));
        fresh.failures.emplace(dataset->runner.spec().name, dataset->runner.failures());
    }
    fresh.targets = targets_.views();
    fresh.stats = stats_;
    fresh.stats.order_violations = targets_.order_violations();
    const std::scoped_lock lock(copy_mutex_);
    copy_ = std::move(fresh);
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

void CoreLoop::judge_source(const RunnerView& runner, WallNs at, RpoView& view) {
    judge(runner.facts, at, view);
    if (view.state == "STALLED" && !runner.facts.obstacle.empty()) view.limited_by = runner.facts.obstacle;
}

RpoView CoreLoop::judge_target(const TargetView& target, WallNs at) const {
    RpoView view = target.rpo;
    RpoFacts facts = target.facts;
    const double silence_s = static_cast<double>(at - target.heard_at) / 1e9;
    facts.work_waits = silence_s > mark_silence_s(view.rescan_s);
    facts.moved_at = target.heard_at;
    judge(facts, at, view);
    view.site = config_.site;
    view.limited_by = facts.obstacle;
    if (facts.obstacle.empty() && facts.work_waits)
        view.limited_by = "no watermark has arrived for " +
                          std::to_string(static_cast<std::int64_t>(silence_s)) +
                          " s: the link or the source is down";
    return view;
}

}  // namespace longhaul::control
