// How several threads sweep one tree: who has nothing left takes half of what somebody else has not come to yet.
//
// A share is some of the names in one directory, and with them everything recorded between the first of them and the end
// of what its giver had: so the shares of a sweep never overlap, in the tree or in the table, and leave nothing out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::control {

struct Share {
    std::string directory, key;      // as Frame of the sweeper
    std::vector<std::string> names;  // ascending
    std::int64_t appeared_by_ns = 0;
    std::string first_key, end_key;  // of the rows; an empty end: those of the whole table
};

class Shares {
  public:
    // Cheap, and only a hint: somebody waits for more than has been given.
    bool wanted() const noexcept { return wanted_.load(std::memory_order_relaxed) > 0; }
    void give(Share&& share);
    // The next share; waits for one as long as anybody who may give one is at work. nullopt: the sweep is through. Whoever
    // asks counts as at work from the answer to the next question; the thread that began the sweep does from the start.
    std::optional<Share> take(bool was_at_work);

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Share> given_;
    std::size_t at_work_ = 1;
    std::atomic<std::int64_t> wanted_{0};
};

}  // namespace longhaul::control
