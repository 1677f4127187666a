// Commands from the main thread: stores, links, sessions and bundles. All are idempotent by their id.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {
namespace {

fec::Goal goal_of(const std::string& name) {
    if (name == "throughput") return fec::Goal::throughput;
    if (name == "latency") return fec::Goal::latency;
    return fec::Goal::balanced;
}

congestion::Mode mode_of(const std::string& name) {
    return congestion::parse(name).value_or(
        congestion::Mode::reserved);  // checked where the message was read
}

// A polling worker is never late by more than the transport note's 200 us. One that sleeps shares its cores, and is
// put aside for milliseconds at a time: it makes good as much as a burst of 256 KiB allows, a tenth of the queue that
// a gigabit link is provisioned with.
TimeNs catch_up(std::uint64_t rate_bps, bool poll) {
    constexpr TimeNs kPolling = 200 * kMicrosecond;
    constexpr TimeNs kSleepingMax = 4 * kMillisecond;
    if (poll) return kPolling;
    return std::clamp(serialisation_ns(256u << 10, rate_bps), kPolling, kSleepingMax);
}

}  // namespace

void Worker::obey(Command& command, TimeNs now) {
    std::visit([&](auto& specific) { obey(specific, now); }, command);
}

void Worker::answer(std::uint64_t request, Result<void> result) {
    tell(Answer{request, result.ok() ? std::nullopt : std::optional<Error>(result.error())});
}

void Worker::obey(OpenStore& command, TimeNs) {
    answer(command.request,
           storage_->open_store(command.store, command.directory, command.role, command.marked));
}

void Worker::obey(CloseStore& command, TimeNs) {
    storage_->close_store(command.store);
    answer(command.request, {});
}

void Worker::obey(ConfigureLink& command, TimeNs now) {
    if (Link* link = find_link(command.settings.link, command.group)) {
        const bool moved = link->port != command.port || link->local_ip != command.local_ip ||
                           link->remote_ip != command.remote_ip ||
                           link->settings.udp_port_base != command.settings.udp_port_base;
        command.settings.rate_bps = link->settings.rate_bps;
        link->settings = std::move(command.settings);
        link->groups = command.groups;
        link->port = command.port;
        link->local_ip = command.local_ip;
        link->remote_ip = command.remote_ip;
        if (link->session == nullptr) make_pools(*link, command.part, command.parts);
        if (moved) {
            link->path_symbol_bytes = 0;
            end_session(*link);
        } else if (link->session != nullptr) {
            link->session->sender.set_mode(mode_of(link->settings.mode), link->settings.rate_bps,
                                           link->settings.share);
            link->session->sender.set_rate_cap(link->settings.rate_bps, link->settings.share);
            link->session->sender.set_redundancy(goal_of(link->settings.goal), link->settings.fixed_parity);
        }
        return answer(command.request, {});
    }
    answer(command.request, make_group(command, now));
}

Result<void> Worker::make_group(ConfigureLink& command, TimeNs now) {
    const std::uint8_t number = command.settings.link;
    auto slot = std::find(slots_.begin(), slots_.end(), std::optional(number));
    if (slot == slots_.end()) slot = std::find(slots_.begin(), slots_.end(), std::nullopt);
    if (slot == slots_.end())
        return Error{ErrorCode::exhausted,
                     "links_max = " + std::to_string(slots_.size()) +
                         " links are in use: raise links_max in the dataplane's configuration"};
    *slot = number;
    auto link = std::make_unique<Link>();
    link->slot = static_cast<std::size_t>(slot - slots_.begin());
    link->settings = std::move(command.settings);
    if (command.share_bps > 0) link->settings.rate_bps = command.share_bps;
    link->group = command.group;
    link->groups = command.groups;
    link->port = command.port;
    link->local_ip = command.local_ip;
    link->remote_ip = command.remote_ip;
    link->next_report = now;
    make_pools(*link, command.part, command.parts);
    links_[number * kGroupsMax + link->group] = std::move(link);
    active_.clear();
    for (const auto& each : links_)
        if (each != nullptr) active_.push_back(each.get());
    return {};
}

// The link's part of the arena is planned once; how many groups of it share that part, the ends of the link agree on.
void Worker::make_pools(Link& link, unsigned part, unsigned parts) {
    LH_ASSERT(part < parts && link.session == nullptr);
    const MemoryPlan& plan = config_.plan;
    const std::uint64_t slot_blocks = std::uint64_t{plan.send_blocks} + plan.receive_blocks;
    std::uint8_t* const slot = arena_->data() + link.slot * slot_blocks * plan.block_stride;
    const auto pool_of = [&](std::uint8_t* from, std::uint32_t blocks) {
        const std::size_t bytes = std::size_t{blocks / parts} * plan.block_stride;
        return std::make_unique<session::BlockPool>(MutableByteView(from + part * bytes, bytes),
                                                    plan.block_stride);
    };
    link.parts = parts;
    link.send_pool = pool_of(slot, plan.send_blocks);
    link.receive_pool =
        pool_of(slot + std::size_t{plan.send_blocks} * plan.block_stride, plan.receive_blocks);
    link.read_ahead_blocks = std::max(1u, plan.read_ahead_blocks / parts);
}

