// A thread that does one job after another: what may block (sweeps, look-ups, peers) must not block the loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace longhaul::control {

class Helper {
  public:
    Helper() : thread_([this] { run(); }) {}
    ~Helper() {  // ends after the running job; those that have not begun are dropped
        {
            const std::scoped_lock lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        thread_.join();
    }
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;

    void post(std::function<void()> job) {
        {
            const std::scoped_lock lock(mutex_);
            jobs_.push_back(std::move(job));
        }
        wake_.notify_all();
    }

  private:
    void run() {
        for (;;) {
            std::function<void()> job;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
                if (stop_) return;
                job = std::move(jobs_.front());
                jobs_.pop_front();
            }
            job();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    bool stop_ = false;
    std::thread thread_;  // last: it uses what stands above
};

// Lets a producer run ahead of its consumer by so many batches, and no further.
class Throttle {
  public:
    explicit Throttle(std::size_t ahead) : ahead_(ahead) {}
    bool enter() {  // false: stopped
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopped_ || count_ < ahead_; });
        ++count_;
        return !stopped_;
    }
    void leave() {
        {
            const std::scoped_lock lock(mutex_);
            --count_;
        }
        wake_.notify_one();
    }
    void stop() {
        {
            const std::scoped_lock lock(mutex_);
            stopped_ = true;
        }
        wake_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable wake_;
    const std::size_t ahead_;
    std::size_t count_ = 0;
    bool stopped_ = false;
};

}  // namespace longhaul::control
