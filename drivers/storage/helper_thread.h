// A thread for blocking steps, so that a disk never stops the worker's loop. Jobs go over whole and come back whole, in
// order; what is to happen then happens on the owner's thread, in collect().
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace longhaul::storage {

enum class Helping : std::uint8_t {
    on_its_thread,
    when_collected,  // on the caller's thread, in collect(): where nothing blocks and order must repeat
};

// On all cores, deaf to signals: those go to the program's own threads.
std::thread start_helper_thread(const char* name, std::function<void()> run);

// Job has `std::function<void(Job&)> done`: owner thread only; cleared when whoever asked is gone.
template <class Job>
class HelperThread {
  public:
    HelperThread(const HelperThread&) = delete;
    HelperThread& operator=(const HelperThread&) = delete;

    void start(std::shared_ptr<Job> job);
    std::size_t collect();  // calls done() of the jobs that are over; returns how many
    void finish_all();      // waits for every job; then collect() finds them
    bool idle() const noexcept { return outstanding_ == 0; }

  protected:
    using Jobs = std::deque<std::shared_ptr<Job>>;
    HelperThread(Helping how, const char* name) : how_(how), name_(name) {}
    ~HelperThread() = default;
    void end();  // finishes the jobs that it has; the destructor of what derives calls it

  private:
    virtual void chosen(const std::shared_ptr<Job>&, const Jobs& /*waiting*/) {}  // under the lock
    virtual void work(Job& job) = 0;
    void run();
    void work_off(std::unique_lock<std::mutex>& lock);  // the first job; unlocks while it works

    const Helping how_;
    const char* const name_;
    std::size_t outstanding_ = 0;  // owner thread: started and not collected
    std::thread thread_;           // made with the first job: most never have one
    std::mutex mutex_;
    std::condition_variable wanted_;
    std::condition_variable finished_;
    Jobs jobs_;
    std::vector<std::shared_ptr<Job>> done_;
    std::atomic<bool> something_done_{false};  // spares collect() the lock on the worker's idle turns
    bool working_ = false;
    bool stopping_ = false;
};

template <class Job>
void HelperThread<Job>::end() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wanted_.notify_one();
    thread_.join();
}

template <class Job>
void HelperThread<Job>::start(std::shared_ptr<Job> job) {
    ++outstanding_;
    if (!thread_.joinable() && how_ == Helping::on_its_thread)
        thread_ = start_helper_thread(name_, [this] { run(); });
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    wanted_.notify_one();
}

template <class Job>
std::size_t HelperThread<Job>::collect() {
    if (how_ == Helping::when_collected) finish_all();
    if (!something_done_.exchange(false, std::memory_order_acquire)) return 0;
    std::vector<std::shared_ptr<Job>> done;
    {
        const std::lock_guard lock(mutex_);
        done.swap(done_);
    }
    for (const auto& job : done) {
        --outstanding_;
        if (job->done) job->done(*job);
    }
    return done.size();
}

template <class Job>
void HelperThread<Job>::finish_all() {
    std::unique_lock lock(mutex_);
    while (how_ == Helping::when_collected && !jobs_.empty())
        work_off(lock);
    finished_.wait(lock, [this] { return jobs_.empty() && !working_; });
}

template <class Job>
void HelperThread<Job>::work_off(std::unique_lock<std::mutex>& lock) {
    std::shared_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    working_ = true;
    chosen(job, jobs_);
    lock.unlock();
    work(*job);
    lock.lock();
    working_ = false;
    done_.push_back(std::move(job));
    something_done_.store(true, std::memory_order_release);
    finished_.notify_all();
}

template <class Job>
void HelperThread<Job>::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wanted_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        work_off(lock);
    }
}

}  // namespace longhaul::storage