void Worker::obey(RemoveLink& command, TimeNs) {
    if (Link* link = find_link(command.link, command.group)) {
        end_session(*link);
        for (auto& [id, bundle] : link->outgoing) {
            if (command.give_back)
                tell(ReturnedBundle{{bundle.offer, std::move(bundle.head), 0}});
            else
                tell(SourceBundle{{id,
                                   bundle.offer.generation,
                                   command.link,
                                   wire::Stage::failed,
                                   wire::FailReason::cancelled,
                                   0,
                                   {}}});
        }
        std::erase(active_, link);
        const bool last = std::none_of(active_.begin(), active_.end(),
                                       [&](const Link* each) { return each->settings.link == command.link; });
        if (last) slots_[link->slot].reset();
        links_[command.link * kGroupsMax + command.group].reset();
    }
    answer(command.request, {});
}

void Worker::obey(PrepareSession& command, TimeNs) {
    for (Link* link : active_)
        if (link->settings.link == command.link) end_session(*link);
    std::vector<std::uint32_t>& elsewhere = elsewhere_[command.link];
    for (const std::uint32_t spi : elsewhere)
        lane_of_spi_.erase(spi);
    elsewhere.clear();
    for (const PrepareSession::OtherLane& lane : command.elsewhere) {
        if (lane.worker == config_.index) continue;
        lane_of_spi_.insert(lane.spi, {nullptr, 0, lane.worker});
        elsewhere.push_back(lane.spi);
    }
    answer(command.request, {});
}

void Worker::obey(SetShare& command, TimeNs) {
    Link* link = find_link(command.link, command.group);
    if (link == nullptr) return;
    link->settings.rate_bps = command.rate_bps;
    if (link->session != nullptr) link->session->sender.set_rate_cap(command.rate_bps, link->settings.share);
    tell(ShareTaken{command.link, command.group, command.rate_bps});
}

void Worker::obey(StartSession& command, TimeNs now) {
    Link* link = find_link(command.link, command.group);
    if (link == nullptr)
        return answer(command.request,
                      Error{ErrorCode::not_found, "link " + std::to_string(command.link) +
                                                      " is not configured: send link_add first"});
    answer(command.request, start_session(*link, command, now));
}

Result<void> Worker::start_session(Link& link, StartSession& command, TimeNs now) {
    const session::Parameters& parameters = command.parameters;
    LH_ASSERT(command.lanes.size() == parameters.lanes);
    end_session(link);

    session::SenderConfig sender;
    sender.parameters = parameters;
    sender.goal = goal_of(link.settings.goal);
    sender.fixed_parity = link.settings.fixed_parity;
    sender.bundles_open_max = kOutgoingMax;
    sender.read_ahead_blocks = link.read_ahead_blocks;
    sender.pacing_catch_up = catch_up(link.settings.rate_bps * link.groups, config_.poll);
    session::ReceiverConfig receiver;
    receiver.parameters = parameters;
    receiver.stripes_open_max = static_cast<std::uint32_t>(link.receive_pool->total());
    congestion::ControllerConfig control;
    control.cap_bps = link.settings.rate_bps;
    control.share_of_cap = link.settings.share;
    control.seed = next_epoch_;

    session::PathProbeConfig probe;
    probe.symbol_bytes = parameters.symbol_bytes;
    probe.symbol_bytes_max = std::max(
        probe.symbol_bytes, wire::symbol_bytes_for_mtu(ports_[link.port]->config().mtu, link.local_ip.v6));
    probe.v6 = link.local_ip.v6;
    probe.lanes = parameters.lanes;

    auto session = std::make_unique<LinkSession>(
        command.session, config_.index, next_epoch_++, sender, receiver, codec_, *link.send_pool,
        *link.receive_pool, congestion::make(mode_of(link.settings.mode), control), probe, now);
    session->first_lane = command.first_lane;
    for (unsigned i = 0; i < parameters.lanes; ++i) {
        const LaneKeys& keys = command.lanes[i];
        auto sealer = aead_->make_sealer(keys.transmit, keys.transmit_spi);
        if (!sealer.ok()) return sealer.error();
        auto opener = aead_->make_opener(keys.receive, keys.receive_spi);
        if (!opener.ok()) return opener.error();
        Lane lane;
        lane.sealer = std::move(sealer).value();
        lane.opener = std::move(opener).value();
        lane.receive_spi = keys.receive_spi;
        lane.tuple.source_mac = ports_[link.port]->mac();
        lane.tuple.source_ip = link.local_ip;
        lane.tuple.target_ip = link.remote_ip;
        lane.tuple.source_port = lane.tuple.target_port =
            static_cast<std::uint16_t>(link.settings.udp_port_base + command.first_lane + i);
        lane.tuple.traffic_class = link.settings.traffic_class;
        lane.tuple.vlan = ports_[link.port]->config().vlan;
        session->lanes.push_back(std::move(lane));
    }
    for (std::size_t i = 0; i < session->lanes.size(); ++i)
        lane_of_spi_.insert(session->lanes[i].receive_spi,
                            {&link, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(config_.index)});
    link.path_symbol_bytes = command.path_symbol_bytes;
    link.session = std::move(session);
    link.waiting.clear();
    for (const auto& [id, bundle] : link.outgoing)
        link.waiting.push_back(id);
    std::sort(link.waiting.begin(), link.waiting.end(),
              [&](const wire::BundleId& a, const wire::BundleId& b) {
                  return link.outgoing.at(a).order < link.outgoing.at(b).order;
              });
    update_state(link, now);
    return {};
}

