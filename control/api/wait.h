// The reader's freshness barrier: an answer that comes when what is published has reached a source time.
//
// Any thread; each call holds its own. At most kWaitersMax at once, so that the API stays answerable.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "control/core.h"
#include "control/http/problem.h"

namespace longhaul::control {

class FreshnessBarrier {
  public:
    static constexpr unsigned kWaitersMax = 4;  // the server has as many threads more for them
    static constexpr double kTimeoutMax_s = 60;
    static constexpr std::chrono::milliseconds kLookForStop{250};

    explicit FreshnessBarrier(Core& core) : core_(core) {}
    // 200 with the watermark; 404 unknown dataset; 408 when the time is over, with the watermark and what limits it;
    // 429 when too many wait already; 503 when the server stops.
    Reply wait(const std::string& dataset, WallNs min_watermark, double timeout_s);
    void stop();   // whoever waits is answered within kLookForStop
    void start();  // takes calls (again)

  private:
    Core& core_;
    std::mutex mutex_;
    unsigned waiters_ = 0;
    bool stopping_ = false;
};

// "2026-11-25T23:00:00.123Z", or seconds since the Unix epoch with up to nine decimals.
Result<WallNs> parse_source_time(const std::string& text);

}  // namespace longhaul::control
