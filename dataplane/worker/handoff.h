// Frames that change worker: what one worker's queue received for another, and what one built for a queue that another
// owns. Bounded rings with exactly one sender and one receiver; neither ever waits, and who finds a ring full drops by name.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/lockfree/spsc_queue.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/assert.h"
#include "drivers/nic/nic.h"

namespace longhaul::worker {

// How frames come to the worker that owns their lane, and leave from it, on a port with fewer, as many or more queues.
std::string steering_text(const nic::PortConfig& port, unsigned workers);

// Frames in a ring: half a millisecond of a 10G share in frames of 1,500 bytes.
inline constexpr std::size_t kHandoffFrames = 512;

struct HandedFrame {
    rte_mbuf* frame = nullptr;
    std::uint32_t port = 0;
};

// Frames belong to the ring from a push until a pop.
class HandoffRing {
  public:
    explicit HandoffRing(std::size_t capacity) : queue_(capacity) {}
    HandoffRing(const HandoffRing&) = delete;
    HandoffRing& operator=(const HandoffRing&) = delete;

    // How many of the first it took; the rest stay with the caller.
    std::size_t push(std::span<const HandedFrame> frames) {
        return queue_.push(frames.data(), frames.size());
    }
    std::size_t pop(std::span<HandedFrame> frames) { return queue_.pop(frames.data(), frames.size()); }

  private:
    boost::lockfree::spsc_queue<HandedFrame> queue_;
};

// Every ring of the process. A pair's rings are touched by these two workers alone.
class HandoffMesh {
  public:
    explicit HandoffMesh(unsigned workers, std::size_t capacity = kHandoffFrames) : workers_(workers) {
        for (std::size_t i = 0; i < 2 * std::size_t{workers} * workers; ++i)
            rings_.push_back(std::make_unique<HandoffRing>(capacity));
    }
    unsigned workers() const { return workers_; }
    // Received by `from`, of a lane that `to` owns.
    HandoffRing& arrivals(unsigned from, unsigned to) { return ring(0, from, to); }
    // Built by `from`, for the queue of `to`.
    HandoffRing& departures(unsigned from, unsigned to) { return ring(1, from, to); }

    // When no worker runs any more: gives what is left to `take`.
    template <typename Take>
    void drain(Take take) {
        HandedFrame frame;
        for (const auto& ring : rings_)
            while (ring->pop({&frame, 1}) > 0)
                take(frame.frame);
    }

  private:
    HandoffRing& ring(unsigned kind, unsigned from, unsigned to) {
        LH_ASSERT(from < workers_ && to < workers_ && from != to);
        return *rings_[(std::size_t{kind} * workers_ + from) * workers_ + to];
    }
    unsigned workers_;
    std::vector<std::unique_ptr<HandoffRing>> rings_;
};

}  // namespace longhaul::worker
