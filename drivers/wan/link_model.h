// The emulated long-distance link as arithmetic: what happens to each packet of one direction, decided from a
// seed and a virtual clock. The tool longhaul-wan and the simulator use this one model. It sees no bytes.
//
//   in -> [down] [MTU cut] -> [loss: independent, Gilbert-Elliott] -> [policer] -> [queue + serialiser]
//      -> [delay + jitter + reorder] -> [duplicate] [corrupt] -> out
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/base/result.h"
#include "dataplane/base/time.h"

namespace longhaul::wan {

struct LinkSettings {                        // one direction; changeable while it runs
    std::uint64_t rate_bps = 1'000'000'000;  // of frame bytes + frame_overhead; 0: unlimited
    std::uint32_t frame_overhead_bytes = 4;  // FCS; 24 to count preamble and gap as well
    TimeNs delay = 25 * kMillisecond;        // one way
    TimeNs jitter = 0;                       // uniform in [0, jitter], order kept unless reorder
    std::uint64_t queue_bytes = 0;           // 0: max(rate x 20 ms, 64 KiB)
    double loss = 0;                         // share of packets, 0..1
    double burst = 1;    // mean packets per loss event; 1: independent; > 1: Gilbert-Elliott
    double reorder = 0;  // share of packets that are held back by reorder_delay
    TimeNs reorder_delay = 2 * kMillisecond;
    double duplicate = 0;
    double corrupt = 0;            // share of packets with one bit flipped
    std::uint32_t mtu_bytes = 0;   // frames above (IP bytes) vanish silently; 0: none
    std::uint64_t police_bps = 0;  // token-bucket policer in front of the queue, 0: none
    std::uint64_t police_burst_bytes = 64 << 10;
    bool down = false;  // everything vanishes
};
// "rate"="1G", "loss"="1%", "delay"="50ms", "down"="true"; an error names the setting and a value that works.
Result<LinkSettings> apply_setting(LinkSettings settings, const std::string& name, const std::string& value);
// The names that apply_setting takes, each with a value that it accepts and its meaning: for help texts.
struct SettingHelp {
    const char* name;
    const char* example;
    const char* meaning;
};
std::span<const SettingHelp> setting_help() noexcept;
// The same settings as `name value` pairs that apply_setting takes back.
std::vector<std::pair<std::string, std::string>> describe(const LinkSettings& settings);

std::uint64_t queue_limit_bytes(const LinkSettings& settings) noexcept;  // with the default worked out

struct LinkCounters {
    std::uint64_t in_packets = 0, in_bytes = 0, out_packets = 0, out_bytes = 0;
    std::uint64_t lost = 0, loss_events = 0, policed = 0, queue_dropped = 0, mtu_dropped = 0,
                  down_dropped = 0;
    std::uint64_t reordered = 0, duplicated = 0, corrupted = 0;
    std::uint64_t queue_bytes = 0, queue_bytes_max = 0;
};

struct Fate {
    unsigned copies = 0;  // 0: dropped; 2: duplicated
    TimeNs deliver_at[2] = {0, 0};
    bool corrupt = false;  // flip bit `corrupt_bit` modulo the frame's bits
    std::uint64_t corrupt_bit = 0;
};

class LinkModel {
  public:
    LinkModel(const LinkSettings& settings, std::uint64_t seed);
    Fate send(std::size_t frame_bytes, TimeNs now);  // now never goes back
    // Packets that have their fate keep it; the new settings hold for those that come after.
    void set(const LinkSettings& settings, TimeNs now);
    // Brings counters().queue_bytes to `now`; send() does so by itself.
    void observe(TimeNs now);
    const LinkSettings& settings() const { return settings_; }
    const LinkCounters& counters() const { return counters_; }

  private:
    bool lost();
    bool policed(std::uint64_t line_bytes, TimeNs now);
    bool queue_full(std::uint64_t line_bytes, TimeNs now);
    TimeNs serialise(std::uint64_t line_bytes, TimeNs now);
    TimeNs delivery(TimeNs departure);
    std::uint64_t backlog_bytes(TimeNs now) const;

    LinkSettings settings_;
    LinkCounters counters_;
    Random random_;
    TimeNs line_free_ = 0;              // when the serialiser is done with what is queued
    std::uint64_t line_remainder_ = 0;  // of the division that gave line_free_: no drift at 100 Gbit/s
    TimeNs last_delivery_ = 0;
    bool in_burst_ = false;
    double police_tokens_ = 0;
    TimeNs police_at_ = 0;
};

}  // namespace longhaul::wan
