// What most scenarios begin with: a link alike in both directions, and bundles of one size.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/scenario.h"

#include <utility>

namespace longhaul::sim {

Scenario on_link(std::string name, std::uint64_t rate_bps, TimeNs rtt) {
    Scenario scenario;
    scenario.name = std::move(name);
    scenario.cap_bps = rate_bps;
    for (auto& link : scenario.link) {
        link.rate_bps = rate_bps;
        link.delay = rtt / 2;
    }
    return scenario;
}

void send_bundles(Scenario& scenario, unsigned count, std::uint64_t bytes, unsigned from, TimeNs at) {
    for (unsigned i = 0; i < count; ++i) {
        BundlePlan plan;
        plan.from = from;
        plan.payload_bytes = bytes;
        plan.offer_at = at;
        scenario.bundles.push_back(plan);
    }
}

}  // namespace longhaul::sim
