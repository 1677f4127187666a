// Objects that failed and have not succeeded since, with how often and when next. Read by API threads,
// written by the loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "control/capture/tree.h"
#include "control/core.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

// Says nothing of this entry.
inline bool of_the_bundle(wire::FailReason reason) {
    switch (reason) {
        case wire::FailReason::store_unknown:
        case wire::FailReason::store_closed:
        case wire::FailReason::store_gone:
        case wire::FailReason::limit:
        case wire::FailReason::cancelled:
        case wire::FailReason::superseded:
            return true;
        default:
            return false;
    }
}

class Failures {
  public:
    explicit Failures(std::string dataset) : dataset_(std::move(dataset)) {}

    // Returns how long to wait: a second, doubling to a minute.
    TimeNs failed(const std::string& path, wire::FailReason reason, WallNs now) {
        const std::scoped_lock lock(mutex_);
        auto& failure = failures_[path];
        if (failure.tries == 0) failure.since = now;
        failure.reason = reason;
        failure.last_try = now;
        ++failure.tries;
        return std::min<TimeNs>(kSecond << std::min(failure.tries - 1, 6u), 60 * kSecond);
    }
    void succeeded(const std::string& path) {
        const std::scoped_lock lock(mutex_);
        if (!failures_.empty()) failures_.erase(path);
    }
    std::size_t size() const {
        const std::scoped_lock lock(mutex_);
        return failures_.size();
    }
    std::vector<ObjectFailure> list() const {
        const std::scoped_lock lock(mutex_);
        std::vector<ObjectFailure> shown;
        for (const auto& [path, failure] : failures_) {
            if (shown.size() == kShownMax) break;
            shown.push_back({dataset_, shown_path(path), wire::to_string(failure.reason),
                             wire::explain(failure.reason), failure.since, failure.last_try, failure.tries});
        }
        return shown;
    }

    static constexpr std::size_t kShownMax = 10'000;

  private:
    struct Failure {
        wire::FailReason reason = wire::FailReason::none;
        WallNs since = 0, last_try = 0;
        std::uint32_t tries = 0;
    };
    const std::string dataset_;
    mutable std::mutex mutex_;
    std::map<std::string, Failure> failures_;
};

}  // namespace longhaul::control
