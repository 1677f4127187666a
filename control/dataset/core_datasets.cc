// Datasets come and go: those whose source is here, and those whose replica stands here.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>

#include "control/dataset/core_loop.h"
#include "control/dataset/validate.h"
#include "control/publish/placement.h"

namespace longhaul::control {

namespace {

Error refused(const std::string& dataset, const std::vector<std::string>& reasons) {
    std::string text = "dataset " + dataset + " cannot hold its policy";
    for (const auto& reason : reasons)
        text += (&reason == &reasons.front() ? ": " : "; ") + reason;
    return {ErrorCode::invalid_argument, text};
}

}  // namespace

Result<DatasetView> CoreLoop::dataset_create(const DatasetSpec& wanted) {
    auto spec = validate(wanted, config_.site);
    if (!spec) return spec.error();
    if (auto fits = call<void>([this, &spec](Moment) { return fits_among(spec.value(), specs()); }); !fits)
        return fits.error();
    if (auto exists = link_exists(spec.value(), ports_.links_to(spec.value().target.site)); !exists)
        return exists.error();
    const auto plan = plan_of(spec.value());
    if (!plan) return plan.error();
    if (!plan.value().refusals.empty()) return refused(spec.value().name, plan.value().refusals);
    if (auto released = release_before(spec.value()); !released) return released.error();
    const auto accepted = ports_.target_accept(spec.value());  // may take seconds: on the caller's thread
    if (!accepted) return accepted.error();
    auto created = call<void>([&, this](Moment now) -> Result<void> {
        if (auto fits = fits_among(spec.value(), specs()); !fits) return fits;
        DatasetRecord record;
        record.spec = spec.value();
        record.target_store = accepted.value().store;
        record.created = now.wall;
        record.id = state_->dataset_add(record);
        state_->commit();
        add(std::move(record), now);
        leave_copy(now);
        return {};
    });
    if (!created) return created.error();
    auto view = dataset(spec.value().name);
    if (view) view.value().warnings = plan.value().warnings;
    return view;
}

// The same checks as at its creation; what is refused leaves everything as it was.
Result<DatasetView> CoreLoop::dataset_change(const std::string& name, const DatasetChange& change) {
    std::vector<std::string> warnings;
    auto changed = call<void>([&, this](Moment now) -> Result<void> {
        const auto found = find(name);
        if (found == datasets_.end()) return unknown(name);
        DatasetSpec spec = found->second->runner.spec();
        spec.link = change.link.value_or(spec.link);
        spec.floor_bps = change.floor_bps.value_or(spec.floor_bps);
        spec.cap_bps = change.cap_bps.value_or(spec.cap_bps);
        spec.weight = change.weight.value_or(spec.weight);
        const auto links = ports_.links_to(spec.target.site);
        if (change.link)
            if (auto exists = link_exists(spec, links); !exists) return exists;
        if (change.of_policy()) {
            if (auto rates = check_rates(spec); !rates) return rates;
            const auto plan = admit(spec, committed(), links_now(links, now.wall));
            if (!plan.refusals.empty()) return refused(name, plan.refusals);
            warnings = plan.warnings;
            found->second->runner.set_policy(spec);
        }
        if (change.link) found->second->runner.set_link(spec.link);
        state_->commit();
        solve_at_ = 0;
        assign_flows(now);
        leave_copy(now);
        return {};
    });
    if (!changed) return changed.error();
    auto view = dataset(name);
    if (view) view.value().warnings = warnings;
    return view;
}

Result<void> CoreLoop::dataset_remove(const std::string& name) {
    return call<void>([&, this](Moment now) -> Result<void> {
        const auto found = find(name);
        if (found == datasets_.end()) return unknown(name);
        const auto& record = found->second->runner.record();
        releases_.push_back({record.target_store, record.spec.target.site, name});
        state_->release_put(releases_.back());
        found->second->runner.leave();
        close_eyes(*found->second);
        forget_monitor(subject_of(found->second->runner.spec()), now);
        state_->dataset_remove(found->first);
        datasets_.erase(found);
        state_->commit();
        leave_copy(now);
        tell_of(releases_.back());
        return {};
    });
}

// Once now, and again whenever its site is heard of (on_peer), until it has been told.
void CoreLoop::tell_of(const ReleaseRecord& release) {
    if (!telling_.insert(release.store).second) return;
    peers_.post([this, release] {
        if (auto told = tell(release); !told)
            spdlog::info("dataset {}: site {} could not be told of its removal yet: {}", release.dataset,
                         release.site, told.error().text);
        post([this, store = release.store](Moment) { telling_.erase(store); });
    });
}

Result<void> CoreLoop::tell(const ReleaseRecord& release) {
    const auto told = ports_.target_release(release.dataset, release.site, release.store);
    if (!told && told.error().code != ErrorCode::not_found) return told.error();
    post([this, store = release.store](Moment) {
        std::erase_if(releases_, [store](const ReleaseRecord& known) { return known.store == store; });
        state_->release_done(store);
        state_->commit();
    });
    return {};
}

// Or the target would take the new dataset for the one that was removed.
Result<void> CoreLoop::release_before(const DatasetSpec& spec) {
    std::vector<ReleaseRecord> before;
    auto asked = call<void>([&, this](Moment) -> Result<void> {
        for (const auto& release : releases_)
            if (release.site == spec.target.site && release.dataset == spec.name) before.push_back(release);
        return {};
    });
    for (const auto& release : before)
        if (auto told = tell(release); !told) return told;
    return asked;
}

Result<void> CoreLoop::dataset_rescan(const std::string& name) {
    return call<void>([this, &name](Moment) -> Result<void> {
        const auto found = find(name);
        if (found == datasets_.end()) return unknown(name);
        found->second->runner.rescan_now();
        return {};
    });
}

Result<DatasetView> CoreLoop::dataset_verify(const std::string& name) {
    auto started = call<void>([this, &name](Moment now) -> Result<void> {
        const auto found = find(name);
        if (found == datasets_.end()) return unknown(name);
        found->second->runner.verify_start(now);
        state_->commit();
        leave_copy(now);
        return {};
    });
    if (!started) return started.error();
    return dataset(name);
}

Result<std::uint64_t> CoreLoop::dataset_release_deletes(const std::string& name) {
    return call<std::uint64_t>([this, &name](Moment) -> Result<std::uint64_t> {
        const auto found = find(name);
        if (found == datasets_.end()) return unknown(name);
        const std::uint64_t held = found->second->runner.release_deletes();
        if (held > 0) spdlog::warn("dataset {}: {} held deletes were released", name, held);
        return held;
    });
}

Result<TargetAccepted> CoreLoop::accept_target(const std::string& source_site, const DatasetSpec& spec) {
    if (source_site.empty() || source_site == config_.site)
        return Error{ErrorCode::invalid_argument,
                     "the source's site must be another site than " + config_.site};
    const auto held = call<std::string>(
        [&, this](Moment) -> Result<std::string> { return targets_.directory_of(source_site, spec.name); });
    if (!held) return held.error();
    // A directory that held a replica is not made anew.
    auto directory = place_store(config_.allowed_roots, spec.target.store, held.value());
    if (!directory) return directory.error();
    return call<TargetAccepted>([&, this](Moment now) -> Result<TargetAccepted> {
        std::vector<std::string> sources;
        for (const auto& other : specs())
            sources.push_back(directory_of_store(other.source).value());
        auto accepted = targets_.accept(source_site, spec, directory.value(), sources, now.wall);
        state_->commit();
        leave_copy(now);
        return accepted;
    });
}

Result<void> CoreLoop::release_target(const std::string& source_site, const std::string& dataset,
                                      std::uint64_t store) {
    return call<void>([&, this](Moment now) {
        auto released = targets_.release(source_site, dataset, store);
        if (released) forget_monitor("target/" + source_site + "/" + dataset, now);
        state_->commit();
        leave_copy(now);
        return released;
    });
}

void CoreLoop::add(DatasetRecord record, Moment at) {
    const auto id = record.id;
    auto dataset = std::make_unique<Dataset>(std::move(record), *state_, ports_, config_, stats_);
    dataset->runner.load(at);
    if (connected_) dataset->runner.on_dataplane_up({}, at);  // new: the dataplane knows nothing of it
    open_feed(*dataset);
    datasets_.emplace(id, std::move(dataset));
    links_at_ = solve_at_ = 0;
}

CoreLoop::Datasets::iterator CoreLoop::find(const std::string& name) {
    return std::find_if(datasets_.begin(), datasets_.end(),
                        [&](const auto& entry) { return entry.second->runner.spec().name == name; });
}

std::vector<DatasetSpec> CoreLoop::specs() const {
    std::vector<DatasetSpec> all;
    for (const auto& [id, dataset] : datasets_)
        all.push_back(dataset->runner.spec());
    return all;
}

Error CoreLoop::unknown(const std::string& name) {
    return {ErrorCode::not_found, "there is no dataset " + shown_path(name) + " with its source here"};
}

}  // namespace longhaul::control
