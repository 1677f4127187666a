// Runs one scenario on the virtual clock, one thread, from one seed, and says what was broken.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/session/sender.h"
#include "tests/sim/scenario.h"

namespace longhaul::sim {

struct Outcome {
    std::vector<std::string> broken;  // empty: every invariant and bound held
    TimeNs completed_at = 0;          // last result at its sender
    double goodput = 0;               // share of the link's payload limit, over the busier direction
    std::uint64_t events = 0;
    session::SenderStats sender[2];
    std::string text() const;  // figures, for the log
};

Outcome run(const Scenario& scenario, std::uint64_t seed);

}  // namespace longhaul::sim
