// The emulated long-distance link as arithmetic: what happens to each packet of one direction, decided from a seed
// and a virtual clock. The tool longhaul-wan and the simulator use this one model. No packet bytes in here.
//
//   in -> [loss: iid, Gilbert-Elliott] -> [policer] -> [queue + serialiser at rate] -> [delay + jitter + reorder]
//      -> [duplicate] [corrupt] -> out
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/random.h"
#include "dataplane/base/result.h"
#include "dataplane/base/time.h"

namespace longhaul::wan {

struct LinkSettings {                 // one direction; changeable while it runs
    std::uint64_t rate_bps = 1'000'000'000;   // of frame bytes + frame_overhead; 0: unlimited
    std::uint32_t frame_overhead_bytes = 4;   // FCS; 24 to count preamble and gap as well
    TimeNs delay = 25 * kMillisecond;         // one way
    TimeNs jitter = 0;                        // uniform in [0, jitter], order kept unless reorder
    std::uint64_t queue_bytes = 0;            // 0: max(rate x 20 ms, 64 KiB)
    double loss = 0;                          // share of packets, 0..1
    double burst = 1;                         // mean packets per loss event; 1: independent; > 1: Gilbert-Elliott
    double reorder = 0;                       // share of packets that are held back by reorder_delay
    TimeNs reorder_delay = 2 * kMillisecond;
    double duplicate = 0;
    double corrupt = 0;                       // share of packets with one bit flipped
    std::uint32_t mtu_bytes = 0;              // frames above (IP bytes) vanish silently; 0: none
    std::uint64_t police_bps = 0;             // token-bucket policer in front of the queue, 0: none
    std::uint64_t police_burst_bytes = 64 << 10;
    bool down = false;                        // everything vanishes
};
Result<LinkSettings> apply_setting(LinkSettings settings, const std::string& name, const std::string& value);  // "rate"="1G", "loss"="1%", "delay"="50ms"

struct LinkCounters {
    std::uint64_t in_packets = 0, in_bytes = 0, out_packets = 0, out_bytes = 0;
    std::uint64_t lost = 0, loss_events = 0, policed = 0, queue_dropped = 0, mtu_dropped = 0, down_dropped = 0;
    std::uint64_t reordered = 0, duplicated = 0, corrupted = 0;
    std::uint64_t queue_bytes = 0, queue_bytes_max = 0;
};

struct Fate {
    unsigned copies = 0;                 // 0: dropped; 2: duplicated
    TimeNs deliver_at[2] = {0, 0};
    bool corrupt = false;                // flip bit `corrupt_bit` modulo the frame's bits
    std::uint64_t corrupt_bit = 0;
};

class LinkModel {
  public:
    LinkModel(const LinkSettings& settings, std::uint64_t seed);
    Fate send(std::size_t frame_bytes, TimeNs now);   // now never goes back
    void set(const LinkSettings& settings, TimeNs now);
    const LinkSettings& settings() const { return settings_; }
    const LinkCounters& counters() const { return counters_; }

  private:
    LinkSettings settings_;
    LinkCounters counters_;
    Random random_;
    TimeNs line_free_ = 0;        // when the serialiser is done with what is queued
    TimeNs last_delivery_ = 0;
    bool in_burst_ = false;
    double police_tokens_ = 0;
    TimeNs police_at_ = 0;
};

}  // namespace longhaul::wan
