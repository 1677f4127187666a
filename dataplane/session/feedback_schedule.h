// When feedback leaves: every T while much arrives, less often while little does (on a slow link feedback
// must not become the traffic), sooner when somebody waits for it, seldom when idle.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "dataplane/session/receiver.h"

namespace longhaul::session {

class FeedbackSchedule {
  public:
    FeedbackSchedule(const ReceiverConfig& config, TimeNs now) noexcept
        : minimum_(config.feedback_min),
          maximum_(config.feedback_max),
          idle_(config.feedback_idle),
          last_(now) {}

    void something_changed() noexcept {  // tell within T, or within feedback_max if it is little
        changed_ = true;
        ++changes_;
    }
    void somebody_waits() noexcept { hurry_ = true; }  // tell as soon as the smallest interval allows
    void repeat_at(TimeNs at) noexcept {
        repeat_at_ = std::min(repeat_at_, at);
    }  // what was told may have been lost

    TimeNs interval(TimeNs rtt_min) const noexcept { return std::clamp(rtt_min / 32, minimum_, maximum_); }
    TimeNs due_at(TimeNs rtt_min, TimeNs ask_at) const noexcept {
        const TimeNs soonest = last_ + minimum_;
        if (hurry_) return soonest;
        TimeNs due = last_ + idle_;
        if (changed_) due = std::min(due, last_ + (changes_ >= kManyChanges ? interval(rtt_min) : maximum_));
        due = std::min(due, std::max(soonest, std::min(repeat_at_, ask_at)));
        return due;
    }
    void sent(TimeNs now) noexcept {
        last_ = now;
        changed_ = hurry_ = false;
        changes_ = 0;
        repeat_at_ = kNever;
    }

  private:
    static constexpr unsigned kManyChanges = 32;  // packets: feedback stays below 1 % of what it answers
    unsigned changes_ = 0;
    TimeNs minimum_, maximum_, idle_, last_;
    TimeNs repeat_at_ = kNever;
    bool changed_ = false, hurry_ = false;
};

}  // namespace longhaul::session
