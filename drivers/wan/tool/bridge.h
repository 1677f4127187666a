// Pairs of ports and the two directions between their sides: every frame that enters one port leaves the other
// of its pair as the link model says. All pairs share one link: programs that cannot use the same port compete
// for the same queue. One thread owns all of it; ports may come and go under it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "drivers/nic/nic.h"
#include "drivers/wan/link_model.h"
#include "drivers/wan/tool/delay_line.h"

namespace longhaul::wan {

// Frames to hold for one direction: twice what 1500-byte frames need for rate x (delay + queue), within
// bounds.
struct HoldingPlan {
    unsigned frames = 0;
    bool capped =
        false;  // the ceiling cut it: longer delays or smaller frames will overflow, counted as held_dropped
};
HoldingPlan plan_holding(const LinkSettings& settings);

struct Direction {
    Direction(const LinkSettings& settings, std::uint64_t seed, unsigned frames)
        : model(settings, seed), line(frames) {}
    LinkModel model;
    DelayLine line;
    std::uint64_t held_dropped = 0;  // the delay line was full
};

struct PortPair {
    std::unique_ptr<nic::Port> a, b;
};

class Bridge {
  public:
    // `a` carries frames from ports A to ports B, `b` the other way. At least one pair, at most 65,536.
    Bridge(std::vector<PortPair> pairs, const LinkSettings& a, const LinkSettings& b, unsigned frames_a,
           unsigned frames_b, std::uint64_t seed);
    ~Bridge();  // frames under way are freed before their pools

    // Takes in what has arrived and puts out what is due; true: something was. The clock is read behind each burst: what
    // comes while this thread is put aside must not leave earlier than its delay after it came.
    using Clock = TimeNs (*)();
    bool step(Clock clock);
    TimeNs next_at() const;

    Direction& direction(bool b) { return b ? b_ : a_; }
    std::string show(TimeNs now);  // one line of JSON

  private:
    nic::Port& exit_of(const Direction& direction, std::size_t pair) {
        return &direction == &a_ ? *pairs_[pair].b : *pairs_[pair].a;
    }
    unsigned take_in(nic::Port& from, std::size_t pair, Direction& direction, Clock clock);
    unsigned put_out(Direction& direction, TimeNs now);
    void transmit(Direction& direction, rte_mbuf** frames, unsigned count);
    void accept(rte_mbuf* frame, nic::Port& from, Direction& direction, TimeNs now);

    std::vector<PortPair> pairs_;
    Direction a_, b_;
    std::size_t first_pair_ = 0;  // served first in the next step
};

}  // namespace longhaul::wan
