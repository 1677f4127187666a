// Inflight by echoed send time, loss by persistent gaps in the receiver's counters, health by comparison of
// lanes.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/lane_ledger.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/assert.h"

namespace longhaul::session {
namespace {

constexpr std::size_t kBatchesMax = 2048;
constexpr std::uint32_t kBatchUs = 128;

// A lane is behind when something sent on it is unanswered this long after something sent later elsewhere
// arrived.
constexpr TimeNs kSuspectLagMin = 5 * kMillisecond;
constexpr TimeNs kDownLagMin = 100 * kMillisecond;
constexpr std::uint64_t kDownPacketsMin = 3;

// A lane is lossy when it loses at least this, and this many times what the others lose.
constexpr double kLossyMin = 0.01, kLossyTimes = 3;
constexpr std::uint64_t kVerdictPackets = 256;
constexpr double kVerdictMemory = 4;

std::int32_t later_by(std::uint32_t a_us, std::uint32_t b_us) noexcept {
    return static_cast<std::int32_t>(a_us - b_us);
}

}  // namespace

LaneLedger::LaneLedger(unsigned lanes, std::uint32_t frame_overhead_bytes)
    : frame_overhead_bytes_(frame_overhead_bytes) {
    LH_ASSERT(lanes >= 1 && lanes <= wire::kLanesMax);
    lanes_.reserve(lanes);
    for (unsigned i = 0; i < lanes; ++i)
        lanes_.emplace_back(kBatchesMax);
}

void LaneLedger::sent(unsigned index, std::uint32_t tx_time_us, std::uint32_t wire_bytes) noexcept {
    Lane& lane = lanes_[index];
    const bool joins =
        !lane.flight.empty() && (lane.flight.full() || tx_time_us - lane.flight.back().first_us < kBatchUs);
    if (!joins) lane.flight.push({tx_time_us, tx_time_us, 0, 0});
    Batch& batch = lane.flight.back();
    batch.last_us = tx_time_us;
    batch.bytes += wire_bytes;
    ++batch.packets;
    lane.inflight_bytes += wire_bytes;
    ++lane.inflight_packets;
    inflight_bytes_ += wire_bytes;
}

LaneLedger::Lesson LaneLedger::report(const wire::LaneReport& report, TimeNs now, TimeNs patience) noexcept {
    Lesson lesson;
    if (report.lane >= lanes_.size()) return lesson;
    Lane& lane = lanes_[report.lane];
    const bool older = lane.heard && (report.largest_packet_number < lane.largest ||
                                      report.packets < lane.packets || report.bytes < lane.bytes);
    if (older) return lesson;

    lesson.progressed = !lane.heard || report.largest_packet_number > lane.largest;
    lesson.delivered_packets = report.packets - lane.packets;
    lesson.delivered_bytes = report.bytes - lane.bytes + lesson.delivered_packets * frame_overhead_bytes_;
    if (lesson.progressed) {
        if (lane.down || lane.suspect) lane.excused_until = std::max(lane.excused_until, now + 3 * patience);
        lane.down = lane.suspect = false;
        lane.echo_us = report.echo_tx_time_us;
        acknowledge(lane, lane.echo_us);
    }
    if (!lane.heard) lane.gap_since = now;
    lane.heard = true;
    lane.largest = report.largest_packet_number;
    lane.packets = report.packets;
    lane.bytes = report.bytes;

    const std::uint64_t expected = lane.largest + 1;
    lesson.lost_packets =
        confirm_loss(lane, expected > lane.packets ? expected - lane.packets : 0, now, patience);
    lesson.excused = now < lane.excused_until;
    lane.verdict_packets += lesson.delivered_packets + lesson.lost_packets;
    lane.verdict_lost += lesson.lost_packets;
    return lesson;
}

// The smallest gap of an interval of at least `patience` did not close within it: that much is lost.
std::uint64_t LaneLedger::confirm_loss(Lane& lane, std::uint64_t gap, TimeNs now, TimeNs patience) noexcept {
    lane.gap_min = std::min(lane.gap_min, gap);
    if (now - lane.gap_since < patience) return 0;
    const std::uint64_t confirmed = lane.gap_min > lane.lost ? lane.gap_min - lane.lost : 0;
    lane.lost += confirmed;
    lane.gap_min = gap;
    lane.gap_since = now;
    return confirmed;
}

// A lane of its own loss has a way of its own (a bad member of a bundle of links): what was lost once should not go
// there again.
void LaneLedger::compare_losses() noexcept {
    double sum = 0;
    for (Lane& lane : lanes_) {
        if (lane.verdict_packets >= kVerdictPackets) {
            const auto packets = static_cast<double>(std::exchange(lane.verdict_packets, 0));
            const double share = static_cast<double>(std::exchange(lane.verdict_lost, 0)) / packets;
            lane.loss += (share - lane.loss) / kVerdictMemory;
        }
        sum += lane.loss;
    }
    for (Lane& lane : lanes_) {
        const double others =
            lanes_.size() > 1 ? (sum - lane.loss) / static_cast<double>(lanes_.size() - 1) : lane.loss;
        lane.lossy = lane.loss > kLossyMin + kLossyTimes * others;
    }
}

void LaneLedger::acknowledge(Lane& lane, std::uint32_t echo_us) noexcept {
    while (!lane.flight.empty() && later_by(echo_us, lane.flight.front().last_us) >= 0) {
        const Batch batch = lane.flight.pop();
        lane.inflight_bytes -= batch.bytes;
        lane.inflight_packets -= batch.packets;
        inflight_bytes_ -= batch.bytes;
    }
}

void LaneLedger::forget_flight(Lane& lane) noexcept {
    inflight_bytes_ -= lane.inflight_bytes;
    lane.inflight_bytes = lane.inflight_packets = 0;
    lane.flight.clear();
}

void LaneLedger::judge(TimeNs now, TimeNs rtt) noexcept {
    compare_losses();
    const std::uint32_t now_us = wire_clock_us(now);
    std::uint32_t youngest_age_us = ~std::uint32_t{0};
    for (const Lane& lane : lanes_)
        if (lane.heard) youngest_age_us = std::min(youngest_age_us, now_us - lane.echo_us);
    if (youngest_age_us == ~std::uint32_t{0}) return;
    const std::uint32_t newest_us = now_us - youngest_age_us;

    const auto suspect_us = static_cast<std::int32_t>(std::max(kSuspectLagMin, rtt / 16) / kMicrosecond);
    const auto down_us = static_cast<std::int32_t>(std::max(kDownLagMin, rtt / 2) / kMicrosecond);
    for (Lane& lane : lanes_) {
        if (lane.flight.empty() || lane.down) continue;
        const std::int32_t lag_us = later_by(newest_us, lane.flight.front().first_us);
        lane.suspect = lag_us > suspect_us;
        if (lag_us > down_us && lane.inflight_packets >= kDownPacketsMin) {
            lane.down = true;
            forget_flight(lane);  // lost, or as good as: the window must not wait for it
        }
    }
}

void LaneLedger::excuse_until(TimeNs until) noexcept {
    for (Lane& lane : lanes_)
        lane.excused_until = std::max(lane.excused_until, until);
}

unsigned LaneLedger::next_lane(bool repair) noexcept {
    const unsigned lanes = count();
    LH_ASSERT(lanes > 0);
    for (unsigned pass = repair ? 0 : 1; pass < 2; ++pass) {
        for (unsigned i = 0; i < lanes; ++i) {
            const unsigned index = (cursor_ + i) % lanes;
            const Lane& lane = lanes_[index];
            if (lane.down || (pass == 0 && (lane.suspect || lane.lossy))) continue;
            cursor_ = index + 1;
            return index;
        }
    }
    cursor_ = (cursor_ + 1) % lanes;  // every lane is down: any is as good
    return cursor_;
}

}  // namespace longhaul::session
