// The virtual clock: events in order of time, and of insertion where times are equal.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "dataplane/base/time.h"

namespace longhaul::sim {

struct Event {
    enum class Kind : std::uint8_t {
        arrival,
        tick,
        read_done,
        write_done,
        durable,
        published,
        offer,
        cancel,
        change
    };
    TimeNs at = 0;
    std::uint64_t order = 0;
    Kind kind = Kind::tick;
    std::uint8_t endpoint = 0;
    std::uint64_t value = 0;  // packet, block, handle or index, by kind
    std::uint64_t extra = 0;
};

class EventQueue {
  public:
    void push(Event event) {
        event.order = order_++;
        heap_.push(event);
    }
    bool empty() const { return heap_.empty(); }
    Event pop() {
        const Event event = heap_.top();
        heap_.pop();
        return event;
    }
    const Event& top() const { return heap_.top(); }

  private:
    struct Later {
        bool operator()(const Event& a, const Event& b) const {
            return a.at != b.at ? a.at > b.at : a.order > b.order;
        }
    };
    std::priority_queue<Event, std::vector<Event>, Later> heap_;
    std::uint64_t order_ = 0;
};

}  // namespace longhaul::sim
