// One direction of the emulated link, packet by packet. Every decision is a function of the seed, the
// settings and the sequence of (size, time) given: the same input gives the same fates, on a virtual clock as
// on a real one.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/wan/link_model.h"

#include <algorithm>

namespace longhaul::wan {
namespace {

__extension__ typedef unsigned __int128 Wide;  // bits x nanoseconds outgrow 64 bits

constexpr std::uint64_t kEthernetHeaderBytes = 14;
constexpr std::uint64_t kQueueFloorBytes = 64 << 10;
constexpr std::uint64_t kQueueDefaultPerSecond = 50;  // 1/50 s = 20 ms of the rate

}  // namespace

std::uint64_t queue_limit_bytes(const LinkSettings& settings) noexcept {
    if (settings.queue_bytes != 0) return settings.queue_bytes;
    return std::max(settings.rate_bps / 8 / kQueueDefaultPerSecond, kQueueFloorBytes);
}

LinkModel::LinkModel(const LinkSettings& settings, std::uint64_t seed)
    : settings_(settings), random_(seed), police_tokens_(static_cast<double>(settings.police_burst_bytes)) {}

Fate LinkModel::send(std::size_t frame_bytes, TimeNs now) {
    ++counters_.in_packets;
    counters_.in_bytes += frame_bytes;
    const std::uint64_t line_bytes = frame_bytes + settings_.frame_overhead_bytes;
    if (settings_.down) {
        ++counters_.down_dropped;
        return {};
    }
    if (settings_.mtu_bytes != 0 && frame_bytes > settings_.mtu_bytes + kEthernetHeaderBytes) {
        ++counters_.mtu_dropped;
        return {};
    }
    if (lost()) return {};
    if (policed(line_bytes, now)) return {};
    if (queue_full(line_bytes, now)) return {};

    Fate fate;
    fate.copies = 1;
    fate.deliver_at[0] = delivery(serialise(line_bytes, now));
    if (settings_.duplicate > 0 && random_.chance(settings_.duplicate)) {
        ++counters_.duplicated;
        fate.copies = 2;
        fate.deliver_at[1] = fate.deliver_at[0];
    }
    if (settings_.corrupt > 0 && random_.chance(settings_.corrupt)) {
        ++counters_.corrupted;
        fate.corrupt = true;
        fate.corrupt_bit = random_.next();
    }
    counters_.out_packets += fate.copies;
    counters_.out_bytes += fate.copies * frame_bytes;
    return fate;
}

// Gilbert-Elliott with a bad state that loses everything. Mean stay in it: burst = 1/b; share of time in it:
// p = a/(a+b), so a = p*b/(1-p). Independent loss is the same chain with runs of mean 1/(1-p), where a = p
// and b = 1-p; shorter runs than those are not reachable and are taken as independent.
bool LinkModel::lost() {
    const double share = settings_.loss;
    if (share <= 0) {
        in_burst_ = false;
        return false;
    }
    bool starts = false;
    if (share >= 1) {
        starts = !in_burst_;
        in_burst_ = true;
    } else {
        const double leave = 1 / std::max(settings_.burst, 1 / (1 - share));
        const double enter = share * leave / (1 - share);
        if (in_burst_) {
            in_burst_ = !random_.chance(leave);
        } else {
            starts = in_burst_ = random_.chance(enter);
        }
    }
    if (starts) ++counters_.loss_events;
    if (in_burst_) ++counters_.lost;
    return in_burst_;
}

bool LinkModel::policed(std::uint64_t line_bytes, TimeNs now) {
    if (settings_.police_bps == 0) return false;
    const double refill =
        static_cast<double>(now - police_at_) * static_cast<double>(settings_.police_bps) / (8.0 * kSecond);
    police_tokens_ = std::min(police_tokens_ + refill, static_cast<double>(settings_.police_burst_bytes));
    police_at_ = now;
    if (police_tokens_ < static_cast<double>(line_bytes)) {
        ++counters_.policed;
        return true;
    }
    police_tokens_ -= static_cast<double>(line_bytes);
    return false;
}

std::uint64_t LinkModel::backlog_bytes(TimeNs now) const {
    if (settings_.rate_bps == 0 || line_free_ <= now) return 0;
    const auto bits = static_cast<Wide>(line_free_ - now) * settings_.rate_bps;
    return static_cast<std::uint64_t>((bits + 8 * kSecond - 1) / (8 * kSecond));
}

// The bound counts the frame on the line as well as those that wait; an idle line takes a frame of any size.
bool LinkModel::queue_full(std::uint64_t line_bytes, TimeNs now) {
    if (settings_.rate_bps == 0) return false;
    const std::uint64_t backlog = backlog_bytes(now);
    counters_.queue_bytes = backlog;
    if (backlog == 0 || backlog + line_bytes <= queue_limit_bytes(settings_)) return false;
    ++counters_.queue_dropped;
    return true;
}

TimeNs LinkModel::serialise(std::uint64_t line_bytes, TimeNs now) {
    if (settings_.rate_bps == 0) return now;
    if (line_free_ <= now) {
        line_free_ = now;
        line_remainder_ = 0;
    }
    const auto scaled = static_cast<Wide>(line_bytes) * 8 * kSecond + line_remainder_;
    line_free_ += static_cast<TimeNs>(scaled / settings_.rate_bps);
    line_remainder_ = static_cast<std::uint64_t>(scaled % settings_.rate_bps);
    counters_.queue_bytes = backlog_bytes(now);
    counters_.queue_bytes_max = std::max(counters_.queue_bytes_max, counters_.queue_bytes);
    return line_free_;
}

TimeNs LinkModel::delivery(TimeNs departure) {
    TimeNs at = departure + settings_.delay;
    if (settings_.jitter > 0) at += random_.below(settings_.jitter + 1);
    at = std::max(at, last_delivery_);
    if (settings_.reorder > 0 && random_.chance(settings_.reorder)) {
        ++counters_.reordered;
        return at + settings_.reorder_delay;  // later frames overtake: they are ordered among themselves only
    }
    last_delivery_ = at;
    return at;
}

void LinkModel::observe(TimeNs now) {
    counters_.queue_bytes = backlog_bytes(now);
}

// What is queued keeps the departures it was promised. A faster line starts afresh sooner (never before order
// allows, see delivery()); a slower one starts when the old queue has gone, and none of the old bytes count
// twice.
void LinkModel::set(const LinkSettings& settings, TimeNs now) {
    const std::uint64_t backlog = backlog_bytes(now);
    if (settings.rate_bps != settings_.rate_bps) {
        const TimeNs drained =
            settings.rate_bps == 0 ? now : now + serialisation_ns(backlog, settings.rate_bps);
        line_free_ = std::min(line_free_, drained);
        line_remainder_ = 0;
    }
    const bool police_starts = settings_.police_bps == 0 && settings.police_bps != 0;
    settings_ = settings;
    if (police_starts) {
        police_tokens_ = static_cast<double>(settings.police_burst_bytes);
        police_at_ = now;
    }
    observe(now);
}

}  // namespace longhaul::wan
