// Which dataset travels on which link, and at what share of its rate. A pure function of what is known now.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/core.h"

namespace longhaul::control {

struct Demand {
    std::string dataset;
    std::string target_site;
    std::string traffic;  // latency | bulk | scavenger
    std::string link;     // wanted by the operator; empty: any
    bool active = false;  // has something to send
};

struct Flow {  // one per demand, in the same order
    bool assigned = false;
    LinkChoice link;             // valid when assigned
    std::uint64_t rate_bps = 0;  // of an active flow; what it would get alone with the others when it is not
    std::string obstacle;        // why it is not assigned, for the operator
};

bool traffic_known(const std::string& traffic) noexcept;
unsigned traffic_weight(const std::string& traffic) noexcept;  // latency 4, bulk 2, scavenger 1

// `links` may hold links to several sites. The lowest number that is up carries a demand without a wish.
std::vector<Flow> assign(const std::vector<Demand>& demands, const std::vector<LinkChoice>& links);

}  // namespace longhaul::control
