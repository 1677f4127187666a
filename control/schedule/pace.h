// A flow's rate as it is kept: bytes may leave while there is credit; a bundle may overdraw it, and the next
// one waits until that is paid. So the mean rate holds whatever the size of bundles.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/time.h"

namespace longhaul::control {

class Pace {
  public:
    // The time until now counts at the rate before.
    void set_rate(std::uint64_t rate_bps, TimeNs now) {
        refill(now);
        rate_bps_ = rate_bps;
    }
    bool may_send(TimeNs now) {
        refill(now);
        return credit_ >= 0;
    }
    void spend(std::uint64_t bytes) { credit_ -= static_cast<double>(bytes); }

  private:
    static constexpr double kBurst_s = 0.25;  // what a late turn may catch up
    void refill(TimeNs now) {
        if (now <= at_) return;
        const double passed_s = static_cast<double>(now - at_) / 1e9;
        at_ = now;
        const double per_second = static_cast<double>(rate_bps_) / 8;
        credit_ = std::min(credit_ + passed_s * per_second, std::max(credit_, kBurst_s * per_second));
    }

    std::uint64_t rate_bps_ = 0;
    double credit_ = 0;
    TimeNs at_ = 0;
};

}  // namespace longhaul::control
