// What arrived on each lane: the counters that feedback carries, and one-way delay above its floor.
// The floor is the smallest of the last one to two windows, not of the session, so that clocks may drift
// apart.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "dataplane/base/assert.h"
#include "dataplane/base/time.h"
#include "dataplane/wire/feedback.h"
#include "dataplane/wire/packet.h"

namespace longhaul::session {

class LaneAccounts {
  public:
    explicit LaneAccounts(unsigned lanes) : lanes_(lanes) {}

    void arrived(const wire::Header& header, std::size_t datagram_bytes, TimeNs now) noexcept {
        if (header.lane >= lanes_.size()) return;
        Lane& lane = lanes_[header.lane];
        ++lane.packets;
        lane.bytes += datagram_bytes;
        if (lane.packets == 1 || header.packet_number > lane.largest) {
            lane.largest = header.packet_number;
            lane.tx_time_us = header.tx_time_us;
            lane.arrived = now;
        }
        lane.note_delay(wire_clock_us(now) - header.tx_time_us, now);
    }

    unsigned count() const noexcept { return static_cast<unsigned>(lanes_.size()); }
    bool heard(unsigned lane) const noexcept { return lanes_[lane].packets > 0; }

    // Closes the lane's delay interval.
    wire::LaneReport report(unsigned index, TimeNs now) noexcept {
        Lane& lane = lanes_[index];
        wire::LaneReport report;
        report.lane = static_cast<std::uint8_t>(index);
        report.largest_packet_number = lane.largest;
        report.echo_tx_time_us = lane.tx_time_us;
        report.hold_us = static_cast<std::uint32_t>((now - lane.arrived) / kMicrosecond);
        report.packets = lane.packets;
        report.bytes = lane.bytes;
        report.owd_rise_us = lane.rise_us;
        lane.rise_fresh = true;
        return report;
    }

    // A lane for a packet of ours: in turn, among those on which something came lately (a dead lane is dead
    // both ways more often than not); any lane while nothing has come at all.
    unsigned next_lane(TimeNs now) noexcept {
        const unsigned lanes = count();
        LH_ASSERT(lanes > 0);
        for (unsigned i = 0; i < lanes; ++i) {
            const unsigned index = (cursor_ + i) % lanes;
            if (lanes_[index].packets == 0 || now - lanes_[index].newest > kRecent) continue;
            cursor_ = index + 1;
            return index;
        }
        cursor_ = (cursor_ + 1) % lanes;
        return cursor_;
    }

  private:
    static constexpr TimeNs kFloorWindow = 30 * kSecond;    // 50 ppm of drift move the floor 3 ms at most
    static constexpr TimeNs kRecent = 1500 * kMillisecond;  // idle lanes are pinged once a second

    struct Lane {
        std::uint64_t packets = 0, bytes = 0, largest = 0;
        std::uint32_t tx_time_us = 0;
        TimeNs arrived = 0;              // of the packet with the largest number
        TimeNs newest = 0;               // of any packet
        std::uint32_t reference_us = 0;  // delays are kept relative to the first: clocks share no epoch
        std::int32_t floor_us = 0, floor_before_us = 0;
        TimeNs floor_since = 0;
        std::int32_t rise_us = 0;  // smallest of the interval
        bool rise_fresh = true;

        void note_delay(std::uint32_t delay_us, TimeNs now) noexcept {
            if (packets == 1) {
                reference_us = delay_us;
                floor_since = now;
            }
            newest = now;
            const auto relative_us = static_cast<std::int32_t>(delay_us - reference_us);
            if (now - floor_since > kFloorWindow) {
                floor_before_us = floor_us;
                floor_us = relative_us;
                floor_since = now;
            }
            floor_us = std::min(floor_us, relative_us);
            const std::int32_t rise = relative_us - std::min(floor_us, floor_before_us);
            rise_us = rise_fresh ? rise : std::min(rise_us, rise);
            rise_fresh = false;
        }
    };
    std::vector<Lane> lanes_;
    unsigned cursor_ = 0;
};

}  // namespace longhaul::session
