// Who may touch a device's memory when: queues pass the gate for the length of a burst, whoever takes that
// memory away closes the gate or waits until every burst that had begun is over.
//
// memif (DPDK 22.11) unmaps the rings that it shares with its peer from EAL's interrupt thread as soon as the
// peer dies, without waiting for a burst that is reading them: a peer killed under load would take this
// process with it. It marks the device disconnected first, so bursts that begin later stay away; what is
// missing is the wait for those that had begun. memory_guard.cc supplies it where the memory goes away.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>

namespace longhaul::nic {

inline constexpr unsigned kQueuesMax = 64;

class BurstGate {
  public:
    BurstGate();  // enters the process-wide list that wait_for_all_bursts() goes through
    ~BurstGate();
    BurstGate(const BurstGate&) = delete;
    BurstGate& operator=(const BurstGate&) = delete;

    // One direction of one queue, `slot` < 2 * kQueuesMax; false: closed, touch nothing. One thread a slot.
    bool enter(unsigned slot) noexcept {
        inside_[slot].flag.store(true, std::memory_order_seq_cst);
        if (closers_.load(std::memory_order_seq_cst) == 0) return true;
        leave(slot);
        return false;
    }
    void leave(unsigned slot) noexcept { inside_[slot].flag.store(false, std::memory_order_release); }

    void close() noexcept;  // and waits until nobody is inside; open() once for each close()
    void open() noexcept { closers_.fetch_sub(1, std::memory_order_release); }

  private:
    friend void wait_for_all_bursts() noexcept;
    struct alignas(64) Inside {
        std::atomic<bool> flag{false};
    };
    std::array<Inside, 2 * kQueuesMax> inside_;
    std::atomic<int> closers_{0};
    BurstGate* next_ = nullptr;
};

// Returns when every burst that was under way at the call has ended. Not from inside a burst.
void wait_for_all_bursts() noexcept;

}  // namespace longhaul::nic
