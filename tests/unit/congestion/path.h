// A path as a fluid, sampled as a sender's meter would: a bottleneck with a queue that fills and overflows, random
// loss, a policer, other people's queue. What the adaptive modes are driven against.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>

#include "dataplane/congestion/controller.h"

namespace longhaul::congestion {

struct FluidPath {
    double capacity_bps = 1e9;
    double buffer_ns = 40e6;  // of queue at the capacity
    double loss = 0;          // the path's own
    bool policed = false;     // what exceeds the capacity is dropped, not queued
    TimeNs base_rtt = 50 * kMillisecond;
    TimeNs others_queue = 0;  // stands whatever we do
    TimeNs detour = 0;        // one way, in both the OWD and the round trip
    bool application_limited = false;

    double queue_ns = 0;
    double carry_lost = 0;
    double inflight_bytes = 0;
    TimeNs now = kSecond;
    TimeNs rtt_min = kNever;
    static constexpr double kPacketBytes = 1500;

    // Runs until `stop` says so after a sample, or `duration` has passed; true if it stopped.
    bool run(Controller& controller, TimeNs duration, const std::function<bool()>& stop = nullptr) {
        for (const TimeNs end = now + duration; now < end;) {
            step(controller);
            if (stop && stop()) return true;
        }
        return false;
    }

    void step(Controller& controller) {
        const double rtt_ns = static_cast<double>(base_rtt + detour + others_queue) + queue_ns;
        const TimeNs interval = std::max<TimeNs>(static_cast<TimeNs>(rtt_ns / 4), kMillisecond);
        const double seconds = static_cast<double>(interval) / 1e9;
        // The window limits what the pacer may keep in flight over the round trip as it is.
        const double window_bps = static_cast<double>(controller.inflight_cap_bytes()) * 8e9 / rtt_ns;
        double offered = std::min(static_cast<double>(controller.rate_bps()), window_bps);
        if (application_limited) offered *= 0.1;
        double excess_lost_bps = 0;
        double delivered = offered * (1 - loss);
        if (policed) {
            excess_lost_bps = std::max(0.0, delivered - capacity_bps);
            delivered -= excess_lost_bps;
        } else {
            // What leaves the bottleneck: all it can while something is queued.
            const double queued_bps = queue_ns / static_cast<double>(interval) * capacity_bps;
            const double leaves = std::min(capacity_bps, delivered + queued_bps);
            queue_ns += (delivered - leaves) / capacity_bps * static_cast<double>(interval);
            if (queue_ns > buffer_ns) {
                excess_lost_bps = (queue_ns - buffer_ns) / static_cast<double>(interval) * capacity_bps;
                queue_ns = buffer_ns;
            }
            delivered = leaves;
        }
        inflight_bytes = delivered / 8e9 * static_cast<double>(base_rtt + 2 * detour + others_queue) +
                         capacity_bps / 8e9 * queue_ns;
        now += interval;
        carry_lost += (offered * loss + excess_lost_bps) * seconds / 8 / kPacketBytes;
        Sample sample;
        sample.now = now;
        sample.interval = interval;
        sample.delivered_bytes = static_cast<std::uint64_t>(delivered * seconds / 8);
        sample.delivered_packets = static_cast<std::uint64_t>(delivered * seconds / 8 / kPacketBytes);
        sample.lost_packets = static_cast<std::uint64_t>(carry_lost);
        carry_lost -= static_cast<double>(sample.lost_packets);
        sample.rtt =
            static_cast<TimeNs>(static_cast<double>(base_rtt + 2 * detour + others_queue) + queue_ns);
        rtt_min = std::min(rtt_min, sample.rtt);
        sample.rtt_min = rtt_min;
        sample.queue_delay = static_cast<TimeNs>(queue_ns) + others_queue + detour;
        sample.inflight_bytes = static_cast<std::uint64_t>(inflight_bytes);
        sample.application_limited = application_limited;
        controller.on_sample(sample);
    }
};

inline ControllerConfig control(std::uint64_t cap_bps, std::uint64_t start_bps = 0) {
    ControllerConfig config;
    config.cap_bps = cap_bps;
    config.start_bps = start_bps;
    return config;
}

}  // namespace longhaul::congestion
