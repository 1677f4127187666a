// The pacing calendar of one sender: when the next packet may leave. Bytes are charged at the rate of the moment;
// idle time earns at most `catch_up` of credit, so a late wake-up never becomes a line-rate burst.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/base/time.h"

namespace longhaul::congestion {

class Pacer {
  public:
    // catch_up: the most past time that is made good after a pause (bounds a burst to rate x catch_up).
    explicit Pacer(TimeNs catch_up = 200 * kMicrosecond) noexcept : catch_up_(catch_up) {}

    bool may_send(TimeNs now) const noexcept { return next_ <= now; }
    TimeNs next() const noexcept { return next_; }
    void charge(TimeNs now, std::uint64_t bytes, std::uint64_t rate_bps) noexcept {
        const TimeNs oldest = now > catch_up_ ? now - catch_up_ : 0;
        if (next_ < oldest) next_ = oldest;
        // Nearly every packet is as long as the one before: the division is done once.
        if (bytes != bytes_ || rate_bps != rate_bps_) {
            bytes_ = bytes;
            rate_bps_ = rate_bps;
            cost_ = serialisation_ns(bytes, rate_bps);
        }
        next_ += cost_;
    }

  private:
    TimeNs catch_up_;
    TimeNs next_ = 0;
    std::uint64_t bytes_ = 0, rate_bps_ = 0;
    TimeNs cost_ = 0;  // of bytes_ at rate_bps_
};

}  // namespace longhaul::congestion
