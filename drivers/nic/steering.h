// Which of a port's queues receives a lane: one flow rule of the device for each UDP port that somebody sends to us. Where
// the device keeps no rules (or none of these) frames come by any queue, and workers hand them to each other.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_flow.h>

#include <array>
#include <cstdint>
#include <map>

#include "dataplane/base/result.h"
#include "drivers/nic/nic.h"

namespace longhaul::nic {

// What rte_flow is told: frames of one sender to one UDP port go to one queue. Points into itself, so it stays where it is.
class SteeringRule {
  public:
    SteeringRule(const SteeredFlow& flow, std::uint16_t vlan, unsigned queue);
    SteeringRule(const SteeringRule&) = delete;
    SteeringRule& operator=(const SteeringRule&) = delete;

    const rte_flow_attr& attributes() const { return attributes_; }
    const rte_flow_item* pattern() const { return pattern_.data(); }
    const rte_flow_action* actions() const { return actions_.data(); }

  private:
    rte_flow_attr attributes_{};
    rte_flow_item_vlan vlan_{}, vlan_mask_{};
    rte_flow_item_ipv4 v4_{}, v4_mask_{};
    rte_flow_item_ipv6 v6_{}, v6_mask_{};
    rte_flow_item_udp udp_{}, udp_mask_{};
    std::array<rte_flow_item, 5> pattern_{};  // Ethernet, VLAN if any, IP, UDP, end
    rte_flow_action_queue queue_{};
    std::array<rte_flow_action, 2> actions_{};
};

// A port's rules, as wanted and as the device holds them. One thread at a time (DpdkPort's control mutex).
class Steering {
  public:
    // Replaces the rule of the same flow. An error says why the device does not take it; then it has none for this flow.
    Result<void> steer(std::uint16_t port, const SteeredFlow& flow, std::uint16_t vlan, unsigned queue);
    void forget(std::uint16_t port, const SteeredFlow& flow);
    // A stopped device loses its rules: `stopped` before it stops, `started` once it runs again.
    void stopped(std::uint16_t port);
    void started(std::uint16_t port, std::uint16_t vlan);

  private:
    struct Held {
        unsigned queue = 0;
        rte_flow* rule = nullptr;  // the device's; nullptr while it is stopped
    };
    static rte_flow* create(std::uint16_t port, const SteeringRule& rule, std::string& why);

    std::map<SteeredFlow, Held> held_;  // at most a link's lanes for each link
};

}  // namespace longhaul::nic
