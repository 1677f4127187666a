// Two ports and the two directions between them: every frame that enters one leaves the other as the link
// model says. One thread owns all of it; ports may come and go under it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>

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

class Bridge {
  public:
    // `a` carries frames from port A to port B, `b` the other way.
    Bridge(std::unique_ptr<nic::Port> port_a, std::unique_ptr<nic::Port> port_b, const LinkSettings& a,
           const LinkSettings& b, unsigned frames_a, unsigned frames_b, std::uint64_t seed);
    ~Bridge();  // frames under way are freed before their pools

    // Takes in what has arrived and puts out what is due; true: something was.
    bool step(TimeNs now);
    TimeNs next_at() const;

    Direction& direction(bool b) { return b ? b_ : a_; }
    std::string show(TimeNs now);  // one line of JSON

  private:
    unsigned take_in(nic::Port& from, Direction& direction, TimeNs now);
    unsigned put_out(Direction& direction, nic::Port& to, TimeNs now);
    void accept(rte_mbuf* frame, nic::Port& from, Direction& direction, TimeNs now);

    std::unique_ptr<nic::Port> port_a_, port_b_;
    Direction a_, b_;
};

}  // namespace longhaul::wan
