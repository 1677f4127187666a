// When which lane is pinged: one lane per interval (longer where nobody waits for what it says), every lane at least once
// a second, all lanes at once after a silence that is longer than a round trip explains (with back-off), and one soon
// when there is news.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "dataplane/base/time.h"

namespace longhaul::session {

class PingSchedule {
  public:
    PingSchedule(unsigned lanes, TimeNs interval, TimeNs now)
        : lanes_(lanes),
          interval_(std::min(interval, kSecond / lanes)),
          idle_interval_(std::min(kIdleInterval, kSecond / lanes)),
          last_(now) {
        burst_left_ = lanes;  // hello: opens every lane's accounts and the first RTT sample
    }

    struct Due {
        unsigned lane = 0;
        bool ack_now = false;
    };
    // active: something is open, or the far end has not answered.
    std::optional<Due> next(TimeNs now, bool active) noexcept {
        const bool burst = burst_left_ > 0;
        if (!burst && next_at(active) > now) return std::nullopt;
        const bool ack_now = burst || news_;
        if (burst)
            --burst_left_;
        else
            last_ = now;
        news_ = false;
        const unsigned lane = cursor_;
        cursor_ = (cursor_ + 1) % lanes_;
        return Due{lane, ack_now};
    }
    TimeNs next_at(bool active) const noexcept {
        if (burst_left_ > 0) return 0;
        return last_ + (news_ ? kNewsMin : active ? interval_ : idle_interval_);
    }

    void all_lanes() noexcept { burst_left_ = lanes_; }
    // The flow ran dry, or a bundle was settled: the receiver should know without waiting for the interval.
    void news() noexcept { news_ = true; }

  private:
    static constexpr TimeNs kNewsMin = 2 * kMillisecond;
    static constexpr TimeNs kIdleInterval = 100 * kMillisecond;
    unsigned lanes_, cursor_ = 0, burst_left_ = 0;
    TimeNs interval_, idle_interval_, last_;
    bool news_ = false;
};

}  // namespace longhaul::session
