// A thread for the blocking steps of publishing, so that a journal commit or the removal of a large file
// never stops the worker's loop. Jobs go over whole and come back whole, in order: bundles of one worker are
// published in the order in which they became flushed. Bundles of many small files come unflushed: one syncfs
// serves all that wait when it begins, where a thousand fdatasyncs would ask the disk a thousand times.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "drivers/storage/publish.h"

namespace longhaul::storage {

// Whether the bundle's staged files are left to the publisher to flush; counts the bundle when such flushes are avoided.
bool may_flush_together(const wire::Manifest& manifest, const Store& store) noexcept;

enum class Publishing : std::uint8_t {
    on_its_thread,
    when_collected,  // on the caller's thread, in collect(): where nothing blocks and order must repeat
};

class Publisher {
  public:
    explicit Publisher(Publishing how) : how_(how) {}
    ~Publisher();  // finishes the jobs that it has
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    void start(std::shared_ptr<PublishJob> job);
    std::size_t collect();  // calls done() of the jobs that are over; returns how many
    void finish_all();      // waits for every job; then collect() finds them
    bool idle() const noexcept { return outstanding_ == 0; }

  private:
    using Jobs = std::vector<std::shared_ptr<PublishJob>>;
    void run();
    void work_off(std::unique_lock<std::mutex>& lock);            // the first job; unlocks while it works
    Jobs waiting_with(const std::shared_ptr<PublishJob>& first);  // under the lock

    const Publishing how_;
    std::size_t outstanding_ = 0;  // owner thread: started and not collected
    std::thread thread_;           // made with the first job: a source has none
    std::mutex mutex_;
    std::condition_variable wanted_;
    std::condition_variable finished_;
    std::deque<std::shared_ptr<PublishJob>> jobs_;
    std::vector<std::shared_ptr<PublishJob>> done_;
    std::atomic<bool> something_done_{false};  // spares collect() the lock on the worker's idle turns
    bool working_ = false;
    bool stopping_ = false;
};

}  // namespace longhaul::storage
