// A scenario is data: the link, what happens to it and when, what is sent, and by when all of it must have
// settled.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/time.h"
#include "dataplane/congestion/controller.h"
#include "dataplane/fec/redundancy.h"
#include "drivers/wan/link_model.h"

namespace longhaul::sim {

inline constexpr std::uint64_t kMiB = 1u << 20;
inline constexpr std::uint64_t kGigabit = 1'000'000'000;  // bit/s

struct BundlePlan {
    unsigned from = 0;  // endpoint 0 or 1 sends it to the other
    std::uint64_t payload_bytes = 0;
    unsigned extra_entries = 0;  // directories in the manifest: grow head and trailer
    TimeNs offer_at = 0;
    TimeNs cancel_at = kNever;
    bool refuse = false;       // the target's store is unknown
    bool fail_midway = false;  // the target's disk fills up after half of the writes
    bool broken_head = false;  // the head's prefix does not parse
};

// What changes while the scenario runs. Directions: 0 is endpoint 0 -> 1, 1 is the way back, 2 both.
struct Change {
    enum class Kind {
        link_down,
        link_up,
        mtu,
        loss,
        lane_dead,
        lane_alive,
        writes_stall,
        writes_resume,
        rate_cap,
        link_rate
    };
    TimeNs at = 0;
    Kind kind = Kind::link_down;
    unsigned direction = 2;
    std::uint64_t value = 0;  // MTU; loss in millionths; lane; bit/s
};

struct Scenario {
    std::string name;
    wan::LinkSettings link[2];
    std::uint64_t cap_bps = 1'000'000'000;
    double share_of_cap = 0.97;  // what the mode `reserved` paces at
    std::uint16_t symbol_bytes = 1408;
    std::uint8_t stripe_symbols = 64;
    std::uint8_t lanes = 4;
    congestion::Mode mode = congestion::Mode::reserved;
    fec::Goal goal = fec::Goal::balanced;
    std::optional<unsigned> fixed_parity;
    std::uint32_t send_blocks = 1024, receive_blocks = 640, read_ahead_blocks = 64;
    std::uint32_t bundles_open_max = 256;
    TimeNs poll_quantum = 20 * kMicrosecond;  // the worker looks at its inbox this often
    // Endpoint 0's worker is not let run for `worker_pause` out of every `worker_pause_every`; 0: it always runs.
    TimeNs worker_pause_every = 0, worker_pause = 0;
    TimeNs read_latency = 300 * kMicrosecond, write_latency = 500 * kMicrosecond;
    TimeNs durable_delay = 3 * kMillisecond, publish_delay = kMillisecond;
    std::int64_t clock_skew_ppm = 0;  // endpoint 1's clock runs faster by this much
    // Payload is neither made nor carried nor checked: hundreds of gigabytes in reasonable time and memory.
    // Heads, trailers, feedback and pings are; so is every decision of the protocol.
    bool bulk = false;
    // The first so many lanes meet a member of a bundle of eight that loses this share; a lane that changes its source
    // port is sent to any of the eight. `rehash` = false: no lane does.
    unsigned bad_lanes = 0;
    double bad_member_loss = 0;
    bool rehash = true;
    std::vector<BundlePlan> bundles;
    std::vector<Change> changes;

    // The payload handed to endpoint 1's storage within this window is counted; the run ends with it.
    TimeNs measure_from = kNever, measure_until = kNever;

    // Bounds, in virtual time. Completion is when the last result reached its sender.
    double goodput_min = 0;  // share of what the link's rate can carry in payload, 0: not asserted
    TimeNs complete_within = 60 * kSecond;
    std::uint64_t brakes_max = ~std::uint64_t{0};
    double repairs_per_loss_max =
        0;  // repaired and resent symbols for each packet that was lost, 0: not asserted
    bool peer_silent_expected = false;  // some time without an answer must have been noticed
    bool symmetric_loss(double share, double burst = 1) {
        for (auto& direction : link) {
            direction.loss = share;
            direction.burst = burst;
        }
        return true;
    }
};

// Both directions alike.
Scenario on_link(std::string name, std::uint64_t rate_bps, TimeNs rtt);
void send_bundles(Scenario& scenario, unsigned count, std::uint64_t bytes, unsigned from = 0, TimeNs at = 0);

std::vector<Scenario> named_scenarios();
std::vector<Scenario> redundancy_scenarios();  // part of the named ones
Scenario random_scenario(std::uint64_t seed);

}  // namespace longhaul::sim
