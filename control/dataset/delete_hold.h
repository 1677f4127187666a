// Mass deletes wait for an operator: a mirror that follows every mistake at once protects nobody from it.
//
//      flowing --more names gone within kDeleteWindow, and not back, than the bound--> held
//      held    --release, by an operator: what is found from then on counts anew--> flowing
//      held    --objects are back, so that no more than the bound are gone--> flowing
//
// The bound is the smaller of `objects` and `share` of the dataset, but never below kDeleteFloor: a small tree may be
// tidied. A name that comes and goes (a program's temporary file) is one name, not a removal each time. Nothing of it is stored: after a restart the next sweep finds the same removals and holds them again. Owned by
// the dataset's runner.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <list>
#include <string>
#include <unordered_map>
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
    DeleteHold() = default;
    DeleteHold(DeleteHold&&) = default;
    DeleteHold& operator=(DeleteHold&&) = default;
    void found(const std::string& path, TimeNs now) {  // its removal
        undone(path);
        if (released_unlisted_ > 0) {
            --released_unlisted_;
            return;
        }
        by_age_.emplace_back(now / kSecond, path);
        gone_.emplace(path, std::prev(by_age_.end()));
    }
    void undone(const std::string& path) {  // something stands there again, or it was none
        const auto found = gone_.find(path);
        if (found == gone_.end()) return;
        by_age_.erase(found->second);
        gone_.erase(found);
    }
    // Once a turn. `objects` is what the target holds; `unlisted` is how many more names are known to be gone, for which
    // there was no room (overflow.h): they will be found later.
    void judge(const DeleteHoldPolicy& policy, TimeNs now, std::uint64_t objects,
               std::uint64_t unlisted = 0) {
        forget(now);
        const std::uint64_t more = unlisted - std::min(unlisted, released_unlisted_);
        holds_ = policy.objects > 0 && gone_.size() + more > policy.bound(objects);
    }
    bool holds() const { return holds_; }
    void release(std::uint64_t unlisted = 0) {  // those too, when they are found
        holds_ = false;
        released_unlisted_ = unlisted;
        gone_.clear();
        by_age_.clear();
    }

    void unlisted(const std::string& path) {  // a removal that was found, and is one of `unlisted` now
        if (gone_.contains(path))
            undone(path);
        else
            ++released_unlisted_;  // nobody has to be asked about it again
    }
    void all_listed() { released_unlisted_ = 0; }

  private:
    // While removals are held the window stands still: time alone lets nothing go.
    void forget(TimeNs now) {
        while (!holds_ && !by_age_.empty() && now - by_age_.front().first * kSecond > kDeleteWindow) {
            gone_.erase(by_age_.front().second);
            by_age_.pop_front();
        }
    }

    bool holds_ = false;
    std::uint64_t released_unlisted_ = 0;
    // Of a window, or since the hold: no more names than the bound, and those of removals that wait.
    using ByAge = std::list<std::pair<TimeNs, std::string>>;  // by second
    ByAge by_age_;
    std::unordered_map<std::string, ByAge::iterator> gone_;
};

}  // namespace longhaul::control
