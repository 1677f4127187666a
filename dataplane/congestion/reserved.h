// The mode `reserved`: the circuit is ours up to the contracted rate, so send at it, and brake only on
// evidence that the path carries less. Random loss is not such evidence; loss that exceeds its own history
// while less arrives, or a queue that stands, is.
//
//   cruise --(evidence over two rounds)--> hold (samples still show the old rate) --> recover --> cruise
//      |                                    ^-------------------(evidence)-------------'  |
//      '--(loss again, at a rate that has been a policer's)--> ride <---------------------'
//
// Loss that went away below the rate that passed is a policer's. Then that rate is ridden, a little above it, so that
// the little that is lost says that the policer is still there: without it the contract is tried at once.
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

    double own_loss() const noexcept override;
    double baseline_loss() const noexcept { return baseline_; }  // share of packets, for tests and telemetry

  private:
    static constexpr double kLossMin = 0.01;  // of packets, over a round trip: less is never congestion

    // What one round trip showed, gathered from samples while no brake is being waited for.
    struct Evidence {
        TimeNs interval = 0;
        std::uint64_t delivered_bytes = 0, delivered_packets = 0, lost_packets = 0;
        TimeNs queue_min = kNever;
        bool application_limited = false;
        unsigned samples = 0, lossy_samples = 0;

        void add(const Sample& sample) noexcept;
        double packets() const noexcept { return static_cast<double>(delivered_packets + lost_packets); }

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
    double delivered(const Evidence& round) const noexcept;
    void hold(TimeNs now) noexcept;

    // --- a policer (reserved_policer.cc)
    bool policed_again(const Evidence& round) const noexcept;
    double packets_to_tell(double packets) const noexcept;  // as many lost beyond the baseline are no chance
    void begin_ride(const Evidence& round, TimeNs now) noexcept;
    void ride(const Sample& sample) noexcept;
    double sent_share() const noexcept;
    void tell_policer(const Evidence& below) noexcept;

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

    double loss_at_brake_ = 0;
    double policed_bps_ = 0;  // what may be sent so that a policer lets it pass; 0: none is known
    bool riding_ = false;
    bool bucket_empty_ = false;  // the policer dropped, and since then nothing let its bucket fill
    TimeNs dropped_at_ = 0;
    TimeNs rerouted_at_ = 0;  // a step of the delay was taken for a route; 0: not lately
    unsigned overrun_ = 0;    // verdicts running with more loss than riding explains
    Evidence ride_;           // since the last verdict
    Evidence round_;
    RoundMeter rounds_;  // without a gap, for the route
    RouteWatch route_;
};

}  // namespace longhaul::congestion
