// How many times the path lost something, whatever the number of packets each time: loss over this count is the mean
// length of a burst. A burst on the path hits the lanes in turn, one packet each, so no lane sees it alone; but the
// sender fills the lanes in turn, and so a lane that is passed over shows what is missing between two arrivals.
//
//   lane:  in turn -> passed over (marked with the run that the gap may belong to) -> next arrival there: its numbers
//          say whether something was lost (the run counts, once) or not (late, or the sender left the lane out)
//
// Where lanes overtake each other runs fall apart and look shorter: the error is towards independent loss.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/wire/packet.h"

namespace longhaul::session {

class LossRuns {
  public:
    explicit LossRuns(unsigned lanes) : lanes_(lanes) {}

    // Every authentic packet, in the order of arrival.
    void arrived(const wire::Header& header) noexcept {
        if (header.lane >= lanes_.size()) return;
        Lane& lane = lanes_[header.lane];
        if (header.packet_number < lane.expected) return;  // late: what it was missed as stays a loss here
        if (lane.expected > 0) lane.gap += header.packet_number - lane.expected;
        lane.expected = header.packet_number + 1;
        // Pings and feedback leave out of turn; what they reveal is kept for the lane's next symbol.
        const bool in_turn = header.type == wire::PacketType::data || header.type == wire::PacketType::parity;
        if (!in_turn) return;
        const std::uint32_t run = mark_passed_over(header.lane);
        if (lane.gap > 0) count(lane, run);
        lane.gap = 0;
        lane.run = 0;
        last_ = header.lane;
        any_ = true;
    }

    std::uint32_t events() const noexcept { return events_; }  // modulo 2^32

  private:
    struct Lane {
        std::uint64_t expected = 0;  // the next packet number; 0: nothing has come
        std::uint64_t gap = 0;       // numbers missing since the last symbol here
        std::uint32_t run = 0;       // the run in which the lane was passed over first; 0: it was not
    };

    std::uint32_t new_run() noexcept { return ++run_ == 0 ? ++run_ : run_; }

    // Lanes between the last arrival's and this one; 0 when there is none.
    std::uint32_t mark_passed_over(unsigned lane) noexcept {
        if (!any_) return 0;
        std::uint32_t run = 0;
        for (unsigned i = next(last_); i != lane; i = next(i)) {
            if (run == 0) run = new_run();
            if (lanes_[i].run == 0) lanes_[i].run = run;
        }
        return run;
    }

    // Nobody passed this lane over, yet it misses something: a whole turn or more is missing, on every lane.
    void count(const Lane& lane, std::uint32_t run) noexcept {
        std::uint32_t counts = lane.run;
        if (counts == 0) {
            counts = run != 0 ? run : new_run();
            for (Lane& other : lanes_)
                if (other.run == 0) other.run = counts;
        }
        std::uint32_t& counted = counted_[counts % counted_.size()];
        if (counted == counts) return;
        counted = counts;
        ++events_;
    }
    unsigned next(unsigned lane) const noexcept { return lane + 1 == lanes_.size() ? 0 : lane + 1; }

    std::vector<Lane> lanes_;
    std::array<std::uint32_t, 256> counted_{};  // the last runs that were counted, by number
    std::uint32_t run_ = 0, events_ = 0;
    unsigned last_ = 0;
    bool any_ = false;
};

}  // namespace longhaul::session
