// Which flows get less without the link, and whether they then fall behind.
// SPDX-License-Identifier: Apache-2.0
#include "control/schedule/impact.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/values.h"
#include "control/rpo/forecast.h"

namespace longhaul::control {

namespace {

// By the formula that alarms and views go by (rpo/forecast), with the rate that it would get. Nullopt: it holds for as
// long as one likes.
std::optional<double> time_to_breach_without(const Demand& demand, double change_bps, const Flow& without) {
    Load load;
    load.lag_s = demand.lag_s;
    load.rpo_target_s = demand.rpo_target_s;
    load.bytes_behind = load.oldest_bytes = demand.bytes_behind;
    load.waits = true;  // an idle source, too, needs its marks carried
    load.change_bps = change_bps;
    load.drain_bps = without.assigned ? static_cast<double>(without.rate_bps) : 0;
    return time_to_breach_s(load);
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
        row.time_to_breach_s = time_to_breach_without(demands[i], change_bps[i], without[i]);
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
