// Each congestion mode in each situation that it must stand, and the faults that every session must survive, with the
// outcome that is acceptable.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/sim/shared_path.h"

namespace longhaul::sim {

// The bottleneck that most of them share.
inline constexpr std::uint64_t kRate = 100'000'000;  // bit/s
inline constexpr TimeNs kRtt = 50 * kMillisecond;

struct Accepted {
    std::string what;  // with its unit
    std::function<double(const PathRecord&)> measure;
    double least = 0, most = 1e18;
};
struct PathScenario {
    PathPlan plan;
    std::vector<Accepted> accepted;
};

std::vector<PathScenario> mode_scenarios();
std::vector<PathScenario> fault_scenarios();

}  // namespace longhaul::sim
