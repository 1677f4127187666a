// The process's one arrival book: two generations of a bundle may come to two workers. It is the only thing that workers
// share. Any thread may call anything; a mutex is held for one look-up. Workers ask a few times a bundle, ask again each
// turn while they have to wait, and look at an atomic count of revocations once a turn: no packet ever meets the mutex.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>

#include "dataplane/session/arrival_book.h"

namespace longhaul::worker {

class SharedArrivals {
  public:
    using Key = session::ArrivalBook::Key;
    using Holder = session::ArrivalBook::Holder;
    using Verdict = session::ArrivalBook::Verdict;

    Verdict ask(const Key& key, std::uint32_t generation, Holder holder) {
        const std::lock_guard lock(mutex_);
        const Verdict verdict = book_.ask(key, generation, holder);
        revocations_.store(book_.revocations(), std::memory_order_release);
        return verdict;
    }
    bool revoked(const Key& key, Holder holder) const {
        const std::lock_guard lock(mutex_);
        return book_.revoked(key, holder);
    }
    bool begin_finish(const Key& key, Holder holder) {
        const std::lock_guard lock(mutex_);
        return book_.begin_finish(key, holder);
    }
    void end(const Key& key, Holder holder, bool published) {
        const std::lock_guard lock(mutex_);
        book_.end(key, holder, published);
    }
    std::uint64_t revocations() const noexcept { return revocations_.load(std::memory_order_acquire); }

  private:
    mutable std::mutex mutex_;
    session::ArrivalBook book_;  // guarded by mutex_
    std::atomic<std::uint64_t> revocations_ = 0;
};

}  // namespace longhaul::worker
