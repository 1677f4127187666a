// A bulk TCP flow that shares the path's queue: CUBIC's window (RFC 9438) with an endless source, selective
// acknowledgements and a timeout. It has no content: only its place in the queue counts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <queue>

#include "drivers/wan/link_model.h"

namespace longhaul::sim {

class CubicFlow {
  public:
    CubicFlow(wan::LinkModel& forward, wan::LinkModel& backward, TimeNs start, TimeNs stop)
        : forward_(forward), backward_(backward), start_(start), stop_(stop) {}

    // When something is next due, and doing it.
    TimeNs next() const;
    void turn(TimeNs now);
    std::uint64_t delivered_bytes() const { return delivered_bytes_; }

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

}  // namespace longhaul::sim
