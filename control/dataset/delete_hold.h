// Mass deletes wait for an operator: a mirror that follows every mistake at once protects nobody from it.
//
//      flowing --more removals found within kDeleteWindow than the bound--> held
//      held    --release, by an operator: what is found from then on counts anew--> flowing
//      held    --objects are back, so that no more than the bound are gone--> flowing
//
// The bound is the smaller of `objects` and `share` of the dataset, but never below kDeleteFloor: a small tree may be
// tidied. Nothing of it is stored: after a restart the next sweep finds the same removals and holds them again. Owned by
// the dataset's runner.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>

#include "dataplane/base/time.h"

namespace longhaul::control {

inline constexpr TimeNs kDeleteWindow = 600 * kSecond;
inline constexpr std::uint64_t kDeleteFloor = 100;

struct DeleteHoldPolicy {
    double share = 0.01;             // of the objects published; above it removals are held
    std::uint64_t objects = 10'000;  // at most so many, however large the dataset; 0: never hold

    std::uint64_t bound(std::uint64_t objects_published) const {
        const auto by_share = static_cast<std::uint64_t>(share * static_cast<double>(objects_published));
        return std::min(std::max(by_share, kDeleteFloor), std::max(objects, kDeleteFloor));
    }
};

class DeleteHold {
  public:
    void found(TimeNs now) {  // one removal more
        const TimeNs second = now / kSecond;
        if (found_.empty() || found_.back().first != second) found_.emplace_back(second, 0);
        ++found_.back().second;
        ++sum_;
    }
    void undone(TimeNs now) {  // the object of a removal that was found stands there again
        forget(now);
        if (found_.empty()) return;
        --sum_;
        if (--found_.back().second == 0) found_.pop_back();
    }
    // Once a turn. `objects` is what the target holds.
    void judge(const DeleteHoldPolicy& policy, TimeNs now, std::uint64_t objects) {
        forget(now);
        holds_ = policy.objects > 0 && sum_ > policy.bound(objects);
    }
    bool holds() const { return holds_; }
    void release() {
        holds_ = false;
        found_.clear();
        sum_ = 0;
    }

  private:
    // While removals are held the window stands still: time alone lets nothing go.
    void forget(TimeNs now) {
        while (!holds_ && !found_.empty() && now - found_.front().first * kSecond > kDeleteWindow) {
            sum_ -= found_.front().second;
            found_.pop_front();
        }
    }

    bool holds_ = false;
    std::deque<std::pair<TimeNs, std::uint64_t>> found_;  // by second; a window's worth, or since the hold
    std::uint64_t sum_ = 0;
};

}  // namespace longhaul::control
