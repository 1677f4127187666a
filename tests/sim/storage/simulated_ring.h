// Carries disk requests out on a simulated disk: in any order, at any later time, in part, or interrupted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dataplane/base/random.h"
#include "drivers/storage/ring.h"
#include "tests/sim/storage/simulated_disk.h"

namespace longhaul::storage::sim {

class SimulatedRing final : public Ring {
  public:
    SimulatedRing(SimulatedDisk& disk, unsigned queue_depth, std::uint64_t seed)
        : Ring(queue_depth), disk_(disk), random_(seed) {}

    void submit() override;
    std::size_t reap() override;

  private:
    void start(Operation& operation) override { prepared_.push_back(&operation); }
    bool ask_to_stop(Operation& operation) override;
    void wait_for_one() override;
    void carry_out_any();
    int carry_out(Operation& operation);

    SimulatedDisk& disk_;
    Random random_;
    std::vector<Operation*> prepared_;
    std::vector<Operation*> running_;
    std::vector<Operation*> stopped_;
};

}  // namespace longhaul::storage::sim
