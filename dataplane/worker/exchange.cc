// What changes hands between workers: frames of lanes that another owns, frames for a queue that another owns, what worker
// 0 learns about neighbours, and whether a group needs its share of the link's rate.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {
namespace {

// A group that has run dry keeps its share for so long: disks and controls pause between bundles.
constexpr TimeNs kLoadMemory = 20 * kMillisecond;

}  // namespace

std::string steering_text(const nic::PortConfig& port, unsigned workers) {
    const std::string queues = std::to_string(port.queues) + (port.queues == 1 ? " queue" : " queues");
    return "port " + port.name + ": " + queues + " for " + std::to_string(workers) +
           " workers; a frame whose lane " +
           "belongs to another worker than its queue is handed over by ring" +
           (port.queues < workers ? ", and so is what workers without a queue send" : "");
}

Worker::Sorted Worker::hand_over(unsigned owner, std::size_t port, rte_mbuf* frame) {
    LH_ASSERT(config_.handoff != nullptr && owner != config_.index);
    const HandedFrame handed{frame, static_cast<std::uint32_t>(port)};
    if (config_.handoff->arrivals(config_.index, owner).push({&handed, 1}) == 0) {
        drops_.add(wire::DropReason::handoff_full);
        return Sorted::ends;
    }
    ++work_.handed_over;
    return Sorted::handed_over;
}

// A burst from each of the others; runs of one port are opened together.
bool Worker::receive_handed() {
    if (config_.handoff == nullptr) return false;
    bool busy = false;
    for (unsigned from = 0; from < config_.handoff->workers(); ++from) {
        if (from == config_.index) continue;
        const std::size_t count = config_.handoff->arrivals(from, config_.index).pop(handed_);
        work_.taken_over += count;
        if (count == 0) continue;
        busy = true;
        const TimeNs now = clock_ns();
        std::array<rte_mbuf*, kBurst> frames;
        for (std::size_t begin = 0, end = 0; begin < count; begin = end) {
            for (end = begin; end < count && handed_[end].port == handed_[begin].port; ++end)
                frames[end - begin] = handed_[end].frame;
            open_frames(handed_[begin].port, std::span(frames).first(end - begin), true, now);
        }
    }
    return busy;
}

// To the worker that owns a queue of the port, where there are fewer queues than workers.
void Worker::depart(std::size_t port, std::span<rte_mbuf* const> frames) {
    const unsigned owner = config_.index % ports_[port]->config().queues;
    std::array<HandedFrame, kBurst> handed;
    for (std::size_t i = 0; i < frames.size(); ++i)
        handed[i] = {frames[i], static_cast<std::uint32_t>(port)};
    const std::size_t taken =
        config_.handoff->departures(config_.index, owner).push(std::span(handed).first(frames.size()));
    for (std::size_t i = taken; i < frames.size(); ++i) {
        drops_.add(wire::DropReason::handoff_full);  // like a loss on the wire: repair takes care of it
        rte_pktmbuf_free(frames[i]);
    }
}

bool Worker::relay_frames() {
    if (config_.handoff == nullptr) return false;
    bool busy = false;
    for (unsigned from = config_.index + 1; from < config_.handoff->workers(); ++from) {
        const std::size_t count = config_.handoff->departures(from, config_.index).pop(handed_);
        for (std::size_t i = 0; i < count; ++i)
            queue_frame(handed_[i].port, handed_[i].frame);
        work_.relayed += count;
        busy |= count > 0;
    }
    return busy;
}

void Worker::obey(WatchNeighbour& command, TimeNs) {
    std::erase_if(watched_, [&](const Watched& each) { return each.link == command.link; });
    if (command.ip) watched_.push_back({command.link, command.port, *command.ip, std::nullopt});
}

void Worker::watch_neighbours(TimeNs now) {
    for (Watched& each : watched_) {
        const auto mac = neighbours_[each.port]->resolve(each.ip, now);
        if (mac == each.told) continue;
        each.told = mac;
        tell(NeighbourChange{each.link, mac});
    }
}

void Worker::obey(SetNeighbour& command, TimeNs) {
    for (Link* link : active_)
        if (link->settings.link == command.link) link->neighbour = command.mac;
}

void Worker::tell_load(Link& link, TimeNs now) {
    const bool busy = !link.waiting.empty() || (link.session != nullptr && link.session->sender.sending());
    if (busy) link.busy_at = now;
    const bool load = busy || (link.load_told && now - link.busy_at < kLoadMemory);
    if (load == link.load_told) return;
    link.load_told = load;
    tell(GroupLoad{link.settings.link, link.group, load});
}

}  // namespace longhaul::worker
