// Loss before FEC, as the redundancy needs it: a share of packets with its upper 95 % bound, and the mean length of a
// loss. Bounds count loss events, not lost packets: a burst of sixty is one observation.
// Two memories: a long one, so that rare losses are known at all, and a short one that replaces it when the two
// contradict each other, so that a path that changes is believed within 2^14 packets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "dataplane/fec/redundancy.h"

namespace longhaul::session {

class LossMeter {
  public:
    struct Estimate {
        double share = 0;     // of packets
        double lower = 0;     // of the same, undercut in 5 of 100 cases
        double upper = 1e-4;  // of the same, not exceeded in 95 of 100 cases; 1e-4 while nothing is known
        double burst = 1;     // mean packets per loss event
        double packets = 0;   // behind the estimate
    };

    // Runs of lost packets, as the receiver saw them. It tells them at once; which losses they were is known only when
    // reordering has had its time, so they wait for those.
    void add_events(std::uint32_t events) noexcept { waiting_ += events; }
    void add(std::uint64_t delivered, std::uint64_t lost) noexcept {
        const double packets = static_cast<double>(delivered + lost), gone = static_cast<double>(lost);
        const double events = std::min(waiting_, gone);
        waiting_ -= events;
        for (Window* window : {&short_, &long_})
            window->add(packets, gone, events);
        follow_change();
    }
    // Losses that say nothing about the path, and so neither do their runs.
    void add_excused(std::uint64_t lost) noexcept {
        waiting_ -= std::min(waiting_, static_cast<double>(lost));
    }

    Estimate estimate() const noexcept {
        Estimate estimate;
        estimate.share = long_.share();
        estimate.lower = long_.lower(kBoundZ);
        estimate.packets = long_.packets;
        estimate.burst = long_.burst();
        const double least = kPacketsLeast * std::min(estimate.burst, kBurstLeast);
        estimate.upper = long_.events > 0 || long_.lost > 0 ? std::min(1.0, long_.upper(kBoundZ, least))
                         : long_.packets > 0                ? std::min(kUnknown, long_.upper(kBoundZ, 1))
                                                            : kUnknown;
        return estimate;
    }

  private:
    static constexpr double kShortPackets = 1u << 14, kLongPackets = 1u << 20;
    // One early loss must not look like a storm, nor one burst, long as it may be.
    static constexpr double kPacketsLeast = 4096, kBurstLeast = 16;
    static constexpr double kBoundZ = 1.645;  // 95 %, one-sided
    static constexpr double kChangeZ = 4;     // 1 in 30,000: judged some hundred times a second
    static constexpr double kUnknown = 1e-4;  // a path that has shown no loss yet

    struct Window {
        double limit;
        double packets = 0, lost = 0, events = 0;

        void add(double more_packets, double more_lost, double more_events) noexcept {
            packets += more_packets;
            lost += more_lost;
            events += more_events;
            if (packets <= limit) return;
            const double kept = limit / packets;
            packets *= kept;
            lost *= kept;
            events *= kept;
        }
        double share() const noexcept { return packets > 0 ? lost / packets : 0; }
        double burst() const noexcept {
            return lost > 0 && events >= kEventsLeast ? std::max(1.0, lost / events) : 1;
        }
        double seen() const noexcept { return std::max(events, lost / burst()); }
        double upper(double z, double least) const noexcept {
            return fec::events_upper(seen(), z) * burst() / std::max(packets, least);
        }
        double lower(double z) const noexcept {
            return packets > 0 ? fec::events_lower(seen(), z) * burst() / packets : 0;
        }
        static constexpr double kEventsLeast = 1e-3;  // of a decayed sum: losses and events fade alike
    };

    void follow_change() noexcept {
        if (short_.packets < kShortPackets / 2) return;
        const bool worse = short_.lower(kChangeZ) > long_.upper(kBoundZ, 1);
        // By events alone: how long the bursts are cannot be seen where there are none.
        const bool better = fec::events_upper(short_.seen(), kChangeZ) / short_.packets <
                            fec::events_lower(long_.seen(), kBoundZ) / long_.packets;
        if (!worse && !better) return;
        long_.packets = short_.packets;
        long_.lost = short_.lost;
        long_.events = short_.events;
    }

    Window short_{kShortPackets}, long_{kLongPackets};
    double waiting_ = 0;  // events whose losses are not confirmed yet
};

// What the meter knew a few round trips ago. Loss that makes the congestion controller brake was the load's, not the
// path's: parity against it would only add to it, so the meter forgets what it learned meanwhile.
class LossRecall {
  public:
    // Once a sample of the controller, a quarter round trip apart.
    void note(const LossMeter& meter) noexcept { meters_[next_++ % meters_.size()] = meter; }
    LossMeter before() const noexcept {
        return next_ < meters_.size() ? LossMeter{} : meters_[next_ % meters_.size()];
    }
    void begin_again(const LossMeter& meter) noexcept {
        meters_.fill(meter);
        next_ = meters_.size();
    }

  private:
    // Two rounds of evidence, the one in which it began, and the time until a loss is told from reordering.
    static constexpr std::size_t kSamples = 18;
    std::array<LossMeter, kSamples> meters_{};
    std::size_t next_ = 0;
};

}  // namespace longhaul::session
