// Between the loop and the dataplane: events and links come in; flows, bundles and acknowledgements follow.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/dataset/core_loop.h"

namespace longhaul::control {

namespace {

constexpr int kRoundsPerTurn = 16;
constexpr TimeNs kLinksEvery = 500 * kMillisecond;

}  // namespace

void CoreLoop::on_dataplane_up(const command::StatusReport& status) {
    post([this, status](Moment now) {
        links_at_ = 0;
        connected_ = true;
        targets_.on_dataplane_up();
        for (auto& [id, dataset] : datasets_)
            dataset->runner.on_dataplane_up(status, now);
        for (const auto& event : status.bundles)
            settle(event, now);
        cancel_strangers(status);
    });
}

void CoreLoop::on_dataplane_down() {
    post([this](Moment) {
        connected_ = false;
        targets_.on_dataplane_down();
        for (auto& [id, dataset] : datasets_)
            dataset->runner.on_dataplane_down();
    });
}

void CoreLoop::on_bundle(const command::BundleEvent& event) {
    post([this, event](Moment now) { settle(event, now); });
}

void CoreLoop::on_mark(std::uint64_t store, WallNs watermark) {
    post([this, store, watermark](Moment now) { targets_.on_mark(store, watermark, now.wall); });
}

void CoreLoop::on_order(const command::OrderEvent& event) {
    post([this, event](Moment now) { targets_.on_order(event, now.steady); });
}

void CoreLoop::on_link(const command::LinkStatus&) {
    post([this](Moment) { links_at_ = 0; });
}

void CoreLoop::settle(const command::BundleEvent& event, Moment at) {
    for (auto& [id, dataset] : datasets_)
        if (dataset->runner.on_bundle(event, at)) return;
    // Nobody's: recorded before a crash that swallowed the acknowledgement, or of a dataset that was removed.
    if (event.stage == wire::Stage::published || event.stage == wire::Stage::failed)
        strangers_.push_back(event.id);
}

void CoreLoop::cancel_strangers(const command::StatusReport& status) {
    for (const auto& bundle : status.in_flight) {
        const bool owned = std::any_of(datasets_.begin(), datasets_.end(),
                                       [&](const auto& entry) { return entry.second->runner.owns(bundle); });
        if (!owned) static_cast<void>(ports_.bundle_cancel(bundle).ok());
    }
}

void CoreLoop::refresh_links(Moment at) {
    if (at.steady < links_at_) return;
    links_at_ = at.steady + kLinksEvery;
    std::map<std::string, bool> asked;
    links_.clear();
    for (const auto& spec : specs()) {
        if (!asked.emplace(spec.target.site, true).second) continue;
        for (auto& link : ports_.links_to(spec.target.site)) {
            link.peer_site = spec.target.site;
            links_.push_back(std::move(link));
        }
    }
}

void CoreLoop::assign_flows() {
    std::vector<Demand> demands;
    for (const auto& [id, dataset] : datasets_)
        demands.push_back(dataset->runner.demand());
    const auto flows = assign(demands, links_);
    std::size_t next = 0;
    for (auto& [id, dataset] : datasets_)
        dataset->runner.set_flow(flows[next++]);
}

bool CoreLoop::compose(Moment at) {
    bool any = false;
    for (int round = 0; round < kRoundsPerTurn; ++round) {
        any = false;
        for (auto& [id, dataset] : datasets_) {
            if (open_bundles() >= config_.bundles_in_flight_max) break;
            any = (started_ && dataset->runner.compose(at)) || any;
        }
        if (!any) break;
    }
    state_->commit();
    flush(at);
    return any;
}

void CoreLoop::flush(Moment at) {
    if (!strangers_.empty() && ports_.bundle_ack(strangers_)) strangers_.clear();
    for (auto& [id, dataset] : datasets_)
        dataset->runner.flush(at);
}

std::size_t CoreLoop::open_bundles() const {
    std::size_t open = 0;
    for (const auto& [id, dataset] : datasets_)
        open += dataset->runner.open_bundles();
    return open;
}

}  // namespace longhaul::control
