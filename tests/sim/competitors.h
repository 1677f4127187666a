// Bulk TCP flows that share the path's queue, with endless sources and selective acknowledgements: CUBIC's window
// (RFC 9438), and BBR's model as kernels ship it (draft-cardwell-iccrg-bbr-congestion-control-00), which does not mind loss.
// They have no content: only their place in the queue counts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <queue>

#include "drivers/wan/link_model.h"

namespace longhaul::sim {

class Competitor {
  public:
    virtual ~Competitor() = default;
    virtual TimeNs next() const = 0;  // when something is due
    virtual void turn(TimeNs now) = 0;
    virtual std::uint64_t delivered_bytes() const = 0;
};

class CubicFlow final : public Competitor {
  public:
    CubicFlow(wan::LinkModel& forward, wan::LinkModel& backward, TimeNs start, TimeNs stop)
        : forward_(forward), backward_(backward), start_(start), stop_(stop) {}

    TimeNs next() const override;
    void turn(TimeNs now) override;
    std::uint64_t delivered_bytes() const override { return delivered_bytes_; }

  private:
    static constexpr std::size_t kFrameBytes = 1514;
    static constexpr TimeNs kTimeout = kSecond;
    struct Sent {
        std::uint64_t sequence = 0;
        TimeNs at = 0;
        bool acknowledged = false;
    };
    struct Acknowledgement {
        TimeNs at = 0;
        std::uint64_t sequence = 0;
        bool operator<(const Acknowledgement& other) const { return at > other.at; }
    };
    void fill_window(TimeNs now);
    void acknowledged(std::uint64_t sequence, TimeNs now);
    void lost(const Sent& sent, TimeNs now);
    void grow(TimeNs now);

    wan::LinkModel& forward_;
    wan::LinkModel& backward_;
    const TimeNs start_, stop_;
    bool started_ = false;
    std::priority_queue<Acknowledgement> acknowledgements_;
    std::deque<Sent> outstanding_;
    std::uint64_t next_sequence_ = 0, in_flight_ = 0, delivered_bytes_ = 0;
    double window_ = 10, threshold_ = 1e9, window_max_ = 0;
    TimeNs epoch_ = 0, cut_at_ = 0, last_heard_ = 0, round_trip_ = 0;
};

class BbrFlow final : public Competitor {
  public:
    BbrFlow(wan::LinkModel& forward, wan::LinkModel& backward, TimeNs start, TimeNs stop)
        : forward_(forward), backward_(backward), start_(start), stop_(stop) {}

    TimeNs next() const override;
    void turn(TimeNs now) override;
    std::uint64_t delivered_bytes() const override { return delivered_bytes_; }

  private:
    static constexpr std::size_t kFrameBytes = 1514, kRounds = 10;
    enum class Phase { startup, drain, probe_bandwidth, probe_round_trip };
    struct Sent {
        std::uint64_t sequence = 0;
        TimeNs at = 0, delivered_at = 0;
        std::uint64_t delivered_bytes =
            0;  // when this left: what came since then, over the time, is the rate
        bool acknowledged = false;
    };
    struct Acknowledgement {
        TimeNs at = 0;
        std::uint64_t sequence = 0;
        bool operator<(const Acknowledgement& other) const { return at > other.at; }
    };
    void acknowledged(std::uint64_t sequence, TimeNs now);
    void learn(const Sent& sent, TimeNs now);
    void end_round(TimeNs now);
    void change_phase(TimeNs now);
    void pace(TimeNs now);
    double bandwidth() const;  // bytes a nanosecond
    double flight(double gain) const;
    bool window_open() const { return static_cast<double>(in_flight_ * kFrameBytes) < window_; }

    wan::LinkModel& forward_;
    wan::LinkModel& backward_;
    const TimeNs start_, stop_;
    bool started_ = false;
    std::priority_queue<Acknowledgement> acknowledgements_;
    std::deque<Sent> outstanding_;
    std::uint64_t next_sequence_ = 0, in_flight_ = 0, delivered_bytes_ = 0;
    TimeNs delivered_at_ = 0, send_at_ = 0;

    Phase phase_ = Phase::startup;
    std::array<double, kRounds> rates_{};  // the largest of each of the last rounds
    std::size_t round_ = 0;
    std::uint64_t round_ends_ = 0;  // when what left after this many bytes is acknowledged
    double full_ = 0;               // bandwidth of startup at its last growth
    unsigned still_ = 0;            // rounds without growth
    TimeNs round_trip_ = kNever, round_trip_at_ = 0, phase_since_ = 0;
    std::size_t cycle_ = 0;
    double pacing_ = 2.885, window_ = 10.0 * kFrameBytes;
};

}  // namespace longhaul::sim
