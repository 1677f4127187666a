// The mode `shared`: BBRv3's model of a path that others use too. It keeps an estimate of the bandwidth that is ours
// and of the round trip without queue, sends at the one and holds about their product in flight, probes for more every
// two to three seconds, and takes loss above the path's own, or
// a queue that rises while less arrives, as a bound until the next probe.
//
//   startup --(no growth in 3 rounds, loss, queue)--> drain --(flight = BDP)--> probe_down
//   probe_down --(flight below target)--> cruise --(wait over)--> refill --(1 round)--> probe_up --(loss, queue,
//        plateau)--> probe_down
//   any of the probe states --(round trip not seen without queue for 10 s)--> probe_rtt --(200 ms)--> cruise
//
// Constants: draft-ietf-ccwg-bbr (BBRv3); amendments (a) to (d) of transport note B6, see README.md.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/base/random.h"
#include "dataplane/congestion/path_view.h"

namespace longhaul::congestion {

class SharedController final : public Controller {
  public:
    enum class Phase : std::uint8_t { startup, drain, probe_down, cruise, refill, probe_up, probe_rtt };

    explicit SharedController(const ControllerConfig& config) noexcept;
    void on_sample(const Sample& sample) noexcept override;
    void set_cap(std::uint64_t cap_bps, double share) noexcept override;
    std::uint64_t rate_bps() const noexcept override;
    std::uint64_t inflight_cap_bytes() const noexcept override;
    std::uint64_t brakes() const noexcept override { return brakes_; }
    Figures figures() const noexcept override;
    Phase phase() const noexcept { return phase_; }

  private:
    double ceiling() const noexcept { return static_cast<double>(config_.cap_bps) * config_.share_of_cap; }
    double bandwidth() const noexcept;  // bit/s; the model's, with the short-term bound
    double max_bandwidth() const noexcept { return std::max(bandwidth_max_[0], bandwidth_max_[1]); }
    double bdp_bytes(double bandwidth_bps) const noexcept;
    double pacing_gain() const noexcept;
    TimeNs rtt_base() const noexcept { return rtt_.value(config_.rtt_assumed); }
    bool queue_rose(const Round& round) const noexcept;

    void enter(Phase phase, TimeNs now) noexcept;
    void start_probe_down(TimeNs now) noexcept;
    void learn_bandwidth(const Sample& sample) noexcept;
    void learn_rtt(const Sample& sample, TimeNs queue) noexcept;
    bool shrunk(const Round& round) const noexcept;
    void bound_by_loss(const Round& round) noexcept;
    void give_way(const Round& round) noexcept;
    void bound_by_shrinking(const Round& round) noexcept;
    void bound_long_term(const Round& round) noexcept;
    void end_round(const Round& round) noexcept;
    void end_startup_round(const Round& round, double excess) noexcept;
    void end_probe_up_round(const Round& round, double excess) noexcept;
    void step(const Sample& sample) noexcept;
    void raise_long_term(const Sample& sample) noexcept;
    bool grew(double bandwidth_bps) noexcept;

    static constexpr double kUnbounded = 1e300;
    // The last round trip of samples: a delivery rate over less would take a burst of feedback for bandwidth.
    struct Recent {
        TimeNs interval = 0;
        std::uint64_t bytes = 0;
        bool application_limited = false;
    };
    static constexpr std::size_t kRecent = 8;

    ControllerConfig config_;
    Random random_;
    Phase phase_ = Phase::startup;
    TimeNs phase_since_ = 0;
    std::uint64_t rounds_in_phase_ = 0, rounds_since_probe_ = 0;
    RoundMeter rounds_;
    LossFloor loss_floor_;
    WindowedMinimum rtt_;
    RouteWatch route_;
    Recent recent_[kRecent];
    std::size_t recent_next_ = 0;
    double bandwidth_max_[2] = {0, 0};  // of this probing cycle and the one before
    bool cycle_measured_ = false;       // this cycle saw a round that was not application limited
    double bandwidth_latest_ = 0, round_bandwidth_ = 0;
    double bandwidth_short_ = kUnbounded;                              // bound until the next probe
    double inflight_short_ = kUnbounded, inflight_long_ = kUnbounded;  // bytes
    double plateau_ = 0;  // bandwidth that growth is measured against
    unsigned plateau_rounds_ = 0;
    double raise_step_ = 0;             // bytes a round by which the long-term bound grows
    std::uint64_t probe_inflight_ = 0;  // most of this probe
    bool probe_judged_ = false;         // its loss has been answered
    bool held_by_flight_ = false;       // in this round of it, by the long-term bound
    TimeNs probe_wait_ = 0;
    TimeNs empty_at_ = 0, rtt_probed_at_ = 0, rtt_probe_until_ = 0;
    TimeNs queue_before_ = 0;  // that stood when this phase began: others' as far as the phase is concerned
    TimeNs queue_round_ = 0;
    std::uint64_t brakes_ = 0;
};

std::string_view to_string(SharedController::Phase phase) noexcept;

}  // namespace longhaul::congestion
