// Waiting for events, for what is due, and for the end of the mark; nothing blocks while the lock is held.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/fanotify_feed.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace longhaul::control {

namespace {

// While it rests the kernel merges events of the same entry: a writer of small pieces costs one event, not thousands.
constexpr int kRest_ms = 10;
// How long an unmounted source may go unnoticed.
constexpr TimeNs kCheckEvery = kSecond;

TimeNs steady_now() {
    return static_cast<TimeNs>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

FanotifyFeed::FanotifyFeed(std::string directory, std::function<void()> wake)
    : directory_(std::move(directory)),
      wake_(std::move(wake)),
      poke_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    view_.reason = "the first sweep has not begun";
    thread_ = std::thread([this] { run(); });
}

FanotifyFeed::~FanotifyFeed() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    poke();
    thread_.join();
}

void FanotifyFeed::poke() const {
    const std::uint64_t one = 1;
    static_cast<void>(!write(poke_.get(), &one, sizeof one));  // full: it is awake already
}

FanotifyFeed::Group FanotifyFeed::group() const {
    const std::scoped_lock lock(mutex_);
    return group_;
}

void FanotifyFeed::arm() {
    if (const Group armed = group(); armed && armed->marked()) return;
    auto opened = FanotifyGroup::open(directory_);
    {
        const std::scoped_lock lock(mutex_);
        group_ = opened ? Group(std::move(opened).value()) : Group();
        view_.kind = opened ? "fanotify" : "sweeps";
        view_.reason = opened ? std::string() : opened.error().text;
    }
    poke();
}

Hints FanotifyFeed::take() {
    Hints hints;
    bool was_woken = false;
    {
        const std::scoped_lock lock(mutex_);
        hints = queue_.take(steady_now());
        was_woken = std::exchange(woken_, false);
        view_.hints += hints.paths.size();
    }
    if (was_woken) poke();  // it has not looked after what is due since
    return hints;
}

CaptureView FanotifyFeed::view() const {
    const std::scoped_lock lock(mutex_);
    CaptureView view = view_;
    view.hints_waiting = queue_.size();
    view.losses = queue_.losses();
    return view;
}

void FanotifyFeed::run() {
    TimeNs check_at = 0;
    for (;;) {
        const Group listening = group();
        std::array<pollfd, 2> waits{
            {{poke_.get(), POLLIN, 0}, {listening ? listening->descriptor() : -1, POLLIN, 0}}};
        poll(waits.data(), waits.size(), patience_ms());
        std::uint64_t pokes = 0;
        static_cast<void>(!::read(poke_.get(), &pokes, sizeof pokes));
        {
            const std::scoped_lock lock(mutex_);
            if (stop_) return;
        }
        if (listening && (waits[1].revents & POLLIN) != 0) {
            poll(waits.data(), 1, kRest_ms);
            hear(*listening);
        }
        if (const TimeNs now = steady_now(); listening && now >= check_at) {
            check_at = now + kCheckEvery;
            if (!listening->marked())
                lose("the source was unmounted, or another directory stands there now", listening);
        }
        wake_if_due();
    }
}

void FanotifyFeed::hear(FanotifyGroup& group) {
    for (bool more = true; more;) {
        const auto batch = group.read();
        more = batch.more;
        const std::scoped_lock lock(mutex_);
        view_.events += batch.events;
        view_.events_nearby += batch.nearby;
        const TimeNs now = steady_now();
        for (const auto& heard : batch.paths)
            queue_.add(heard.path, heard.whole, heard.still_written, now);
        if (!batch.lost.empty()) queue_.lose(batch.lost);
        more = more && !stop_;
    }
}

void FanotifyFeed::lose(std::string why, const Group& blind) {
    const std::scoped_lock lock(mutex_);
    if (group_ != blind) return;  // armed again meanwhile
    group_.reset();
    view_.kind = "sweeps";
    view_.reason = why;
    queue_.lose(std::move(why));
}

// Until the mark is looked after again, or the next hint is due: whichever comes first.
int FanotifyFeed::patience_ms() const {
    const std::scoped_lock lock(mutex_);
    TimeNs patience = kCheckEvery;
    if (const auto due = queue_.due(); due && !woken_) {
        const TimeNs now = steady_now();
        patience = std::min(patience, *due > now ? *due - now : TimeNs{0});
    }
    return static_cast<int>((patience + kMillisecond - 1) / kMillisecond);
}

void FanotifyFeed::wake_if_due() {
    {
        const std::scoped_lock lock(mutex_);
        const auto due = queue_.due();
        if (woken_ || !due || *due > steady_now()) return;
        woken_ = true;
    }
    wake_();
}

}  // namespace longhaul::control
