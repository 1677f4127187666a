// The publisher's queue and its thread.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/publisher.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "drivers/storage/errors.h"

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

// A file system that takes longer is full of others' unwritten data: bundles flush their own for a while.
constexpr std::chrono::seconds kFlushLong{1};
constexpr unsigned kBundlesSingly = 64;

// Fewer files than these share a journal commit or two anyway, and wait for nobody else's data.
constexpr std::ptrdiff_t kFilesTogetherMin = 32;

// All or none: an error says that something of this file system was lost, not what, and says so once.
void flush_together(const std::vector<std::shared_ptr<PublishJob>>& jobs) {
    const Store& store = *jobs.front()->store;
    const auto begin = std::chrono::steady_clock::now();
    const int error = store.disk.syncfs(store.staging.get()) == 0 ? 0 : errno;
    if (std::chrono::steady_clock::now() - begin > kFlushLong)
        store.flush_singly.store(kBundlesSingly, std::memory_order_relaxed);
    ++jobs.front()->file_system_flushes;
    if (error != 0) ++store.flush_failures;
    for (const auto& job : jobs) {
        job->unflushed = false;
        job->flushed_together = true;
        if (job->flush_failures == store.flush_failures) continue;
        for (wire::FailReason& reason : job->reasons)
            if (reason == wire::FailReason::none) reason = target_reason(error != 0 ? error : EIO);
    }
}

}  // namespace

bool may_flush_together(const wire::Manifest& manifest, const Store& store) noexcept {
    if (manifest.publish == wire::PublishRule::in_order)
        return false;  // is said to be staged once it is flushed
    const auto files =
        std::count_if(manifest.entries.begin(), manifest.entries.end(),
                      [](const wire::Entry& entry) { return entry.kind == wire::EntryKind::file; });
    if (files < kFilesTogetherMin) return false;
    unsigned singly = store.flush_singly.load(std::memory_order_relaxed);
    while (singly > 0 &&
           !store.flush_singly.compare_exchange_weak(singly, singly - 1, std::memory_order_relaxed))
        continue;
    return singly == 0;
}

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
    if (!thread_.joinable() && how_ == Publishing::on_its_thread) {
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
    if (how_ == Publishing::when_collected) finish_all();
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
    while (how_ == Publishing::when_collected && !jobs_.empty())
        work_off(lock);
    finished_.wait(lock, [this] { return jobs_.empty() && !working_; });
}

Publisher::Jobs Publisher::waiting_with(const std::shared_ptr<PublishJob>& first) {
    Jobs together{first};
    for (const auto& job : jobs_)
        if (job->unflushed && job->store == first->store) together.push_back(job);
    return together;
}

void Publisher::work_off(std::unique_lock<std::mutex>& lock) {
    std::shared_ptr<PublishJob> job = std::move(jobs_.front());
    jobs_.pop_front();
    working_ = true;
    Jobs together;
    if (job->unflushed) together = waiting_with(job);
    lock.unlock();
    if (!together.empty()) flush_together(together);
    publish(*job);
    lock.lock();
    working_ = false;
    done_.push_back(std::move(job));
    something_done_.store(true, std::memory_order_release);
    finished_.notify_all();
}

void Publisher::run() {
    become_a_helper();
    std::unique_lock lock(mutex_);
    for (;;) {
        wanted_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        work_off(lock);
    }
}

}  // namespace longhaul::storage
