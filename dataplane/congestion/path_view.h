// What the modes that adapt have in common: samples gathered into round trips, the path's own round trip and its own
// loss told apart from queues and congestion. Owned by one controller; no allocation, no clock.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "dataplane/congestion/controller.h"

namespace longhaul::congestion {

inline constexpr TimeNs kRoundMin = 5 * kMillisecond;  // feedback comes every 0.5 to 5 ms
inline constexpr std::uint64_t kRoundPacketsMin = 64;  // below this a loss share says nothing

// One round trip (at least kRoundMin) of samples.
struct Round {
    TimeNs began = 0, ended = 0;
    TimeNs interval = 0;
    std::uint64_t delivered_bytes = 0, delivered_packets = 0, lost_packets = 0;
    TimeNs queue_min = kNever, queue_max = 0, queue_sum = 0;
    unsigned samples = 0;
    std::uint64_t inflight_max = 0;
    bool application_limited = false;

    // What loss is judged by: this round's packets and those of rounds before it that had too few; 0: still too few.
    std::uint64_t judged_packets = 0, judged_lost = 0;

    double loss() const noexcept {
        return judged_packets == 0 ? 0
                                   : static_cast<double>(judged_lost) / static_cast<double>(judged_packets);
    }
    TimeNs queue_mean() const noexcept { return samples == 0 ? 0 : queue_sum / samples; }
    double delivered_bps() const noexcept {
        return interval == 0 ? 0 : static_cast<double>(delivered_bytes) * 8e9 / static_cast<double>(interval);
    }
};

class RoundMeter {
  public:
    // The round that this sample ends, if it ends one. `queue` is the sample's queue delay as the controller sees it.
    std::optional<Round> add(const Sample& sample, TimeNs queue) noexcept {
        if (round_.began == 0) round_.began = sample.now - std::min(sample.now, sample.interval);
        round_.interval += sample.interval;
        round_.delivered_bytes += sample.delivered_bytes;
        round_.delivered_packets += sample.delivered_packets;
        round_.lost_packets += sample.lost_packets;
        round_.queue_min = std::min(round_.queue_min, queue);
        round_.queue_max = std::max(round_.queue_max, queue);
        round_.queue_sum += queue;
        ++round_.samples;
        round_.inflight_max = std::max(round_.inflight_max, sample.inflight_bytes);
        round_.application_limited |= sample.application_limited;
        if (sample.now < round_.began + std::max(kRoundMin, sample.rtt)) return std::nullopt;
        Round ended = round_;
        ended.ended = sample.now;
        pending_packets_ += ended.delivered_packets + ended.lost_packets;
        pending_lost_ += ended.lost_packets;
        if (pending_packets_ >= kRoundPacketsMin) {
            ended.judged_packets = std::exchange(pending_packets_, 0);
            ended.judged_lost = std::exchange(pending_lost_, 0);
        }
        round_ = Round{};
        round_.began = sample.now;
        return ended;
    }

  private:
    Round round_;
    std::uint64_t pending_packets_ = 0, pending_lost_ = 0;
};

// The smallest of the last one to two windows of five seconds: BBR's ten, in two halves.
class WindowedMinimum {
  public:
    static constexpr TimeNs kHalf = 5 * kSecond;

    void add(TimeNs value, TimeNs now) noexcept {
        if (value == 0) return;
        if (now - since_ >= kHalf) {
            before_ = now - since_ >= 2 * kHalf ? kNever : recent_;
            recent_ = kNever;
            since_ = now;
        }
        recent_ = std::min(recent_, value);
    }
    // From here on only what comes counts: the path is another one.
    void restart(TimeNs value, TimeNs now) noexcept {
        before_ = kNever;
        recent_ = value;
        since_ = now;
    }
    bool known() const noexcept { return std::min(recent_, before_) != kNever; }
    TimeNs value(TimeNs otherwise) const noexcept { return known() ? std::min(recent_, before_) : otherwise; }

  private:
    TimeNs recent_ = kNever, before_ = kNever, since_ = 0;
};

// Loss that the path has whatever we do: the smallest mean of two-second windows within the last ten, never taken for
// more than 1 % (transport note B6, amendment b): a policer's loss must not become normal.
class LossFloor {
  public:
    void add(const Sample& sample) noexcept {
        delivered_ += sample.delivered_packets;
        lost_ += sample.lost_packets;
        if (since_ == 0) since_ = sample.now;
        if (sample.now - since_ < kWindow || delivered_ + lost_ < kPacketsMin) return;
        means_[next_] = static_cast<double>(lost_) / static_cast<double>(delivered_ + lost_);
        next_ = (next_ + 1) % means_.size();
        windows_ = std::min(windows_ + 1, means_.size());
        delivered_ = lost_ = 0;
        since_ = sample.now;
    }
    double value() const noexcept {
        double least = kCap;
        for (std::size_t i = 0; i < windows_; ++i)
            least = std::min(least, means_[i]);
        return windows_ == 0 ? 0 : least;
    }
    // Loss of a round above what the path loses by itself; 0 where there are too few packets to tell.
    double excess(const Round& round) const noexcept {
        return round.judged_packets == 0 ? 0 : std::max(0.0, round.loss() - value());
    }

