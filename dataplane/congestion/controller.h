// A congestion controller decides two numbers for a link direction: how fast to send and how much may be in flight.
// It never reads a clock, never sees a packet: once per feedback the sender hands it a sample. One instance per link
// session direction; owned and called by its worker only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "dataplane/base/time.h"

namespace longhaul::congestion {

// All counts are since the previous sample, before FEC repaired anything. Bytes are wire bytes (frame overhead in).
struct Sample {
    TimeNs now = 0;
    TimeNs interval = 0;  // time the sample covers
    std::uint64_t delivered_bytes = 0;
    std::uint64_t delivered_packets = 0;
    std::uint64_t lost_packets = 0;
    TimeNs rtt = 0;          // newest sample, 0 if none
    TimeNs rtt_min = 0;      // smallest of the session
    TimeNs queue_delay = 0;  // one-way delay above its floor
    std::uint64_t inflight_bytes = 0;
    bool application_limited = false;  // the sender had nothing to send during part of the interval
};

enum class Mode : std::uint8_t { reserved, shared, scavenger, delay };
std::string_view to_string(Mode mode) noexcept;
std::optional<Mode> parse(std::string_view name) noexcept;  // nullopt: no mode has that name

// What a controller believes, for telemetry: never read by the sender to decide anything. Zero where a mode has none.
struct Figures {
    Mode mode = Mode::reserved;
    std::string_view phase;           // of static storage
    std::uint64_t bandwidth_bps = 0;  // estimate of what the path carries for us
    TimeNs rtt_base = 0;              // without queue, as the controller sees it
    TimeNs queue_target = 0;          // the queue delay that the mode steers to or yields at
    double loss_floor = 0;            // share of packets that is taken for the path's own loss
};

class Controller {
  public:
    virtual ~Controller() = default;
    virtual void on_sample(const Sample& sample) noexcept = 0;
    // Contracted L2 rate and the share of it that is never exceeded, live.
    virtual void set_cap(std::uint64_t cap_bps, double share) noexcept = 0;
    virtual std::uint64_t rate_bps() const noexcept = 0;  // L2, headers and redundancy included
    virtual std::uint64_t inflight_cap_bytes() const noexcept = 0;
    virtual std::uint64_t brakes() const noexcept = 0;  // times the brake was pulled
    virtual Figures figures() const noexcept = 0;
    // Share of packets that the controller has dropped on purpose, to know that a bound still stands: not the path's.
    virtual double own_loss() const noexcept { return 0; }
};

inline constexpr double kShareOfCap = 0.97;  // transport note B6: room for what others send beside us

struct ControllerConfig {
    std::uint64_t cap_bps = 1'000'000'000;
    double share_of_cap =
        kShareOfCap;  // never paced above this share of the cap (default: transport note B6)
    TimeNs rtt_assumed = 100 * kMillisecond;  // until the first RTT sample
    std::uint64_t start_bps = 0;  // a change of mode: what is delivered now; 0: the mode's own start
    std::uint64_t seed = 1;       // of the jitter that keeps two flows from probing in step
};
// The controller of a mode. All of its memory is inside the object.
std::unique_ptr<Controller> make(Mode mode, const ControllerConfig& config);

struct ReservedConfig {
    std::uint64_t cap_bps = 1'000'000'000;
    double share_of_cap = kShareOfCap;        // transport note B6
    double floor_share = 0.05;                // never below this share of the cap
    TimeNs rtt_assumed = 100 * kMillisecond;  // until the first RTT sample
    std::uint64_t start_bps = 0;              // 0: at the share of the cap
};
// Paced at the contracted rate; brakes to 0.9 x the delivered rate when loss over an RTT exceeds max(1 %, 4 x its long
// baseline) or the queue exceeds max(10 ms, RTT/4); recovers +2 % of the cap per RTT. Behind a policer it rides 2 % above what
// passes, and tries the contract as soon as that is not dropped any more.
std::unique_ptr<Controller> make_reserved(const ReservedConfig& config);

}  // namespace longhaul::congestion
