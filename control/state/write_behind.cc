// One thread, one queue, and a loop that waits only for room and for the end.
// SPDX-License-Identifier: Apache-2.0
#include "control/state/write_behind.h"

#include <utility>

namespace longhaul::control {

WriteBehind::~WriteBehind() {
    if (!thread_.joinable()) return;
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    work_.notify_one();
    thread_.join();
}

void WriteBehind::post(std::function<void()> write) {
    given_ = true;
    {
        std::unique_lock lock(mutex_);
        if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
        progress_.wait(lock, [this] { return writes_.size() < kAhead; });
        writes_.push_back(std::move(write));
    }
    work_.notify_one();
}

void WriteBehind::rest() {
    if (!given_) return;
    std::unique_lock lock(mutex_);
    progress_.wait(lock, [this] { return writes_.empty(); });
    given_ = false;
}

void WriteBehind::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        work_.wait(lock, [this] { return stop_ || !writes_.empty(); });
        if (writes_.empty()) return;
        const auto& write = writes_.front();  // stays where it is while others are put behind it
        lock.unlock();
        write();
        lock.lock();
        writes_.pop_front();
        progress_.notify_one();
    }
}

}  // namespace longhaul::control
