// Two real workers in one process, joined by a pair of rings that hand over frames by pointer, as a NIC's queues would:
// one sends out of memory, one receives into memory, each polling on an lcore of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/worker/stage_clock.h"

namespace longhaul::bench {

struct RigConfig {
    bool jumbo = true;    // symbols of 8768 bytes, else 1408
    unsigned parity = 2;  // rows of every stripe
    unsigned lanes = 8;
    double seconds = 3;  // measured, after one of warming up
    std::uint64_t rate_bps = 200'000'000'000;
};

struct SideFigures {
    worker::StageCycles busy_cycles{};  // within the measured time
    double cpu_share = 0;               // of one core that this side's thread was given
};
struct RigFigures {
    double seconds = 0;
    std::uint64_t payload_bytes = 0;  // delivered to the sink
    std::uint64_t cycles_per_second = 0;
    std::uint64_t lost_packets = 0;
    SideFigures sender, receiver;
    std::uint16_t symbol_bytes = 0;
};

// EAL must run with two worker lcores.
Result<RigFigures> run_rig(const RigConfig& config);

}  // namespace longhaul::bench
