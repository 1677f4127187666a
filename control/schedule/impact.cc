// Time to breach: with rate r against changes c, the lag grows by 1 - r/c a second (research: rpo, 4.2).
// SPDX-License-Identifier: Apache-2.0
#include "control/schedule/impact.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/values.h"

namespace longhaul::control {

namespace {

// Nullopt: it holds for as long as one likes.
std::optional<double> time_to_breach_s(const Demand& demand, double change_bps, const Flow& without) {
    if (!demand.lag_s || demand.rpo_target_s <= 0) return std::nullopt;  // seeding: nothing to breach yet
    const double left_s = std::max(0.0, demand.rpo_target_s - *demand.lag_s);
    if (!without.assigned) return left_s;
    const double rate = static_cast<double>(without.rate_bps);
    if (rate < change_bps) return left_s / (1 - rate / change_bps);
    if (demand.active && without.slack_s && *without.slack_s < 0) return left_s;
    return std::nullopt;
}

}  // namespace

LinkImpact impact(const std::string& link, double window_s, const std::vector<Demand>& demands,
                  const std::vector<double>& change_bps, const std::vector<Flow>& flows,
                  std::vector<LinkNow> links, TimeNs now) {
    LinkImpact out;
    out.link = link;
    out.window_s = window_s;
    for (auto& other : links) {
        if (other.choice.name != link) continue;
        out.site = other.choice.peer_site;
        out.lost_bps = other.capacity_bps;
        other.open = false;
        other.why = "drain";
    }
    for (const auto& other : links)
        if (other.open && other.choice.peer_site == out.site) out.left_bps += other.capacity_bps;
    const auto without = solve(demands, links, now);
    for (std::size_t i = 0; i < demands.size(); ++i) {
        const bool was_on_it = flows[i].assigned && flows[i].link.name == link;
        const bool gets_less = without[i].rate_bps < flows[i].rate_bps;
        if (demands[i].target_site != out.site || (!was_on_it && !gets_less)) continue;
        LinkImpact::Row row;
        row.dataset = demands[i].dataset;
        row.rpo_target_s = demands[i].rpo_target_s;
        row.lag_s = demands[i].lag_s;
        row.link_after = without[i].assigned ? without[i].link.name : std::string();
        row.rate_bps = flows[i].rate_bps;
        row.rate_after_bps = without[i].rate_bps;
        row.change_bps = change_bps[i];
        row.time_to_breach_s = time_to_breach_s(demands[i], change_bps[i], without[i]);
        row.breaks = row.time_to_breach_s && *row.time_to_breach_s < window_s;
        if (row.breaks)
            row.reason = !without[i].assigned
                             ? "there is no other way: " + without[i].obstacle
                             : fmt::format("link {} would give it {}, it needs {}", row.link_after,
                                           format_rate(static_cast<double>(row.rate_after_bps)),
                                           format_rate(std::max(change_bps[i], needs_bps(demands[i]))));
        out.rows.push_back(std::move(row));
    }
    std::stable_sort(out.rows.begin(), out.rows.end(), [](const auto& a, const auto& b) {
        return a.time_to_breach_s.value_or(1e18) < b.time_to_breach_s.value_or(1e18);
    });
    return out;
}

}  // namespace longhaul::control
