// The mode `reserved`: the circuit is ours up to the contracted rate, so send at it, and brake only on
// evidence that the path carries less. Random loss is not such evidence; loss that exceeds its own history
// while less arrives, or a queue that stands, is.
//
//   cruise --(evidence over two rounds)--> hold (samples still show the old rate) --> recover -->
//   cruise
//                                           ^-------------------(evidence)---------------------'
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/congestion/path_view.h"

namespace longhaul::congestion {

class ReservedController final : public Controller {
  public:
    explicit ReservedController(const ReservedConfig& config) noexcept;
    void on_sample(const Sample& sample) noexcept override;
    void set_cap(std::uint64_t cap_bps, double share) noexcept override;
    std::uint64_t rate_bps() const noexcept override { return static_cast<std::uint64_t>(rate_); }
    std::uint64_t inflight_cap_bytes() const noexcept override;
    std::uint64_t brakes() const noexcept override { return brakes_; }
    Figures figures() const noexcept override;

    double baseline_loss() const noexcept { return baseline_; }  // share of packets, for tests and telemetry

  private:
    // What one round trip showed, gathered from samples while no brake is being waited for.
    struct Evidence {
        TimeNs interval = 0;
        std::uint64_t delivered_bytes = 0, delivered_packets = 0, lost_packets = 0;
        TimeNs queue_min = kNever;
        bool application_limited = false;
        unsigned samples = 0, lossy_samples = 0;

        double loss() const noexcept;
        double delivered_bps() const noexcept;
    };

    double ceiling() const noexcept { return static_cast<double>(config_.cap_bps) * config_.share_of_cap; }
    double floor() const noexcept { return static_cast<double>(config_.cap_bps) * config_.floor_share; }
    void add_to_round(const Sample& sample, TimeNs queue) noexcept;
    void watch_route(const Sample& sample, TimeNs queue) noexcept;
    void end_round(TimeNs now) noexcept;
    bool loss_exceeds_history(const Evidence& round) const noexcept;
    void learn_baseline(const Evidence& round, bool suspicious) noexcept;
    void brake(const Evidence& round, TimeNs now) noexcept;

    ReservedConfig config_;
    double rate_;
    double baseline_ = 0;
    double baseline_packets_ = 0;  // packets behind the baseline, up to its memory
    TimeNs rtt_min_;
    bool rtt_known_ = false;
    TimeNs hold_until_ = 0;
    bool holding_ = false;
    unsigned suspicious_rounds_ = 0;
    double delivered_at_brake_ = 0;  // bit/s that arrived when the brake was last pulled
    std::uint64_t brakes_ = 0;
    Evidence round_;
    RoundMeter rounds_;  // without a gap, for the route
    RouteWatch route_;
};

}  // namespace longhaul::congestion
