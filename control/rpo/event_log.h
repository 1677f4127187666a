// The last events, in memory, for those who list or follow them. Any thread; bounded: a reader that falls behind
// sees a gap in the ids.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "control/core.h"

namespace longhaul::control {

class EventLog {
  public:
    static constexpr std::size_t kKept = 10'000;

    // Ids ascend; events are shown once they are stored.
    void append(Event event) {
        {
            const std::scoped_lock lock(mutex_);
            events_.push_back(std::move(event));
            if (events_.size() > kKept) events_.pop_front();
        }
        news_.notify_all();
    }
    std::vector<Event> after(std::uint64_t id, std::size_t most) const {
        const std::scoped_lock lock(mutex_);
        const auto first =
            std::upper_bound(events_.begin(), events_.end(), id,
                             [](std::uint64_t value, const Event& event) { return value < event.id; });
        const auto count = std::min<std::size_t>(most, static_cast<std::size_t>(events_.end() - first));
        return {first, first + static_cast<std::ptrdiff_t>(count)};
    }
    std::uint64_t last() const {
        const std::scoped_lock lock(mutex_);
        return events_.empty() ? 0 : events_.back().id;
    }
    bool wait_after(std::uint64_t id, std::chrono::milliseconds patience) const {
        std::unique_lock lock(mutex_);
        return news_.wait_for(lock, patience, [&] { return !events_.empty() && events_.back().id > id; });
    }

  private:
    mutable std::mutex mutex_;
    mutable std::condition_variable news_;
    std::deque<Event> events_;
};

}  // namespace longhaul::control
