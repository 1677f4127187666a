// Round trips: smoothed, their variation, and the smallest of the session (RFC 6298 arithmetic, RFC 9002
// timeout).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/time.h"

namespace longhaul::session {

class RttEstimator {
  public:
    explicit RttEstimator(TimeNs assumed) noexcept : assumed_(assumed) {}

    // From the peer's echo of our wire clock. Values that no terrestrial path has are refused.
    void sample_echo(TimeNs now, std::uint32_t echo_us, std::uint32_t hold_us) noexcept {
        const std::uint32_t elapsed_us = wire_clock_us(now) - echo_us - hold_us;
        if (elapsed_us > kImplausibleUs) return;
        add(std::max<TimeNs>(TimeNs{elapsed_us} * kMicrosecond, kMicrosecond));
    }
    void add(TimeNs rtt) noexcept {
        latest_ = rtt;
        if (!known()) {
            smoothed_ = rtt;
            variation_ = rtt / 2;
            smallest_ = rtt;
            return;
        }
        const TimeNs deviation = rtt > smoothed_ ? rtt - smoothed_ : smoothed_ - rtt;
        variation_ += deviation / 4;
        variation_ -= variation_ / 4;
        smoothed_ = (smoothed_ * 7 + rtt) / 8;
        smallest_ = std::min(smallest_, rtt);
    }

    bool known() const noexcept { return smallest_ != 0; }
    TimeNs latest() const noexcept { return latest_; }
    TimeNs smallest() const noexcept { return known() ? smallest_ : assumed_; }
    TimeNs smoothed() const noexcept { return known() ? smoothed_ : assumed_; }
    // srtt + 4 rttvar, the variation never below the timers' grain.
    TimeNs timeout() const noexcept {
        return smoothed() + std::max<TimeNs>(4 * (known() ? variation_ : assumed_ / 4), kMillisecond);
    }

  private:
    static constexpr std::uint32_t kImplausibleUs = 60'000'000;
    TimeNs assumed_, latest_ = 0, smoothed_ = 0, variation_ = 0, smallest_ = 0;
};

}  // namespace longhaul::session