  private:
    static constexpr TimeNs kWindow = 2 * kSecond;
    static constexpr std::uint64_t kPacketsMin = 512;
    static constexpr double kCap = 0.01;
    std::array<double, 5> means_{};
    std::size_t next_ = 0, windows_ = 0;
    std::uint64_t delivered_ = 0, lost_ = 0;
    TimeNs since_ = 0;
};

// The modes that steer by delay keep a window and pace it over a round trip: the queue then damps itself, where a rate
// law alone would chase it round a circle, a queue being the sum of past rates. Bytes in flight, feedback included.
class PacedWindow {
  public:
    double bytes() const noexcept { return bytes_; }
    void set(double bytes) noexcept { bytes_ = std::clamp(bytes, least(), most_); }
    // Bounds: four packets below, the ceiling's flight at `queue` above.
    void observe(const Sample& sample, TimeNs base, TimeNs queue, double ceiling_bps,
                 TimeNs queue_allowed) noexcept {
        if (sample.delivered_packets > 0)
            packet_bytes_ = std::max(kPacketMin, static_cast<double>(sample.delivered_bytes) /
                                                     static_cast<double>(sample.delivered_packets));
        const double rate = rate_bps();
        round_trip_ = base + queue + feedback(base);
        most_ = flight(ceiling_bps, base + queue_allowed + feedback(base));
        // The round trip was a guess until now: the rate was meant, not the window.
        set(std::exchange(measured_, measured_ || sample.rtt > 0) ? bytes_ : flight(rate, round_trip_));
    }
    void start(double rate_bps, TimeNs base) noexcept {
        round_trip_ = base + feedback(base);
        most_ = bytes_ = flight(rate_bps, round_trip_);
        measured_ = false;
    }
    double rate_bps() const noexcept { return bytes_ * 8e9 / static_cast<double>(round_trip_); }
    void set_rate(double rate_bps) noexcept { set(flight(rate_bps, round_trip_)); }
    std::uint64_t cap_bytes() const noexcept {
        return static_cast<std::uint64_t>(
            std::max(4 * packet_bytes_, kRoom * bytes_ + flight(rate_bps(), kFeedbackLate)));
    }

  private:
    static constexpr double kRoom = 1.1, kPacketMin = 512;
    static constexpr TimeNs kFeedbackLate = 3 * kMillisecond;
    static TimeNs feedback(TimeNs base) noexcept {
        return std::clamp(base / 32, 500 * kMicrosecond, 5 * kMillisecond);
    }
    static double flight(double rate_bps, TimeNs time) noexcept {
        return rate_bps / 8e9 * static_cast<double>(time);
    }
    double least() const noexcept { return std::min(most_, 4 * packet_bytes_); }

    double bytes_ = 0, most_ = 1e300, packet_bytes_ = 1500;
    bool measured_ = false;
    TimeNs round_trip_ = 100 * kMillisecond;
};

// Tells a longer route from a queue. Both raise the one-way delay, and the receiver's floor forgets a shorter route
// only after half a minute. A queue moves when we slow down, a route does not: a step up, then rounds without movement
// while our rate falls to half, is a route.
class RouteWatch {
  public:
    // The sample's queue delay without the detour. Clocks that drift apart move the one-way delay and not the round
    // trip: a queue shows in both.
    TimeNs queue(const Sample& sample) noexcept {
        TimeNs queue = sample.queue_delay;
        if (sample.rtt > 0 && sample.rtt_min > 0)
            queue = std::min(queue, sample.rtt - std::min(sample.rtt, sample.rtt_min));
        detour_ = std::min(detour_, queue);  // the receiver's floor has moved, or the route is short again
        return queue - detour_;
    }
    // A round ended, `rate` was ours in it. A value: what stood was the route's delay, and the rate before the step.
    std::optional<double> round(const Round& round, TimeNs rtt, double rate) noexcept {
        if (round.queue_min == kNever) return std::nullopt;
        if (round.ended < still_until_) return std::nullopt;
        seen_[count_++ % kSeen] = {round.queue_min, round.queue_max, rate};
        if (count_ < kStillRounds + 1) return std::nullopt;
        TimeNs lowest = kNever, highest = 0;
        for (std::size_t back = 1; back <= kStillRounds; ++back) {
            lowest = std::min(lowest, at(back).low);
            highest = std::max(highest, at(back).high);
        }
        const TimeNs step = std::max(kStepMin, rtt / 16);
        const bool still = highest - lowest <= std::max(kStillMin, rtt / 100);
        if (!still || lowest < step) return std::nullopt;
        for (std::size_t back = kStillRounds + 1; back <= std::min(count_, kSeen); ++back) {
            if (at(back).low + step > lowest) continue;  // not yet before the step
            if (rate > kSlowed * at(back).rate) return std::nullopt;
            const double before = at(back).rate;
            found_ = lowest;
            detour_ += found_;
            count_ = 0;
            return before;
        }
        return std::nullopt;
    }

    // A route drops nothing. Where the rate before the step is lost again, it was a queue that others keep full, and is
    // not taken for a route for a while.
    void take_back(TimeNs now) noexcept {
        detour_ -= std::min(detour_, std::exchange(found_, 0));
        still_until_ = now + kDoubt;
        count_ = 0;
    }

  private:
    static constexpr TimeNs kDoubt = 30 * kSecond;
    static constexpr TimeNs kStepMin = 3 * kMillisecond;
    static constexpr TimeNs kStillMin = 500 * kMicrosecond;
    static constexpr double kSlowed = 0.5;
    static constexpr std::size_t kStillRounds = 3, kSeen = 32;

    struct Seen {
        TimeNs low = 0, high = 0;
        double rate = 0;
    };
    const Seen& at(std::size_t back) const noexcept { return seen_[(count_ - back) % kSeen]; }
    std::array<Seen, kSeen> seen_{};
    std::size_t count_ = 0;
    TimeNs detour_ = 0, found_ = 0, still_until_ = 0;
};

}  // namespace longhaul::congestion
