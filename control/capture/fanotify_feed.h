// The feed of a POSIX source: a thread that listens to one fanotify group and keeps what it hears in a queue.
//
//      blind     --arm(): the file system is marked--> listening
//      blind     --arm(): refused, the view says why--> blind
//      listening --the source was unmounted, or is another directory now: lost--> blind
//      listening --the kernel's queue or ours has overflowed: lost--> listening
//
// Each loss wakes whoever takes hints, causes a sweep, and that sweep arms again before it looks: so no change falls
// between. The thread is the feed's own, because a kernel queue that nobody reads overflows; it touches the source only
// to find paths, and ends with the feed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "control/capture/fanotify_group.h"
#include "control/capture/hint_queue.h"

namespace longhaul::control {

class FanotifyFeed final : public ChangeFeed {
  public:
    FanotifyFeed(std::string directory, std::function<void()> wake);
    ~FanotifyFeed() override;
    FanotifyFeed(const FanotifyFeed&) = delete;
    FanotifyFeed& operator=(const FanotifyFeed&) = delete;

    void arm() override;
    Hints take() override;
    CaptureView view() const override;

  private:
    using Group = std::shared_ptr<FanotifyGroup>;

    void run();
    Group group() const;
    void hear(FanotifyGroup& group);
    void lose(std::string why, const Group& blind);
    int patience_ms() const;
    void wake_if_due();
    void poke() const;

    const std::string directory_;
    const std::function<void()> wake_;
    const Descriptor poke_;  // an eventfd: look at what has changed in here

    mutable std::mutex mutex_;  // of all below
    Group group_;               // null: blind
    HintQueue queue_;
    CaptureView view_;
    bool woken_ = false;  // nobody has taken since
    bool stop_ = false;

    std::thread thread_;  // last: it uses what stands above
};

}  // namespace longhaul::control
