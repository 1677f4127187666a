// Brings each lane's frames to the queue of the worker that owns the lane, where the port can; else says once a port that
// workers hand frames over. Main thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "dataplane/node/link_groups.h"
#include "drivers/nic/nic.h"

namespace longhaul::node {

class LaneSteering {
  public:
    explicit LaneSteering(std::vector<nic::Port*> ports) : ports_(std::move(ports)), told_(ports_.size()) {}

    // Where a link's lanes live from now on: lane i comes from `remote` to UDP port base + i.
    void place(std::uint8_t link, std::size_t port, const wire::IpAddress& remote,
               std::uint16_t udp_port_base, std::span<const GroupPlace> places);
    void remove(std::uint8_t link);

  private:
    struct Steered {
        std::size_t port = 0;
        std::vector<nic::SteeredFlow> flows;
    };
    void tell_once(std::size_t port, const Error* refusal);

    std::vector<nic::Port*> ports_;
    std::vector<bool> told_;  // of this port: what became of its rules
    std::map<std::uint8_t, Steered> links_;
};

}  // namespace longhaul::node
