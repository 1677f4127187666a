// One flow rule a lane. A port with one queue needs none; one that takes no rules costs a hand-over a frame, not more.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/lane_steering.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace longhaul::node {

void LaneSteering::place(std::uint8_t link, std::size_t port, const wire::IpAddress& remote,
                         std::uint16_t udp_port_base, std::span<const GroupPlace> places) {
    Steered before;
    if (auto node = links_.extract(link)) before = std::move(node.mapped());
    Steered& now = links_[link];
    now.port = port;
    nic::Port& device = *ports_[port];
    const unsigned queues = device.config().queues;
    if (queues > 1) {
        for (const GroupPlace& place : places) {
            for (unsigned lane = place.first_lane; lane < place.first_lane + place.lanes; ++lane) {
                const nic::SteeredFlow flow{remote, static_cast<std::uint16_t>(udp_port_base + lane)};
                // A worker without a queue takes what the owner of one hands to it.
                if (const auto steered = device.steer(flow, place.worker % queues); !steered.ok()) {
                    tell_once(port, &steered.error());
                    continue;
                }
                now.flows.push_back(flow);
                tell_once(port, nullptr);
            }
        }
    }
    for (const nic::SteeredFlow& flow : before.flows) {
        const bool kept =
            before.port == port && std::find(now.flows.begin(), now.flows.end(), flow) != now.flows.end();
        if (!kept) ports_[before.port]->forget(flow);
    }
}

void LaneSteering::remove(std::uint8_t link) {
    const auto found = links_.find(link);
    if (found == links_.end()) return;
    for (const nic::SteeredFlow& flow : found->second.flows)
        ports_[found->second.port]->forget(flow);
    links_.erase(found);
}

void LaneSteering::tell_once(std::size_t port, const Error* refusal) {
    if (told_[port]) return;
    told_[port] = true;
    if (refusal == nullptr)
        spdlog::info("port {}: the device brings each lane to its worker's queue",
                     ports_[port]->config().name);
    else
        spdlog::info("{}; workers hand over what comes by another's queue", refusal->text);
}

}  // namespace longhaul::node
