// Flow rules: what they say, and keeping them at the device.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/nic/steering.h"

#include <rte_byteorder.h>
#include <rte_errno.h>

#include <cstring>

namespace longhaul::nic {
namespace {

constexpr std::uint16_t kVlanIdMask = 0x0fff;  // priority and drop eligibility are the network's to set

rte_flow_item item(rte_flow_item_type type, const void* spec = nullptr, const void* mask = nullptr) {
    rte_flow_item made{};
    made.type = type;
    made.spec = spec;
    made.mask = mask;
    return made;
}

}  // namespace

SteeringRule::SteeringRule(const SteeredFlow& flow, std::uint16_t vlan, unsigned queue) {
    attributes_.ingress = 1;
    std::size_t at = 0;
    pattern_[at++] = item(RTE_FLOW_ITEM_TYPE_ETH);
    if (vlan != 0) {
        vlan_.tci = rte_cpu_to_be_16(vlan);
        vlan_mask_.tci = rte_cpu_to_be_16(kVlanIdMask);
        pattern_[at++] = item(RTE_FLOW_ITEM_TYPE_VLAN, &vlan_, &vlan_mask_);
    }
    if (flow.source.v6) {
        std::memcpy(v6_.hdr.src_addr, flow.source.bytes.data(), sizeof v6_.hdr.src_addr);
        std::memset(v6_mask_.hdr.src_addr, 0xff, sizeof v6_mask_.hdr.src_addr);
        pattern_[at++] = item(RTE_FLOW_ITEM_TYPE_IPV6, &v6_, &v6_mask_);
    } else {
        std::memcpy(&v4_.hdr.src_addr, flow.source.bytes.data(), sizeof v4_.hdr.src_addr);
        v4_mask_.hdr.src_addr = UINT32_MAX;
        pattern_[at++] = item(RTE_FLOW_ITEM_TYPE_IPV4, &v4_, &v4_mask_);
    }
    udp_.hdr.dst_port = rte_cpu_to_be_16(flow.udp_port);
    udp_mask_.hdr.dst_port = UINT16_MAX;
    pattern_[at++] = item(RTE_FLOW_ITEM_TYPE_UDP, &udp_, &udp_mask_);
    pattern_[at] = item(RTE_FLOW_ITEM_TYPE_END);
    queue_.index = static_cast<std::uint16_t>(queue);
    actions_[0].type = RTE_FLOW_ACTION_TYPE_QUEUE;
    actions_[0].conf = &queue_;
    actions_[1].type = RTE_FLOW_ACTION_TYPE_END;
}

rte_flow* Steering::create(std::uint16_t port, const SteeringRule& rule, std::string& why) {
    rte_flow_error error{};
    rte_flow* made = rte_flow_create(port, &rule.attributes(), rule.pattern(), rule.actions(), &error);
    if (made == nullptr) why = error.message != nullptr ? error.message : rte_strerror(rte_errno);
    return made;
}

Result<void> Steering::steer(std::uint16_t port, const SteeredFlow& flow, std::uint16_t vlan,
                             unsigned queue) {
    const auto found = held_.find(flow);
    if (found != held_.end() && found->second.rule != nullptr && found->second.queue == queue) return {};
    forget(port, flow);
    std::string why;
    rte_flow* const rule = create(port, SteeringRule(flow, vlan, queue), why);
    if (rule == nullptr) return Error{ErrorCode::unavailable, why};
    held_[flow] = {queue, rule};
    return {};
}

void Steering::forget(std::uint16_t port, const SteeredFlow& flow) {
    const auto found = held_.find(flow);
    if (found == held_.end()) return;
    rte_flow_error error{};
    if (found->second.rule != nullptr) rte_flow_destroy(port, found->second.rule, &error);
    held_.erase(found);
}

void Steering::stopped(std::uint16_t port) {
    for (auto& [flow, held] : held_) {
        rte_flow_error error{};
        if (held.rule != nullptr) rte_flow_destroy(port, held.rule, &error);
        held.rule = nullptr;
    }
}

// What the device does not take again is steered by nobody; the next steer() says so.
void Steering::started(std::uint16_t port, std::uint16_t vlan) {
    std::string why;
    for (auto& [flow, held] : held_)
        held.rule = create(port, SteeringRule(flow, vlan, held.queue), why);
}

}  // namespace longhaul::nic
