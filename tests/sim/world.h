// Runs one scenario on the virtual clock, one thread, from one seed, and says what was broken.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/session/receiver.h"
#include "dataplane/session/sender.h"
#include "tests/sim/scenario.h"

namespace longhaul::sim {

struct Outcome {
    std::vector<std::string> broken;  // empty: every invariant and bound held
    TimeNs completed_at = 0;          // last result at its sender
    double goodput = 0;               // share of the link's payload limit, over the busier direction
    std::uint64_t events = 0;
    // By plan, from its offer; 0: never. See Endpoint::decoded_at.
    std::vector<TimeNs> decoded_after, durable_after;
    std::uint64_t measured_bytes = 0;  // payload within the scenario's window
    std::uint64_t send_blocks_max = 0, receive_stripes_max = 0;
    session::SenderStats sender[2];
    session::ReceiverStats receiver[2];
    wan::LinkCounters link[2];
    std::string text() const;  // figures, for the log
};

Outcome run(const Scenario& scenario, std::uint64_t seed);

}  // namespace longhaul::sim
