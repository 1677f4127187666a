// Two real workers in one process, joined by a pair of rings that hand over frames by pointer, as a NIC's queues would:
// one sends out of memory, one receives into memory, each polling on an lcore of its own. Or one of the two, on a device
// that joins processes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
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
    // The devices of sender and receiver. Both empty: rings within this process. One of them: that side alone runs
    // here, the other in a process of its own.
    std::array<std::string, 2> devices;
    // Disk to disk: the folder with the file `source` that the sender reads again and again, and the one where the
    // receiver keeps one staged copy. Empty: memory.
    std::array<std::string, 2> folders;
};

struct SideFigures {
    worker::StageCycles busy_cycles{};  // within the measured time, without `waited_cycles`
    std::uint64_t waited_cycles = 0;    // that the other side let this one wait
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

// EAL must run with a worker lcore for each side that runs here. Figures of a side that runs elsewhere stay zero; the
// payload is counted where the receiver runs.
Result<RigFigures> run_rig(const RigConfig& config);

}  // namespace longhaul::bench
