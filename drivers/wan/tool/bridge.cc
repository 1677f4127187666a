// SPDX-License-Identifier: Apache-2.0
#include "drivers/wan/tool/bridge.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace longhaul::wan {
namespace {

constexpr unsigned kBurst = 64;
constexpr unsigned kBurstsEachStep = 8;  // so that a flood on one side does not starve the other
constexpr unsigned kFramesFloor = 16 << 10;
constexpr unsigned kFramesCeiling = 256 << 10;
constexpr std::uint64_t kPlanFrameBytes = 1500;

void flip_bit(rte_mbuf* frame, std::uint64_t bit) {
    if (frame->data_len == 0) return;
    bit %= static_cast<std::uint64_t>(frame->data_len) * 8;
    rte_pktmbuf_mtod(frame, std::uint8_t*)[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
}

nlohmann::json describe_port(nic::Port& port) {
    const nic::PortStats stats = port.stats();
    return {{"device", port.config().device},        {"link_up", port.link_up()},
            {"rx_packets", stats.rx_packets},        {"rx_bytes", stats.rx_bytes},
            {"tx_packets", stats.tx_packets},        {"tx_bytes", stats.tx_bytes},
            {"rx_missed", stats.rx_missed},          {"no_mbuf", stats.no_mbuf},
            {"tx_dropped", port.transmit_dropped()}, {"link_epoch", port.link_epoch()}};
}

nlohmann::json describe_direction(Direction& direction, TimeNs now) {
    direction.model.observe(now);
    nlohmann::json settings = nlohmann::json::object();
    for (const auto& [name, value] : describe(direction.model.settings()))
        settings[name] = value;
    const LinkCounters& counters = direction.model.counters();
    return {{"settings", settings},
            {"in_packets", counters.in_packets},
            {"in_bytes", counters.in_bytes},
            {"out_packets", counters.out_packets},
            {"out_bytes", counters.out_bytes},
            {"lost", counters.lost},
            {"loss_events", counters.loss_events},
            {"policed", counters.policed},
            {"queue_dropped", counters.queue_dropped},
            {"mtu_dropped", counters.mtu_dropped},
            {"down_dropped", counters.down_dropped},
            {"reordered", counters.reordered},
            {"duplicated", counters.duplicated},
            {"corrupted", counters.corrupted},
            {"queue_bytes", counters.queue_bytes},
            {"queue_bytes_max", counters.queue_bytes_max},
            {"held", direction.line.size()},
            {"held_dropped", direction.held_dropped}};
}

}  // namespace

HoldingPlan plan_holding(const LinkSettings& settings) {
    HoldingPlan plan;
    if (settings.rate_bps == 0) return {kFramesCeiling, true};
    const TimeNs stay = settings.delay + settings.jitter + settings.reorder_delay;
    const auto on_the_way = static_cast<double>(stay) / kSecond * static_cast<double>(settings.rate_bps) / 8;
    const double frames =
        2 * (on_the_way + static_cast<double>(queue_limit_bytes(settings))) / kPlanFrameBytes;
    plan.capped = frames > kFramesCeiling;
    plan.frames = plan.capped ? kFramesCeiling : std::max(kFramesFloor, static_cast<unsigned>(frames));
    return plan;
}

Bridge::Bridge(std::vector<PortPair> pairs, const LinkSettings& a, const LinkSettings& b, unsigned frames_a,
               unsigned frames_b, std::uint64_t seed)
    : pairs_(std::move(pairs)), a_(a, seed, frames_a), b_(b, seed + 1, frames_b) {
    LH_ASSERT(!pairs_.empty() && pairs_.size() <= std::numeric_limits<decltype(rte_mbuf::port)>::max());
}

Bridge::~Bridge() {
    for (Direction* direction : {&a_, &b_})
        while (rte_mbuf* frame = direction->line.pop(kNever))
            rte_pktmbuf_free(frame);
}

// Pairs take turns at being first: what has waited since the last step enters the queue in no fixed order.
bool Bridge::step(Clock clock) {
    unsigned moved = 0;
    for (std::size_t turn = 0; turn < pairs_.size(); ++turn) {
        const std::size_t index = (first_pair_ + turn) % pairs_.size();
        moved += take_in(*pairs_[index].a, index, a_, clock) + take_in(*pairs_[index].b, index, b_, clock);
    }
    first_pair_ = (first_pair_ + 1) % pairs_.size();
    const TimeNs now = clock();
    moved += put_out(a_, now) + put_out(b_, now);
    return moved != 0;
}

TimeNs Bridge::next_at() const {
    return std::min(a_.line.next_at(), b_.line.next_at());
}

unsigned Bridge::take_in(nic::Port& from, std::size_t pair, Direction& direction, Clock clock) {
    rte_mbuf* frames[kBurst];
    unsigned taken = 0;
    for (unsigned burst = 0; burst < kBurstsEachStep; ++burst) {
        const unsigned received = from.receive(0, frames, kBurst);
        const TimeNs now = received > 0 ? clock() : 0;
        for (unsigned i = 0; i < received; ++i) {
            frames[i]->port = static_cast<std::uint16_t>(pair);  // a twin's is copied with the rest
            accept(frames[i], from, direction, now);
        }
        taken += received;
        if (received < kBurst) break;
    }
    return taken;
}

// A copy and not a reference: a duplicate may not share the bit that is flipped in its twin.
void Bridge::accept(rte_mbuf* frame, nic::Port& from, Direction& direction, TimeNs now) {
    const Fate fate = direction.model.send(frame->pkt_len, now);
    if (fate.copies == 0 || direction.line.full()) {
        direction.held_dropped += fate.copies;
        rte_pktmbuf_free(frame);
        return;
    }
    if (fate.copies == 2) {
        rte_mbuf* twin = rte_pktmbuf_copy(frame, from.pool(), 0, UINT32_MAX);
        direction.line.push(frame, fate.deliver_at[0]);
        if (twin != nullptr && !direction.line.full()) {
            direction.line.push(twin, fate.deliver_at[1]);
        } else {
            ++direction.held_dropped;
            rte_pktmbuf_free(twin);
        }
    } else {
        direction.line.push(frame, fate.deliver_at[0]);
    }
    if (fate.corrupt) flip_bit(frame, fate.corrupt_bit);
}

unsigned Bridge::put_out(Direction& direction, TimeNs now) {
    rte_mbuf* frames[kBurst];
    unsigned sent = 0;
    for (unsigned burst = 0; burst < kBurstsEachStep; ++burst) {
        unsigned count = 0;
        while (count < kBurst && (frames[count] = direction.line.pop(now)) != nullptr)
            ++count;
        transmit(direction, frames, count);
        sent += count;
        if (count < kBurst) break;
    }
    return sent;
}

// In runs of one pair, so that a single pair keeps its full bursts.
void Bridge::transmit(Direction& direction, rte_mbuf** frames, unsigned count) {
    for (unsigned first = 0, next = 0; first < count; first = next) {
        while (next < count && frames[next]->port == frames[first]->port)
            ++next;
        exit_of(direction, frames[first]->port).transmit(0, frames + first, next - first);
    }
}

std::string Bridge::show(TimeNs now) {
    nlohmann::json all = {{"a", describe_direction(a_, now)}, {"b", describe_direction(b_, now)}};
    for (PortPair& pair : pairs_) {
        all["a"]["ports"].push_back(describe_port(*pair.a));
        all["b"]["ports"].push_back(describe_port(*pair.b));
    }
    return all.dump();
}

}  // namespace longhaul::wan
