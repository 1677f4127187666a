// The mode `scavenger`: takes what others leave, after LEDBAT++. Its window grows while the one-way queue delay is
// below a target, shrinks in proportion above it, halves on loss that is not the path's own, and steps aside
// periodically so that the empty queue, and others who came later, become visible.
//
//   start --(3/4 of the target, loss, ceiling)--> slowdown (1/8 for 2 RTT) --> ramp (doubling) --> steady
//   steady --(9 x the last slowdown's length over)--> slowdown
//   start, ramp, steady --(queue above target, loss)--> yield --(queue below target)--> steady
//
// Constants: draft-irtf-iccrg-ledbat-plus-plus and transport note B6, see README.md.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/congestion/path_view.h"

namespace longhaul::congestion {

class ScavengerController final : public Controller {
  public:
    enum class Phase : std::uint8_t { start, steady, yield, slowdown, ramp };

    explicit ScavengerController(const ControllerConfig& config) noexcept;
    void on_sample(const Sample& sample) noexcept override;
    void set_cap(std::uint64_t cap_bps, double share) noexcept override;
    std::uint64_t rate_bps() const noexcept override;
    std::uint64_t inflight_cap_bytes() const noexcept override { return window_.cap_bytes(); }
    std::uint64_t brakes() const noexcept override { return brakes_; }
    Figures figures() const noexcept override;
    Phase phase() const noexcept { return phase_; }
    TimeNs queue_target() const noexcept;

  private:
    double ceiling() const noexcept { return static_cast<double>(config_.cap_bps) * config_.share_of_cap; }
    TimeNs rtt_base() const noexcept { return rtt_.value(config_.rtt_assumed); }
    double growth_bytes() const noexcept;
    void end_round(const Round& round) noexcept;
    void steer(const Round& round) noexcept;
    void begin_slowdown(TimeNs now) noexcept;
    void end_slowdown(TimeNs now) noexcept;

    ControllerConfig config_;
    Phase phase_ = Phase::start;
    PacedWindow window_;
    RoundMeter rounds_;
    LossFloor loss_floor_;
    WindowedMinimum rtt_;
    RouteWatch route_;
    double window_before_ = 0;  // of the slowdown: where the ramp ends
    TimeNs slowdown_began_ = 0, next_slowdown_ = kNever, hold_until_ = 0;
    unsigned slow_rounds_ = 0;
    double delivered_bps_ = 0;
    std::uint64_t brakes_ = 0;
};

std::string_view to_string(ScavengerController::Phase phase) noexcept;

}  // namespace longhaul::congestion
