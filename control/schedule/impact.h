// What breaks if a link is drained: the same solver without it, and how long each dataset then lasts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/schedule/schedule.h"

namespace longhaul::control {

// `flows`: as they are now, one per demand. `change_bps`: how fast each source changes, one per demand.
LinkImpact impact(const std::string& link, double window_s, const std::vector<Demand>& demands,
                  const std::vector<double>& change_bps, const std::vector<Flow>& flows,
                  std::vector<LinkNow> links, TimeNs now);

}  // namespace longhaul::control
