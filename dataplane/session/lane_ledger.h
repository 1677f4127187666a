// The sender's books per lane: what is in flight, what was lost before FEC, and which lanes still carry
// anything. Packet numbers are the sealer's; loss follows from the receiver's own counters, flight from the
// echoed send times.
//
//   lane:  usable -> suspect (others moved on, this one did not: repairs avoid it) -> down (pings only) -> usable
//          lossy: loses clearly more than its siblings; it carries less from verdict to verdict, as little as 1/16
//
// A lane that stays down or lossy has an unlucky way through the network: it should leave by another source port
// (next_rehash), so that whoever spreads flows by their addresses finds it another one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/base/time.h"
#include "dataplane/session/fixed_queue.h"
#include "dataplane/wire/feedback.h"

namespace longhaul::session {

struct LaneFigures {
    enum class State : std::uint8_t { up, suspect, lossy, down };
    State state = State::up;
    double weight = 1, loss = 0;  // share of a lane that is well; of packets, lately
    std::uint64_t tx_packets = 0, delivered_packets = 0, lost_packets = 0, rehashes = 0;
};
const char* to_string(LaneFigures::State state) noexcept;

class LaneLedger {
  public:
    LaneLedger(unsigned lanes, std::uint32_t frame_overhead_bytes);

    void sent(unsigned lane, std::uint32_t tx_time_us, std::uint32_t wire_bytes) noexcept;

    // What one lane's report taught. Reports older than one already seen teach nothing.
    struct Lesson {
        bool progressed = false;  // a packet newer than any before has arrived there
        std::uint64_t delivered_packets = 0, delivered_bytes = 0;  // since the last report; wire bytes
        std::uint64_t lost_packets = 0;                            // confirmed by this report
        bool excused = false;  // loss of an outage: it says nothing about congestion
    };
    // Whether a packet newer than any before has arrived on the report's lane.
    bool news(const wire::LaneReport& report) const noexcept {
        if (report.lane >= lanes_.size()) return false;
        const Lane& lane = lanes_[report.lane];
        return !lane.heard || report.largest_packet_number > lane.largest;
    }
    // `patience`: a gap in the numbers is loss only when it is still there this much later (reordering).
    Lesson report(const wire::LaneReport& report, TimeNs now, TimeNs patience) noexcept;

    // After all reports of a feedback: which lanes have fallen behind the one that moved on furthest.
    void judge(TimeNs now, TimeNs rtt) noexcept;
    // The path was dead: losses that come to light before `until` are the outage's.
    void excuse_until(TimeNs until) noexcept;

    // A stripe of so many symbols begins: where its own turn through the lanes starts. Each stripe takes turns by itself,
    // so that its symbols are spread evenly, however many stripes are sent at once; all of them together are, too.
    std::uint8_t begin_stripe(unsigned symbols) noexcept;
    // The lane for a stripe's next packet: lanes in turn, without those that are down, those that lose less often.
    unsigned next_lane(std::uint8_t& turn) noexcept;
    // ... and for a repair: it also avoids suspects and lanes that lose clearly more than the others.
    unsigned repair_lane() noexcept;

    // A lane that should change its way now; rehashed() says that it has. What is found lost of the old way in the next
    // `patience` is not held against the new one. A lane for which nothing helps is tried ever more seldom.
    std::optional<unsigned> next_rehash(TimeNs now, TimeNs rtt) const noexcept;
    void rehashed(unsigned lane, TimeNs now, TimeNs patience) noexcept;
    LaneFigures figures(unsigned lane) const noexcept;

    std::uint64_t inflight_bytes() const noexcept { return inflight_bytes_; }
    bool down(unsigned lane) const noexcept { return lanes_[lane].down; }
    unsigned usable() const noexcept;  // those that are not down
    unsigned count() const noexcept { return static_cast<unsigned>(lanes_.size()); }

  private:
    // Packets sent within kBatchUs of each other are one record: the ring stays small at any packet rate.
    struct Batch {
        std::uint32_t first_us = 0, last_us = 0;
        std::uint32_t packets = 0;
        std::uint64_t bytes = 0;
    };
    struct Lane {
        explicit Lane(std::size_t batches) : flight(batches) {}
        FixedQueue<Batch> flight;
        std::uint64_t inflight_bytes = 0, inflight_packets = 0;
        bool heard = false;
        std::uint64_t largest = 0, packets = 0, bytes = 0;
        std::uint32_t echo_us = 0;
        std::uint64_t lost = 0;     // confirmed
        std::uint64_t gap_min = 0;  // smallest gap seen since gap_since
        TimeNs gap_since = 0;
        TimeNs excused_until = 0;
        std::uint64_t verdict_packets = 0, verdict_lost = 0;  // since the share below was taken
        double loss = 0;                                      // share of packets, lately
        bool suspect = false, down = false, lossy = false;
        bool judged = false;            // by the newest comparison
        double weight = 1, credit = 0;  // of its turns; what it has saved up of one
        TimeNs bad_since = 0, rehash_after = 0, fresh_until = 0;
        TimeNs rehash_wait = 0;
        std::uint64_t tx_packets = 0, rehashes = 0;
    };
    std::uint64_t confirm_loss(Lane& lane, std::uint64_t gap, TimeNs now, TimeNs patience) noexcept;
    void acknowledge(Lane& lane, std::uint32_t echo_us) noexcept;
    void forget_flight(Lane& lane) noexcept;
    void compare_losses() noexcept;
    void note_bad(Lane& lane, TimeNs now) noexcept;
    bool takes_turn(Lane& lane) noexcept;

    std::vector<Lane> lanes_;
    std::uint32_t frame_overhead_bytes_;
    std::uint64_t inflight_bytes_ = 0;
    unsigned cursor_ = 0;
};

}  // namespace longhaul::session
