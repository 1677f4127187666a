// SPDX-License-Identifier: Apache-2.0
#include "control/capture/shares.h"

#include <utility>

namespace longhaul::control {

void Shares::give(Share&& share) {
    {
        const std::scoped_lock lock(mutex_);
        given_.push_back(std::move(share));
        wanted_.fetch_sub(1, std::memory_order_relaxed);
    }
    changed_.notify_one();
}

std::optional<Share> Shares::take(bool was_at_work) {
    std::unique_lock lock(mutex_);
    if (was_at_work) --at_work_;
    wanted_.fetch_add(1, std::memory_order_relaxed);
    changed_.wait(lock, [this] { return !given_.empty() || at_work_ == 0; });
    if (given_.empty()) {
        lock.unlock();
        changed_.notify_all();
        return std::nullopt;
    }
    Share share = std::move(given_.front());
    given_.pop_front();
    ++at_work_;
    return share;
}

}  // namespace longhaul::control