void Worker::end_session(Link& link) {
    if (link.session == nullptr) return;
    for (const Lane& lane : link.session->lanes)
        lane_of_spi_.erase(lane.receive_spi);
    for (auto& [bundle, writing] : link.session->writings) {
        writing.writer.reset();  // its writes end here, and only then may another writer begin
        tell_order(writing, command::OrderState::gone);
        config_.arrivals->end(writing.key, link.session->holder(bundle), false);
    }
    link.session.reset();
}

void Worker::obey(OfferBundle& command, TimeNs now) {
    const auto refuse = [&](wire::FailReason reason, const std::string& text) {
        tell(LogLine{true, "bundle " + wire::to_string(command.offer.id) + ": " + text});
        tell(SourceBundle{{command.offer.id,
                           command.offer.generation,
                           command.offer.link,
                           wire::Stage::failed,
                           reason,
                           0,
                           {}}});
    };
    const wire::BundleId id = command.offer.id;
    // Whatever becomes of this one, control has left the older ones: an end that is told is the end of all.
    take_back(id, command.offer.generation, now);
    Link* link = find_link(command.offer.link, command.group);
    if (link == nullptr) return refuse(wire::FailReason::cancelled, "its link is not configured");
    if (link->outgoing.count(id) != 0) return;  // stated again: already on its way
    auto manifest = manifest_of(command.offer, command.head);
    if (!manifest.ok()) return refuse(wire::FailReason::manifest_malformed, manifest.error().text);
    link->outgoing.emplace(id, OutgoingBundle{command.offer, std::move(command.head),
                                              std::move(manifest).value(), next_order_++});
    link->waiting.push_back(id);
    link->load_told = true;  // the main thread gave it: it has counted on that
    link->busy_at = now;
}

void Worker::obey(TakeBackBundle& command, TimeNs now) {
    take_back(command.id, command.below_generation, now);
}

void Worker::obey(CancelBundle& command, TimeNs now) {
    for (Link* link : active_) {
        const auto found = link->outgoing.find(command.id);
        if (found == link->outgoing.end()) continue;
        const auto waiting = std::find(link->waiting.begin(), link->waiting.end(), command.id);
        if (waiting == link->waiting.end() && link->session != nullptr) {
            link->session->sender.cancel(command.id, now);
            return;
        }
        if (waiting != link->waiting.end()) link->waiting.erase(waiting);
        tell(SourceBundle{{command.id,
                           found->second.offer.generation,
                           link->settings.link,
                           wire::Stage::failed,
                           wire::FailReason::cancelled,
                           0,
                           {}}});
        link->outgoing.erase(found);
    }
}

void Worker::obey(SettleStaged& command, TimeNs now) {
    const auto meant = [&](const auto& entry) {
        const auto& writing = entry.second;
        return writing.staged && writing.id == command.id && writing.generation == command.generation;
    };
    for (Link* link : active_) {
        if (link->settings.link != command.link || link->session == nullptr) continue;
        auto& writings = link->session->writings;
        const auto found = std::find_if(writings.begin(), writings.end(), meant);
        if (found != writings.end()) return settle_staged(*link, found->first, command.publish, now);
    }
}

void Worker::settle_staged(Link& link, std::uint32_t bundle, bool publish, TimeNs now) {
    const auto found = link.session->writings.find(bundle);
    LinkSession::Writing& writing = found->second;
    writing.staged = false;
    if (publish) {
        tell_order(writing, command::OrderState::publishing);
        writing.writer->release();
        return;
    }
    wire::BundleStatus status;
    status.bundle = bundle;
    status.stage = wire::Stage::failed;
    status.reason = wire::FailReason::superseded;
    tell_order(writing, command::OrderState::gone);
    tell(TargetBundle{
        {writing.id, writing.generation, link.settings.link, status.stage, status.reason, 0, {}}});
    link.session->receiver.set_stage(bundle, status, now);
    forget_writing(*link.session, bundle, false);
}

void Worker::obey(Stop&, TimeNs) {
    stop_ = true;
}

}  // namespace longhaul::worker
