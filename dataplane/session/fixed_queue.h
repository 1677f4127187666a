// A first-in first-out queue whose room is taken once: nothing on the per-packet path allocates.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

#include "dataplane/base/assert.h"

namespace longhaul::session {

template <typename T>
class FixedQueue {
  public:
    explicit FixedQueue(std::size_t capacity)
        : slots_(std::bit_ceil(capacity == 0 ? 1 : capacity)), limit_(capacity) {}

    bool empty() const noexcept { return head_ == tail_; }
    bool full() const noexcept { return size() >= limit_; }
    std::size_t size() const noexcept { return tail_ - head_; }

    void push(T value) noexcept {
        LH_ASSERT(!full());
        slots_[tail_++ & mask()] = std::move(value);
    }
    T pop() noexcept {
        LH_ASSERT(!empty());
        return std::move(slots_[head_++ & mask()]);
    }
    T& front() noexcept { return at(0); }
    const T& front() const noexcept { return slots_[head_ & mask()]; }
    T& back() noexcept { return at(size() - 1); }
    T& at(std::size_t i) noexcept {
        LH_ASSERT(i < size());
        return slots_[(head_ + i) & mask()];
    }
    void clear() noexcept {
        while (!empty())
            pop();
    }

  private:
    std::size_t mask() const noexcept { return slots_.size() - 1; }
    std::vector<T> slots_;
    std::size_t limit_, head_ = 0, tail_ = 0;
};

}  // namespace longhaul::session
