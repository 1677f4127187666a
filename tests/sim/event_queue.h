// The virtual clock: events in order of time, and of insertion where times are equal. Arrivals that come in the
// order of their times, as nearly all do, wait in a queue per endpoint instead of the heap: with a pipe full of
// packets the heap is what a simulated second costs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
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
        change,
        measure
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
        if (event.kind == Event::Kind::arrival && event.endpoint < arrivals_.size()) {
            std::deque<Event>& queue = arrivals_[event.endpoint];
            if (queue.empty() || queue.back().at <= event.at) {
                queue.push_back(event);
                return;
            }
        }
        heap_.push(event);
    }
    bool empty() const { return first() == nullptr; }
    TimeNs next_at() const { return empty() ? kNever : first()->at; }
    Event pop() {
        const Event event = *first();
        if (!heap_.empty() && heap_.top().order == event.order) {
            heap_.pop();
            return event;
        }
        for (auto& queue : arrivals_) {
            if (queue.empty() || queue.front().order != event.order) continue;
            queue.pop_front();
            break;
        }
        return event;
    }

  private:
    struct Later {
        bool operator()(const Event& a, const Event& b) const {
            return a.at != b.at ? a.at > b.at : a.order > b.order;
        }
    };
    const Event* first() const {
        const Event* first = heap_.empty() ? nullptr : &heap_.top();
        for (const auto& queue : arrivals_)
            if (!queue.empty() && (first == nullptr || Later()(*first, queue.front())))
                first = &queue.front();
        return first;
    }

    std::priority_queue<Event, std::vector<Event>, Later> heap_;
    std::array<std::deque<Event>, 2> arrivals_;
    std::uint64_t order_ = 0;
};

}  // namespace longhaul::sim
