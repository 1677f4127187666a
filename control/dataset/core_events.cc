// Between the loop and the dataplane: events and links come in; flows, bundles and acknowledgements follow.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/dataset/core_loop.h"

namespace longhaul::control {

namespace {

constexpr int kRoundsPerTurn = 16;
constexpr TimeNs kLinksEvery = 500 * kMillisecond;
constexpr TimeNs kSolveSoonest = 200 * kMillisecond;

// What is measured drifts and is taken in at the next turn; what was configured or lost counts at once.
bool differ(const std::vector<LinkChoice>& before, const std::vector<LinkChoice>& now) {
    return !std::equal(
        before.begin(), before.end(), now.begin(), now.end(), [](const LinkChoice& a, const LinkChoice& b) {
            return a.link == b.link && a.peer_site == b.peer_site && a.up == b.up &&
                   a.answering == b.answering && a.rate_bps == b.rate_bps && a.calendar == b.calendar;
        });
}

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
    post([this, store, watermark](Moment now) {
        const auto clock = clocks_.find(targets_.source_of(store));
        const bool known = clock != clocks_.end();
        const double ahead_s =
            known ? static_cast<double>(watermark - now.wall - clock->second.best()->offset_ns) / 1e9 -
                        clock->second.best()->uncertainty_s(now.wall)
                  : 0;
        if (ahead_s > kWatermarkAheadMax_s) return refuse_mark(store, watermark, now);
        targets_.on_mark(store, watermark, now.wall);
    });
}

void CoreLoop::on_order(const command::OrderEvent& event) {
    post([this, event](Moment now) {
        std::string violation = targets_.on_order(event, now.steady);
        if (!violation.empty()) order_violated(event.store, std::move(violation), now);
    });
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
    std::vector<LinkChoice> links;
    for (const auto& [id, dataset] : datasets_) {
        const std::string& site = dataset->runner.spec().target.site;
        if (!asked.emplace(site, true).second) continue;
        for (auto& link : ports_.links_to(site)) {
            link.peer_site = site;
            links.push_back(std::move(link));
        }
    }
    if (differ(links_, links)) solve_at_ = 0;
    links_ = std::move(links);
}

// Solved every turn; at once when a link has changed; soon when somebody has found work.
void CoreLoop::assign_flows(Moment at) {
    const bool woken = std::any_of(datasets_.begin(), datasets_.end(),
                                   [](const auto& entry) { return entry.second->runner.woken(); });
    if (woken) solve_at_ = std::min(solve_at_, solved_at_ + kSolveSoonest);
    if (at.steady < solve_at_) return;
    solved_at_ = at.steady;
    solve_at_ = at.steady + kScheduleTurn;
    std::vector<Demand> demands;
    demands.reserve(datasets_.size());
    for (const auto& [id, dataset] : datasets_)
        demands.push_back(dataset->runner.demand(at));
    auto links = links_now(links_, at.wall);
    link_history_.note(links, at.steady);
    const auto flows = solve(demands, links, at.steady);
    ++stats_.schedule_turns;
    std::size_t next = 0;
    for (auto& [id, dataset] : datasets_)
        dataset->runner.set_flow(flows[next++], at, stats_.schedule_turns);
}

bool CoreLoop::compose(Moment at) {
    bool any = false;
    std::size_t open = open_bundles();
    for (int round = 0; round < kRoundsPerTurn; ++round) {
        any = false;
        // Begins behind the one that went last, so that a full dataplane serves all in turn.
        auto next = datasets_.upper_bound(composed_last_);
        for (std::size_t count = 0; count < datasets_.size(); ++count, ++next) {
            if (next == datasets_.end()) next = datasets_.begin();
            if (open >= config_.bundles_in_flight_max) break;
            if (!started_ || !next->second->runner.compose(at)) continue;
            any = true;
            ++open;
            composed_last_ = next->first;
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
