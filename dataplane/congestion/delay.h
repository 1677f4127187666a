// The mode `delay`: holds a small queue of its own at the bottleneck, after FAST and FASP. The window grows while the
// queue is below its target and shrinks above it; the target falls as our rate rises, so that flows of this mode that
// meet come to equal shares. It gives way to flows that fill queues, but keeps a foothold.
//
//   start --(half the target, loss, ceiling)--> converge --(queue empty for 4 RTT)--> climb --(queue)--> converge
//   any --(loss above the path's own)--> converge below what arrived, then past it slowly
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/congestion/path_view.h"

namespace longhaul::congestion {

class DelayController final : public Controller {
  public:
    enum class Phase : std::uint8_t { start, converge, climb };

    explicit DelayController(const ControllerConfig& config) noexcept;
    void on_sample(const Sample& sample) noexcept override;
    void set_cap(std::uint64_t cap_bps, double share) noexcept override;
    std::uint64_t rate_bps() const noexcept override;
    std::uint64_t inflight_cap_bytes() const noexcept override { return window_.cap_bytes(); }
    std::uint64_t brakes() const noexcept override { return brakes_; }
    Figures figures() const noexcept override;
    Phase phase() const noexcept { return phase_; }
    TimeNs queue_target() const noexcept;  // at the rate of now

  private:
    double ceiling() const noexcept { return static_cast<double>(config_.cap_bps) * config_.share_of_cap; }
    TimeNs rtt_base() const noexcept { return rtt_.value(config_.rtt_assumed); }
    void end_round(const Round& round) noexcept;
    void brake(const Round& round) noexcept;
    double growth(const Round& round) noexcept;

    ControllerConfig config_;
    Phase phase_ = Phase::start;
    PacedWindow window_;
    RoundMeter rounds_;
    LossFloor loss_floor_;
    WindowedMinimum rtt_;
    RouteWatch route_;
    unsigned empty_rounds_ = 0;
    double lossy_bps_ = 0;  // what arrived when loss last said "too much"; 0: not known, or long ago
    TimeNs lossy_until_ = 0, hold_until_ = 0;
    double delivered_bps_ = 0;
    std::uint64_t brakes_ = 0;
};

std::string_view to_string(DelayController::Phase phase) noexcept;

}  // namespace longhaul::congestion
