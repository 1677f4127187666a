// What placement and shares of one turn have in common. Private to control/schedule.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "control/schedule/schedule.h"

namespace longhaul::control {

inline constexpr std::size_t kNoLink = static_cast<std::size_t>(-1);

// What a demand can use and is entitled to, in doubles and reckoned once.
struct Claim {
    double weight = 0;  // of its class, times its own
    double cap = 0;     // never more than this
    double limit = 0;   // what it can use until the next turn
    double floor = 0;   // within its limit
    double need = 0;  // to make its deadline; when that is lost, to be on target again within another period
    bool active = false;
    bool scavenger = false;
    bool late = false;  // past its deadline
};
Claim claim_of(const Demand& demand);

// The index into `links` for every demand, kNoLink: none. `flows` gets obstacles and moved_at.
std::vector<std::size_t> place(const std::vector<Demand>& demands, const std::vector<Claim>& claims,
                               const std::vector<LinkNow>& links, TimeNs now, std::vector<Flow>& flows);

// Rates and reasons of those on one link.
void share_out(const std::vector<std::size_t>& on_link, const std::vector<Demand>& demands,
               const std::vector<Claim>& claims, double capacity, std::vector<Flow>& flows);

}  // namespace longhaul::control
