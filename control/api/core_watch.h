// Says whether the core still answers: asks it every second on a thread of its own, so that /healthz never
// hangs on a core that does.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "control/core.h"

namespace longhaul::control {

class CoreWatch {
  public:
    static constexpr std::chrono::seconds kInterval{1}, kPatience{5};

    explicit CoreWatch(Core& core) : core_(core) {}
    ~CoreWatch() { stop(); }

    void start() {
        last_answer_ = Clock::now().time_since_epoch();
        thread_ = std::thread([this] { run(); });
    }
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        if (thread_.joinable()) thread_.join();
    }
    bool alive() const { return Clock::now().time_since_epoch() - last_answer_.load() < kPatience; }

  private:
    using Clock = std::chrono::steady_clock;

    void run() {
        for (;;) {
            core_.stats();
            last_answer_ = Clock::now().time_since_epoch();
            std::unique_lock lock(mutex_);
            if (wake_.wait_for(lock, kInterval, [this] { return stopping_; })) return;
        }
    }

    Core& core_;
    std::atomic<Clock::duration> last_answer_{};
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace longhaul::control
