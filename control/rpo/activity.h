// How much a source changes and how fast its changes leave, averaged: what forecasts are made of.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "control/core.h"
#include "control/rpo/average.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

// Changes that were published, and how many of them later than the target allows.
struct ChangeCounts {
    std::uint64_t changes = 0, late = 0, bytes = 0, bytes_late = 0;
};

class Activity {
  public:
    void changed(std::uint64_t bytes) { changed_bytes_ += bytes; }
    // A look at the whole source that began at `started` is over: what it found has changed since the one before.
    void looked(WallNs started) {
        if (looked_at_ && started > *looked_at_) {
            const double span_s = static_cast<double>(started - *looked_at_) / 1e9;
            const double rate_bps = static_cast<double>(changed_bytes_) * 8 / span_s;
            change_5m_.add(rate_bps, span_s);
            change_1h_.add(rate_bps, span_s);
        }
        looked_at_ = started;
        changed_bytes_ = 0;
    }
    void drained(std::uint64_t bytes) { drained_bytes_ += bytes; }
    // Every turn. Only time with work counts: idleness is not slowness.
    void passed(TimeNs now, bool works) {
        if (now < settled_at_ + kSettleEvery) return;
        const TimeNs span = std::min(now - settled_at_, kSpanMax);
        if ((works && worked_) || drained_bytes_ > 0) {
            const double span_s = static_cast<double>(span) / static_cast<double>(kSecond);
            drain_1m_.add(static_cast<double>(drained_bytes_) * 8 / span_s, span_s);
        }
        worked_ = works;
        drained_bytes_ = 0;
        settled_at_ = now;
    }
    double change_bps() const { return change_5m_.value(); }
    double change_1h_bps() const { return change_1h_.value(); }
    double drain_bps() const { return drain_1m_.value(); }

  private:
    static constexpr TimeNs kSettleEvery = kSecond, kSpanMax = 60 * kSecond;
    Average change_5m_{300}, change_1h_{3600}, drain_1m_{60};
    std::uint64_t changed_bytes_ = 0, drained_bytes_ = 0;
    std::optional<WallNs> looked_at_;
    TimeNs settled_at_ = 0;
    bool worked_ = false;
};

}  // namespace longhaul::control
