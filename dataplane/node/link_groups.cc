// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/link_groups.h"

#include <algorithm>

#include "dataplane/base/assert.h"
#include "dataplane/worker/link_session.h"

namespace longhaul::node {

using command::LinkState;
using command::LinkStatus;

unsigned groups_agreed(unsigned own, unsigned peer, unsigned lanes) {
    return std::clamp(std::max(own, peer), 1u, std::max(1u, std::min(lanes, worker::kGroupsMax)));
}

std::vector<GroupPlace> place_groups(unsigned groups, unsigned workers, unsigned first, unsigned lanes) {
    LH_ASSERT(groups > 0 && workers > 0 && lanes >= groups);
    std::vector<GroupPlace> places(groups);
    unsigned lane = 0;
    for (unsigned group = 0; group < groups; ++group) {
        GroupPlace& place = places[group];
        place.worker = (first + group) % workers;
        place.part = group / workers;
        place.parts = (groups - group % workers + workers - 1) / workers;
        place.first_lane = lane;
        place.lanes = lanes / groups + (group < lanes % groups ? 1 : 0);
        lane += place.lanes;
    }
    return places;
}

namespace {

// An end without a session comes first: control must agree on a new one.
int badness(LinkState state) {
    switch (state) {
        case LinkState::unconfigured:
        case LinkState::idle:
            return 3;
        case LinkState::down:
            return 2;
        case LinkState::connecting:
            return 1;
        case LinkState::up:
            break;
    }
    return 0;
}

}  // namespace

LinkStatus combined(std::span<const LinkStatus> groups) {
    LH_ASSERT(!groups.empty());
    const auto busier = [](const LinkStatus& a, const LinkStatus& b) { return a.tx_packets < b.tx_packets; };
    LinkStatus all = *std::max_element(groups.begin(), groups.end(), busier);
    const auto sum = [&](auto LinkStatus::*field) {
        all.*field = 0;
        for (const LinkStatus& group : groups)
            all.*field += group.*field;
    };
    for (auto field :
         {&LinkStatus::rate_cap_bps, &LinkStatus::rate_bps, &LinkStatus::bandwidth_bps,
          &LinkStatus::delivered_bps, &LinkStatus::rx_loss_events, &LinkStatus::tx_packets,
          &LinkStatus::tx_wire_bytes, &LinkStatus::tx_payload_bytes, &LinkStatus::tx_parity_packets,
          &LinkStatus::tx_repair_packets, &LinkStatus::tx_lost_packets, &LinkStatus::tx_inflight_bytes,
          &LinkStatus::tx_brakes, &LinkStatus::rx_packets, &LinkStatus::rx_wire_bytes,
          &LinkStatus::rx_payload_bytes, &LinkStatus::rx_symbols_restored, &LinkStatus::rx_stripes_repaired})
        sum(field);
    sum(&LinkStatus::tx_bundles_open);
    sum(&LinkStatus::rx_bundles_open);
    sum(&LinkStatus::lanes);

    all.answering =
        std::all_of(groups.begin(), groups.end(), [](const auto& group) { return group.answering; });
    // A group that still tells of the session before may name lanes that are another's now: each is told of once.
    std::map<std::uint8_t, command::LaneStatus> lanes;
    for (const LinkStatus& group : groups)
        for (const command::LaneStatus& lane : group.lane_list)
            lanes.emplace(lane.lane, lane);
    all.lane_list.clear();
    for (const auto& [number, lane] : lanes)
        all.lane_list.push_back(lane);

    const LinkStatus* worst = &groups[0];
    double lost = 0, sent = 0;
    for (const LinkStatus& group : groups) {
        if (badness(group.state) > badness(worst->state)) worst = &group;
        if (group.session != all.session) all.session.clear();
        if (group.rtt_min_ms > 0) all.rtt_min_ms = std::min(all.rtt_min_ms, group.rtt_min_ms);
        lost += group.loss * static_cast<double>(group.tx_packets);
        sent += static_cast<double>(group.tx_packets);
    }
    if (sent > 0) all.loss = lost / sent;
    all.state = worst->state;
    all.reason = worst->reason;
    if (badness(all.state) == 3) all.session.clear();
    all.groups = static_cast<unsigned>(groups.size());
    return all;
}

void BundleSpread::resize(std::size_t groups) {
    LH_ASSERT(groups > 0);
    open_bytes_.assign(groups, 0);
    for (const auto& [id, held] : bundles_)
        if (held.group < groups) open_bytes_[held.group] += held.bytes;
}

unsigned BundleSpread::choose() const {
    return static_cast<unsigned>(std::min_element(open_bytes_.begin(), open_bytes_.end()) -
                                 open_bytes_.begin());
}

void BundleSpread::add(const wire::BundleId& id, unsigned group, std::uint64_t bytes) {
    settle(id);
    bundles_[id] = {group, bytes};
    if (group < open_bytes_.size()) open_bytes_[group] += bytes;
}

void BundleSpread::settle(const wire::BundleId& id) {
    const auto found = bundles_.find(id);
    if (found == bundles_.end()) return;
    if (found->second.group < open_bytes_.size()) open_bytes_[found->second.group] -= found->second.bytes;
    bundles_.erase(found);
}

const unsigned* BundleSpread::group_of(const wire::BundleId& id) const {
    const auto found = bundles_.find(id);
    return found == bundles_.end() ? nullptr : &found->second.group;
}

bool BundleSpread::any(unsigned group) const {
    return std::any_of(bundles_.begin(), bundles_.end(),
                       [&](const auto& each) { return each.second.group == group; });
}

}  // namespace longhaul::node
