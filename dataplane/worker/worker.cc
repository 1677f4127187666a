// The loop: one turn of a worker fits on a screen.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/worker.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

namespace longhaul::worker {

namespace {
// Turns without work before the first sleep: a burst that is just behind is not worth a sleep.
constexpr unsigned kIdleTurnsBeforeSleep = 16;
}  // namespace

void Worker::run() {
    ::prctl(PR_SET_TIMERSLACK, 1);  // sleeps of ~100 us must not become 150
    while (!stop_) {
        TimeNs now = clock_ns();
        clock_.begin_turn();
        bool busy = obey_commands(now);
        clock_.enter(Stage::receive);
        busy |= receive_frames();
        now = clock_ns();  // not before any arrival
        clock_.enter(Stage::storage);
        busy |= complete_storage(now);
        clock_.enter(Stage::bundles);
        busy |= advance_bundles(now);
        clock_.enter(Stage::symbols);
        busy |= transmit_frames(now);
        clock_.enter(Stage::report);
        busy |= report(now);
        clock_.end_turn(busy);
        ++loops_;
        if (busy) {
            ++busy_loops_;
            idle_turns_ = 0;
        } else if (!config_.poll && ++idle_turns_ > kIdleTurnsBeforeSleep) {
            rest(now);
        }
    }
}

// Sleeps until the next timer, but never longer than the configured bound: frames, completions and commands are
// found by looking.
void Worker::rest(TimeNs now) {
    TimeNs until = now + config_.idle_sleep;
    for (const Link* link : active_) {
        if (link->session == nullptr) continue;
        until =
            std::min({until, link->session->sender.next_wake(now), link->session->receiver.next_wake(now)});
    }
    if (until <= now) return;
    const timespec pause{0, static_cast<long>(std::min(until - now, config_.idle_sleep))};
    ::nanosleep(&pause, nullptr);
    ++sleeps_;
}

TimeNs Worker::clock_ns() const {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<TimeNs>(time.tv_sec) * kSecond + static_cast<TimeNs>(time.tv_nsec);
}

Link* Worker::find_link(std::uint8_t number, std::uint8_t group) {
    return group < kGroupsMax ? links_[number * kGroupsMax + group].get() : nullptr;
}

bool Worker::complete_storage(TimeNs now) {
    storage_events_.clear();
    if (storage_->poll(storage_events_) == 0) return false;
    for (const storage::Event& event : storage_events_)
        on_storage_event(event, now);
    return true;
}

bool Worker::advance_bundles(TimeNs now) {
    bool busy = stop_superseded(now);
    for (Link* link : active_) {
        if (link->session == nullptr) continue;
        busy |= collect_results(*link);
        busy |= start_waiting(*link, now);
        busy |= take_heads(*link, now);
        busy |= request_writes(*link, now);
        busy |= request_reads(*link, now);
    }
    if (busy) storage_->submit();
    return busy;
}

bool Worker::obey_commands(TimeNs now) {
    bool busy = false;
    for (unsigned i = 0; i < kBurst; ++i) {
        std::unique_ptr<Command> command = inbox_.receive();
        if (command == nullptr) break;
        obey(*command, now);
        busy = true;
    }
    return busy;
}

}  // namespace longhaul::worker
