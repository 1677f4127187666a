// Gathers what feedback says until there is a quarter round trip of it: one sample for the congestion
// controller.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>

#include "dataplane/congestion/controller.h"
#include "dataplane/session/lane_ledger.h"

namespace longhaul::session {

class SampleMeter {
  public:
    explicit SampleMeter(TimeNs now) noexcept : since_(now) {}

    void add(const LaneLedger::Lesson& lesson) noexcept {
        delivered_bytes_ += lesson.delivered_bytes;
        delivered_packets_ += lesson.delivered_packets;
        if (!lesson.excused) lost_packets_ += lesson.lost_packets;
    }
    void application_limited() noexcept { application_limited_ = true; }

    // The path was dead meanwhile: what was gathered tells nothing about its rate.
    void restart(TimeNs now) noexcept { *this = SampleMeter(now); }

    std::optional<congestion::Sample> take(TimeNs now, TimeNs rtt) noexcept {
        if (now - since_ < std::max(rtt / 4, kIntervalMin)) return std::nullopt;
        congestion::Sample sample;
        sample.now = now;
        sample.interval = now - since_;
        sample.delivered_bytes = delivered_bytes_;
        sample.delivered_packets = delivered_packets_;
        sample.lost_packets = lost_packets_;
        sample.application_limited = application_limited_;
        restart(now);
        return sample;
    }

  private:
    static constexpr TimeNs kIntervalMin = kMillisecond;
    TimeNs since_;
    std::uint64_t delivered_bytes_ = 0, delivered_packets_ = 0, lost_packets_ = 0;
    bool application_limited_ = false;
};

}  // namespace longhaul::session
