// Whether the far end still answers: what was sent and is not answered, for how long, and how steadily it is answered
// again. Much quicker than silence that ends a session: who has another link moves there at once.
//
//   unknown -> answering    first answer
//   answering -> mute       3 pings unanswered, and nothing answered for more than max(150 ms, 1.5 RTT)
//   mute -> answering       50 answers over 1 s without such a gap: a path that flaps is not gone back to
//
// A worker that was not let run has not listened either: a pause of its own counts as one step at most.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/time.h"

namespace longhaul::session {

class Liveness {
  public:
    explicit Liveness(TimeNs now) noexcept : looked_(now) {}

    void pinged() noexcept { ++pings_; }
    // Something that had not been answered before is answered now.
    void answered(TimeNs now) noexcept {
        pings_ = 0;
        quiet_ = 0;
        looked_ = now;
        if (state_ == State::unknown) state_ = State::answering;
        if (state_ != State::mute) return;
        if (good_ == 0) good_since_ = good_last_ = now;
        if (good_ == 0 || now - good_last_ >= kGoodApart) {
            ++good_;
            good_last_ = now;
        }
        if (good_ >= kGoodAnswers && now - good_since_ >= kGoodTime) state_ = State::answering;
    }
    // Called at least as often as pings are sent.
    void look(TimeNs now, TimeNs rtt) noexcept {
        const TimeNs step = std::min(now - looked_, kStepMax);
        looked_ = now;
        if (pings_ == 0) return;
        quiet_ += step;
        if (pings_ < kPingsMissed || quiet_ <= std::max(kQuietMin, rtt * 3 / 2)) return;
        if (state_ == State::answering) state_ = State::mute;
        good_ = 0;
    }
    bool answering() const noexcept { return state_ == State::answering; }

  private:
    enum class State : std::uint8_t { unknown, answering, mute };
    static constexpr unsigned kPingsMissed = 3;
    static constexpr TimeNs kQuietMin = 150 * kMillisecond;
    static constexpr TimeNs kStepMax = 25 * kMillisecond;  // a ping interval and a little
    static constexpr unsigned kGoodAnswers = 50;
    static constexpr TimeNs kGoodApart = 15 * kMillisecond;  // answers to data come in crowds
    static constexpr TimeNs kGoodTime = kSecond;

    State state_ = State::unknown;
    unsigned pings_ = 0;  // since the last answer
    TimeNs quiet_ = 0;    // while pings waited for an answer
    TimeNs looked_;
    unsigned good_ = 0;
    TimeNs good_since_ = 0, good_last_ = 0;
};

}  // namespace longhaul::session
