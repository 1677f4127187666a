// A turn: claims, then a link for everyone, then each link's rates.
// SPDX-License-Identifier: Apache-2.0
#include "control/schedule/schedule.h"

#include <algorithm>

#include "control/schedule/solve.h"

namespace longhaul::control {

namespace {

constexpr double kTurn_s = static_cast<double>(kScheduleTurn) / 1e9;
constexpr double kAskMin_bps = 500'000;  // an active flow can use this much, whatever it has shown so far
constexpr double kGrowth = 1.25;         // and this much more than it drained lately
// The dataplane is kept the bottleneck by a little, or its own caution would be taken off twice.
constexpr double kAhead = 1.02;
constexpr double kUnlimited = 1e15;

}  // namespace

bool traffic_known(const std::string& traffic) noexcept {
    return traffic == "latency" || traffic == "bulk" || traffic == "scavenger";
}

double traffic_weight(const std::string& traffic) noexcept {
    if (traffic == "latency") return 4;
    return traffic == "scavenger" ? 1 : 2;
}

const char* to_string(FlowReason reason) {
    switch (reason) {
        case FlowReason::none:
            return "none";
        case FlowReason::idle:
            return "idle";
        case FlowReason::floor:
            return "floor";
        case FlowReason::deadline:
            return "deadline";
        case FlowReason::late:
            return "late";
        case FlowReason::cap:
            return "cap";
        case FlowReason::share:
            return "share";
        case FlowReason::demand:
            return "demand";
        case FlowReason::leftover:
            return "leftover";
    }
    return "none";
}

std::uint64_t payload_bps(const LinkChoice& link, std::uint64_t rate_bps) {
    return static_cast<std::uint64_t>(static_cast<double>(rate_bps) * kAhead * link.payload_share);
}

double needs_bps(const Demand& demand) {
    return claim_of(demand).need;
}

std::vector<LinkNow> links_now(const std::vector<LinkChoice>& links, WallNs wall) {
    std::vector<LinkNow> out;
    out.reserve(links.size());
    const auto better = [&](const LinkChoice& link) {  // answers where this one does not
        return std::any_of(links.begin(), links.end(), [&](const LinkChoice& other) {
            return other.peer_site == link.peer_site && other.up && other.answering;
        });
    };
    for (const auto& choice : links) {
        LinkNow link;
        link.choice = choice;
        const auto rate = choice.calendar.at(wall, choice.rate_bps);
        link.capacity_bps = payload_bps(choice, rate.bps);
        const bool mute = choice.up && !choice.answering && better(choice);
        link.open = choice.up && !mute && link.capacity_bps > 0;
        link.closing = link.open && choice.calendar.closes_within(wall, kDrainAheadNs).has_value();
        link.why = mute ? "silence: what is sent is not answered" : choice.up ? rate.why : "not up";
        out.push_back(std::move(link));
    }
    return out;
}

void LinkHistory::note(std::vector<LinkNow>& links, TimeNs now) {
    for (LinkNow& link : links) {
        Known& known = links_[link.choice.link];
        if (known.open && !link.open) known.lost = true;
        if (!known.open && link.open && known.lost) known.restored_at = now;
        known.open = link.open;
        link.restored_at = known.restored_at;
    }
}

Claim claim_of(const Demand& demand) {
    Claim claim;
    claim.weight = traffic_weight(demand.traffic) * demand.weight;
    claim.active = demand.active;
    claim.scavenger = demand.traffic == "scavenger";
    claim.cap = demand.cap_bps > 0 ? static_cast<double>(demand.cap_bps) : kUnlimited;
    const double behind_bits = static_cast<double>(demand.bytes_behind) * 8;
    const double use = std::max(behind_bits / kTurn_s, demand.drain_bps * kGrowth) + kAskMin_bps;
    claim.limit = std::min(use, claim.cap);
    claim.floor = std::min(static_cast<double>(demand.floor_bps), claim.limit);
    if (!demand.lag_s || demand.rpo_target_s <= 0 || claim.scavenger) return claim;
    // A turn passes until the rate is in force, another until it can be mended.
    const double left_s = demand.rpo_target_s - *demand.lag_s - 2 * kTurn_s;
    claim.late = demand.rpo_target_s - *demand.lag_s <= 0;
    claim.need =
        behind_bits * kNeedMargin / (left_s > kTurn_s ? left_s : std::max(demand.rpo_target_s, kTurn_s));
    claim.need = std::min(claim.need, claim.limit);
    return claim;
}

std::vector<Flow> solve(const std::vector<Demand>& demands, const std::vector<LinkNow>& links, TimeNs now) {
    std::vector<Flow> flows(demands.size());
    std::vector<Claim> claims;
    claims.reserve(demands.size());
    for (const auto& demand : demands)
        claims.push_back(claim_of(demand));
    const auto placed = place(demands, claims, links, now, flows);
    std::vector<std::vector<std::size_t>> on_link(links.size());
    for (std::size_t i = 0; i < demands.size(); ++i) {
        if (placed[i] == kNoLink) continue;
        flows[i].assigned = true;
        flows[i].link = links[placed[i]].choice;
        on_link[placed[i]].push_back(i);
    }
    for (std::size_t l = 0; l < links.size(); ++l)
        share_out(on_link[l], demands, claims, static_cast<double>(links[l].capacity_bps), flows);
    return flows;
}

}  // namespace longhaul::control
