// Frames on their way through one direction, handed out when their time has come: a ring for those that keep
// their order, a small heap for those that the model holds back. Bounded; memory is taken once. Owned by the
// bridge's thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "dataplane/base/assert.h"
#include "dataplane/base/time.h"

struct rte_mbuf;

namespace longhaul::wan {

class DelayLine {
  public:
    explicit DelayLine(std::size_t capacity) : ring_(capacity) { held_back_.reserve(capacity); }

    std::size_t size() const { return count_ + held_back_.size(); }
    bool full() const { return size() == ring_.size(); }
    void push(rte_mbuf* frame, TimeNs at) {
        LH_ASSERT(!full());
        if (count_ != 0 && at < back().at) {  // overtakes what went before: that one was held back
            held_back_.push_back({at, next_serial_++, frame});
            std::push_heap(held_back_.begin(), held_back_.end(), later);
            return;
        }
        ring_[(first_ + count_++) % ring_.size()] = {at, next_serial_++, frame};
    }
    TimeNs next_at() const {
        const TimeNs ring = count_ == 0 ? kNever : ring_[first_].at;
        return held_back_.empty() ? ring : std::min(ring, held_back_.front().at);
    }
    // The frame due first, if it is due; null otherwise. kNever empties the line.
    rte_mbuf* pop(TimeNs now) {
        if (size() == 0 || next_at() > now) return nullptr;
        if (!held_back_.empty() && (count_ == 0 || later(ring_[first_], held_back_.front()))) {
            std::pop_heap(held_back_.begin(), held_back_.end(), later);
            rte_mbuf* frame = held_back_.back().frame;
            held_back_.pop_back();
            return frame;
        }
        rte_mbuf* frame = ring_[first_].frame;
        first_ = (first_ + 1) % ring_.size();
        --count_;
        return frame;
    }

  private:
    struct Pending {
        TimeNs at;
        std::uint64_t serial;  // frames due together leave as they came
        rte_mbuf* frame;
    };
    static bool later(const Pending& a, const Pending& b) {
        return a.at != b.at ? a.at > b.at : a.serial > b.serial;
    }
    const Pending& back() const { return ring_[(first_ + count_ - 1) % ring_.size()]; }

    std::vector<Pending> ring_;
    std::size_t first_ = 0, count_ = 0;
    std::vector<Pending> held_back_;  // a heap, the earliest in front
    std::uint64_t next_serial_ = 0;
};

}  // namespace longhaul::wan
