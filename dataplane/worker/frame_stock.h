// Empty frames of one port, taken from its pool a burst ahead: when they are filled, what is written first (the frame's
// record and its headers) has come from the core or device that used it last.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <array>

#include "dataplane/base/prefetch.h"

namespace longhaul::worker {

// One thread owns it. The pool outlives it.
class FrameStock {
  public:
    explicit FrameStock(rte_mempool* pool) noexcept : pool_(pool) {}
    FrameStock(FrameStock&& other) noexcept
        : pool_(other.pool_), frames_(other.frames_), count_(other.count_) {
        other.count_ = 0;
    }
    FrameStock(const FrameStock&) = delete;
    FrameStock& operator=(const FrameStock&) = delete;
    FrameStock& operator=(FrameStock&&) = delete;
    ~FrameStock() {
        while (count_ > 0)
            rte_mbuf_raw_free(frames_[--count_]);
    }

    rte_mbuf* take() noexcept {  // nullptr: the pool is empty
        if (count_ == 0) refill();
        if (count_ == 0) return nullptr;
        rte_mbuf* const frame = frames_[--count_];
        rte_pktmbuf_reset(frame);
        return frame;
    }

    // For the next burst; call it when this one has left.
    void refill() noexcept {
        const unsigned before = count_, wanted = kFrames - count_;
        auto** const room = reinterpret_cast<void**>(frames_.data() + count_);
        if (wanted == 0) return;
        if (rte_mempool_get_bulk(pool_, room, wanted) == 0)
            count_ = kFrames;
        else if (rte_mempool_get(pool_, room) == 0)
            ++count_;
        for (unsigned i = before; i < count_; ++i) {
            const auto* const record = reinterpret_cast<const std::uint8_t*>(frames_[i]);
            prefetch_for_write(record, sizeof(rte_mbuf));
            // Where a fresh frame begins, without a look into its record, which is not here yet.
            const auto* const begin =
                reinterpret_cast<const std::uint8_t*>(rte_mbuf_buf_addr(frames_[i], pool_)) +
                RTE_PKTMBUF_HEADROOM;
            prefetch_for_write(begin, kHeaderBytes);
        }
    }

  private:
    static constexpr unsigned kFrames = 32;
    static constexpr std::size_t kHeaderBytes = 128;  // Ethernet, IP, UDP and ours

    rte_mempool* pool_;
    std::array<rte_mbuf*, kFrames> frames_{};
    unsigned count_ = 0;
};

}  // namespace longhaul::worker
