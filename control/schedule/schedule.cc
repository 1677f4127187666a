// First a link for everyone, then each link's rate by the weights of those who are active on it.
// SPDX-License-Identifier: Apache-2.0
#include "control/schedule/schedule.h"

#include <map>

namespace longhaul::control {

namespace {

Flow choose(const Demand& demand, const std::vector<LinkChoice>& links) {
    Flow flow;
    bool leads_there = false;
    bool wish_exists = false;
    for (const auto& link : links) {
        if (link.peer_site != demand.target_site) continue;
        leads_there = true;
        if (!demand.link.empty() && link.name != demand.link) continue;
        wish_exists = true;
        if (!link.up || (flow.assigned && flow.link.link <= link.link)) continue;
        flow.assigned = true;
        flow.link = link;
    }
    if (flow.assigned) return flow;
    if (!leads_there)
        flow.obstacle = "no link to site " + demand.target_site + " is configured: add one";
    else if (!wish_exists)
        flow.obstacle = "link " + demand.link + " does not lead to site " + demand.target_site +
                        ": name one that does, or none";
    else
        flow.obstacle = demand.link.empty() ? "no link to site " + demand.target_site + " is up"
                                            : "link " + demand.link + " is not up";
    return flow;
}

}  // namespace

bool traffic_known(const std::string& traffic) noexcept {
    return traffic == "latency" || traffic == "bulk" || traffic == "scavenger";
}

unsigned traffic_weight(const std::string& traffic) noexcept {
    if (traffic == "latency") return 4;
    return traffic == "scavenger" ? 1 : 2;
}

std::vector<Flow> assign(const std::vector<Demand>& demands, const std::vector<LinkChoice>& links) {
    std::vector<Flow> flows;
    std::map<std::uint8_t, std::uint64_t> weights;  // of the active demands on each link
    for (const auto& demand : demands) {
        flows.push_back(choose(demand, links));
        if (flows.back().assigned && demand.active)
            weights[flows.back().link.link] += traffic_weight(demand.traffic);
    }
    for (std::size_t i = 0; i < demands.size(); ++i) {
        if (!flows[i].assigned) continue;
        const std::uint64_t own = traffic_weight(demands[i].traffic);
        const std::uint64_t all = weights[flows[i].link.link] + (demands[i].active ? 0 : own);
        flows[i].rate_bps = flows[i].link.rate_bps * own / all;
    }
    return flows;
}

}  // namespace longhaul::control
