// Inflight by echoed send time, loss by persistent gaps in the receiver's counters, health by comparison of
// lanes.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/lane_ledger.h"

#include <algorithm>
#include <array>
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
constexpr double kWeightMin = 1.0 / 16, kWeightRise = 1.0 / 16;
constexpr double kWeightRehashed = 0.25;
constexpr TimeNs kBadMin = 500 * kMillisecond;
constexpr TimeNs kRehashWaitMin = kSecond, kRehashWaitMax = 60 * kSecond;

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
    ++lane.tx_packets;
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
    if (now < lane.fresh_until) return lesson;
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
// there again, and less of the rest. Judged against the middle one of all: many bad ones must not excuse each other.
void LaneLedger::compare_losses() noexcept {
    std::array<double, wire::kLanesMax> losses;
    bool verdict = false;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        Lane& lane = lanes_[i];
        lane.judged = lane.verdict_packets >= kVerdictPackets;
        if (lane.judged) {
            const auto packets = static_cast<double>(std::exchange(lane.verdict_packets, 0));
            const double share = static_cast<double>(std::exchange(lane.verdict_lost, 0)) / packets;
            lane.loss += (share - lane.loss) / kVerdictMemory;
            verdict = true;
        }
        losses[i] = lane.loss;
    }
    if (!verdict || lanes_.size() < 2) return;
    const auto middle = losses.begin() + static_cast<std::ptrdiff_t>((lanes_.size() - 1) / 2);
    std::nth_element(losses.begin(), middle, losses.begin() + static_cast<std::ptrdiff_t>(lanes_.size()));
    for (Lane& lane : lanes_) {
        lane.lossy = lane.loss > kLossyMin + kLossyTimes * *middle;
        if (!lane.judged) continue;
        // What gets through is what it is given next: on an overfull way that ends at its share.
        lane.weight = lane.lossy ? std::max(kWeightMin, lane.weight * (1 - (lane.loss - *middle)))
                                 : std::min(1.0, lane.weight + kWeightRise);
    }
}

void LaneLedger::note_bad(Lane& lane, TimeNs now) noexcept {
    if (!lane.down && !lane.lossy)
        lane.bad_since = 0;
    else if (lane.bad_since == 0)
        lane.bad_since = now;
}

std::optional<unsigned> LaneLedger::next_rehash(TimeNs now, TimeNs rtt) const noexcept {
    const TimeNs patience = std::max(kBadMin, 4 * rtt);
    for (unsigned i = 0; i < count(); ++i) {
        const Lane& lane = lanes_[i];
        if (lane.bad_since != 0 && now - lane.bad_since >= patience && now >= lane.rehash_after) return i;
    }
    return std::nullopt;
}

void LaneLedger::rehashed(unsigned index, TimeNs now, TimeNs patience) noexcept {
    Lane& lane = lanes_[index];
    // Well for longer than it was waited for: what was wrong then is not what is wrong now.
    const bool anew = lane.rehash_wait == 0 || now > lane.rehash_after + lane.rehash_wait;
    lane.rehash_wait = anew ? kRehashWaitMin : std::min(2 * lane.rehash_wait, kRehashWaitMax);
    lane.rehash_after = now + lane.rehash_wait;
    lane.fresh_until = now + patience;
    lane.bad_since = 0;
    lane.verdict_packets = lane.verdict_lost = 0;
    lane.loss = 0;
    lane.lossy = false;
    lane.weight = std::max(lane.weight, kWeightRehashed);
    ++lane.rehashes;
}

LaneFigures LaneLedger::figures(unsigned index) const noexcept {
    const Lane& lane = lanes_[index];
    LaneFigures figures;
    figures.state = lane.down      ? LaneFigures::State::down
                    : lane.lossy   ? LaneFigures::State::lossy
                    : lane.suspect ? LaneFigures::State::suspect
                                   : LaneFigures::State::up;
    figures.weight = lane.down ? 0 : lane.weight;
    figures.loss = lane.loss;
    figures.tx_packets = lane.tx_packets;
    figures.delivered_packets = lane.packets;
    figures.lost_packets = lane.lost;
    figures.rehashes = lane.rehashes;
    return figures;
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
        note_bad(lane, now);
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

bool LaneLedger::takes_turn(Lane& lane) noexcept {
    lane.credit = std::min(lane.credit + lane.weight, 1.0);
    if (lane.credit < 1) return false;
    lane.credit = 0;
    return true;
}

unsigned LaneLedger::usable() const noexcept {
    return static_cast<unsigned>(
        std::count_if(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return !lane.down; }));
}

std::uint8_t LaneLedger::begin_stripe(unsigned symbols) noexcept {
    const unsigned begin = cursor_ % count();
    cursor_ = (begin + symbols) % count();
    return static_cast<std::uint8_t>(begin);
}

unsigned LaneLedger::next_lane(std::uint8_t& turn) noexcept {
    const unsigned lanes = count();
    LH_ASSERT(lanes > 0);
    const auto took = [&](unsigned index) {
        turn = static_cast<std::uint8_t>((index + 1) % lanes);
        return index;
    };
    // Who is passed over saves up: after 1/kWeightMin rounds at most somebody's turn has come.
    for (unsigned i = 0; i < lanes * static_cast<unsigned>(1 / kWeightMin); ++i) {
        const unsigned index = (turn + i) % lanes;
        if (!lanes_[index].down && takes_turn(lanes_[index])) return took(index);
    }
    return took(turn % lanes);  // every lane is down: any is as good
}

unsigned LaneLedger::repair_lane() noexcept {
    const unsigned lanes = count();
    for (unsigned i = 0; i < lanes; ++i) {
        const unsigned index = (cursor_ + i) % lanes;
        const Lane& lane = lanes_[index];
        if (lane.down || lane.suspect || lane.lossy) continue;
        cursor_ = index + 1;
        return index;
    }
    std::uint8_t turn = begin_stripe(1);
    return next_lane(turn);
}

const char* to_string(LaneFigures::State state) noexcept {
    switch (state) {
        case LaneFigures::State::up:
            return "up";
        case LaneFigures::State::suspect:
            return "suspect";
        case LaneFigures::State::lossy:
            return "lossy";
        case LaneFigures::State::down:
            return "down";
    }
    return "unknown";
}

}  // namespace longhaul::session
