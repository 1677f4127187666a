// How fast payload becomes durable, over the last ten seconds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <deque>
#include <utility>

#include "dataplane/base/time.h"

namespace longhaul::control {

class DrainMeter {
  public:
    void add(TimeNs now, std::uint64_t bytes) {
        forget(now);
        events_.emplace_back(now, bytes);
        sum_ += bytes;
    }
    // Bits per second; 0 when nothing has moved within the window.
    double rate_bps(TimeNs now) {
        forget(now);
        if (events_.empty()) return 0;
        // The first event's bytes were moving before it was reported: its own span counts, at least a second.
        const TimeNs span =
            std::clamp<TimeNs>(now - std::max(since_, now > kWindow ? now - kWindow : 0), kSecond, kWindow);
        return static_cast<double>(sum_) * 8 * static_cast<double>(kSecond) / static_cast<double>(span);
    }
    // Work begins after a pause: idle time before it is not slowness.
    void begin(TimeNs now) {
        forget(now);
        if (events_.empty()) since_ = now;
    }

  private:
    static constexpr TimeNs kWindow = 10 * kSecond;
    void forget(TimeNs now) {
        while (!events_.empty() && now - events_.front().first > kWindow) {
            sum_ -= events_.front().second;
            events_.pop_front();
        }
    }
    std::deque<std::pair<TimeNs, std::uint64_t>> events_;
    std::uint64_t sum_ = 0;
    TimeNs since_ = 0;
};

}  // namespace longhaul::control
