// How much of what a link carries is payload: headers, parity, repairs and what is not sent at all are the
// rest. Measured from the dataplane's counters, so that assigned rates are rates that can be reached.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace longhaul::control {

class LinkYield {
  public:
    static constexpr double kAtFirst = 0.93;  // frames of 1500 bytes, hardly any parity

    // Counters of one session; a new session's begin at zero again.
    void add(std::uint64_t wire_bytes, std::uint64_t payload_bytes) {
        if (wire_bytes < wire_ || payload_bytes < payload_) wire_ = payload_ = 0;
        const std::uint64_t wire = wire_bytes - wire_;
        if (wire < kSampleBytes) return;
        const double ratio = static_cast<double>(payload_bytes - payload_) / static_cast<double>(wire);
        share_ += (std::clamp(ratio, kLeast, 1.0) - share_) * kGain;
        wire_ = wire_bytes;
        payload_ = payload_bytes;
    }
    double share() const { return share_; }

  private:
    static constexpr std::uint64_t kSampleBytes = 4u << 20;
    static constexpr double kGain = 0.25, kLeast = 0.5;
    std::uint64_t wire_ = 0, payload_ = 0;
    double share_ = kAtFirst;
};

}  // namespace longhaul::control
