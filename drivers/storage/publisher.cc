// The publisher's queue and its thread.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/publisher.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <utility>

namespace longhaul::storage {

namespace {

// A worker is pinned to its core and masks nothing; its helper must share neither.
void become_a_helper() noexcept {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        CPU_SET(cpu, &cpus);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    (void)pthread_setname_np(pthread_self(), "lh-publish");
}

}  // namespace

Publisher::~Publisher() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wanted_.notify_one();
    thread_.join();
}

void Publisher::start(std::shared_ptr<PublishJob> job) {
    ++outstanding_;
    if (!thread_.joinable()) {
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited: signals go to the program's own threads
        thread_ = std::thread([this] { run(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    wanted_.notify_one();
}

std::size_t Publisher::collect() {
    if (!something_done_.exchange(false, std::memory_order_acquire)) return 0;
    std::vector<std::shared_ptr<PublishJob>> done;
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

void Publisher::finish_all() {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return jobs_.empty() && !working_; });
}

void Publisher::run() {
    become_a_helper();
    std::unique_lock lock(mutex_);
    for (;;) {
        wanted_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        std::shared_ptr<PublishJob> job = std::move(jobs_.front());
        jobs_.pop_front();
        working_ = true;
        lock.unlock();
        publish(*job);
        lock.lock();
        working_ = false;
        done_.push_back(std::move(job));
        something_done_.store(true, std::memory_order_release);
        finished_.notify_all();
    }
}

}  // namespace longhaul::storage
