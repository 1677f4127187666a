// The clock that watermarks are made of: the wall's, except that setting the wall back does not make what was
// proven younger. Any thread.
//
// Between two readings at least as much time passes as on the steady clock (both follow NTP's rate). So a lag,
// the difference of two readings, is never smaller than the time that has passed. A wall that leaps ahead is
// followed: the lag is too large until the next proof.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <mutex>

#include "control/core.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

class SourceClock {
  public:
    // Read the wall first: a pause between the two readings then makes this one late, and no other.
    WallNs read(WallNs wall, TimeNs steady) {
        const std::scoped_lock lock(mutex_);
        const WallNs passed = static_cast<WallNs>(std::max(steady, steady_) - steady_);
        const WallNs least = last_ == 0 ? wall : last_ + passed;
        last_ = std::max({wall, least, last_});
        steady_ = std::max(steady, steady_);
        return last_;
    }
    // No reading from now on is below this: what an earlier process has proven lies in the past.
    void not_before(WallNs floor, TimeNs steady) {
        const std::scoped_lock lock(mutex_);
        const WallNs passed = last_ == 0 ? 0 : static_cast<WallNs>(std::max(steady, steady_) - steady_);
        last_ = std::max(last_ + passed, floor);
        steady_ = std::max(steady, steady_);
    }
    // What a process that begins later in the same boot needs: its readings are not below its steady clock plus this.
    WallNs ahead_of_steady() const {
        const std::scoped_lock lock(mutex_);
        return last_ - static_cast<WallNs>(steady_);
    }

  private:
    mutable std::mutex mutex_;
    WallNs last_ = 0;
    TimeNs steady_ = 0;
};

}  // namespace longhaul::control
