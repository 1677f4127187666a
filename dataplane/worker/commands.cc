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
    answer(command.request, storage_->open_store(command.store, command.directory, command.role));
}

void Worker::obey(CloseStore& command, TimeNs) {
    storage_->close_store(command.store);
    answer(command.request, {});
}

void Worker::obey(ConfigureLink& command, TimeNs now) {
    const std::uint8_t number = command.settings.link;
    if (Link* link = find_link(number)) {
        const bool moved = link->port != command.port || link->local_ip != command.local_ip ||
                           link->remote_ip != command.remote_ip ||
                           link->settings.udp_port_base != command.settings.udp_port_base;
        link->settings = std::move(command.settings);
        link->port = command.port;
        link->local_ip = command.local_ip;
        link->remote_ip = command.remote_ip;
        if (moved) {
            link->path_symbol_bytes = 0;
            end_session(*link);
        } else if (link->session != nullptr) {
            link->session->sender.set_mode(mode_of(link->settings.mode), link->settings.rate_bps);
            link->session->sender.set_rate_cap(link->settings.rate_bps);
            link->session->sender.set_redundancy(goal_of(link->settings.goal), link->settings.fixed_parity);
        }
        return answer(command.request, {});
    }
    const auto slot = std::find(slot_taken_.begin(), slot_taken_.end(), false);
    if (slot == slot_taken_.end())
        return answer(command.request,
                      Error{ErrorCode::exhausted,
                            "links_max = " + std::to_string(slot_taken_.size()) +
                                " links are in use: raise links_max in the dataplane's configuration"});
    auto link = std::make_unique<Link>();
    link->slot = static_cast<std::size_t>(slot - slot_taken_.begin());
    *slot = true;
    link->settings = std::move(command.settings);
    link->port = command.port;
    link->local_ip = command.local_ip;
    link->remote_ip = command.remote_ip;
    link->send_pool = send_pools_[link->slot].get();
    link->receive_pool = receive_pools_[link->slot].get();
    link->next_report = now;
    links_[number] = std::move(link);
    active_.clear();
    for (const auto& each : links_)
        if (each != nullptr) active_.push_back(each.get());
    answer(command.request, {});
}

void Worker::obey(RemoveLink& command, TimeNs) {
    if (Link* link = find_link(command.link)) {
        end_session(*link);
        for (const auto& [id, bundle] : link->outgoing)
            tell(SourceBundle{{id,
                               bundle.offer.generation,
                               command.link,
                               wire::Stage::failed,
                               wire::FailReason::cancelled,
                               0,
                               {}}});
        slot_taken_[link->slot] = false;
        std::erase(active_, link);
        links_[command.link].reset();
    }
    answer(command.request, {});
}

void Worker::obey(StartSession& command, TimeNs now) {
    Link* link = find_link(command.link);
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
    sender.read_ahead_blocks = config_.plan.read_ahead_blocks;
    sender.pacing_catch_up = catch_up(link.settings.rate_bps, config_.poll);
    session::ReceiverConfig receiver;
    receiver.parameters = parameters;
    receiver.stripes_open_max = static_cast<std::uint32_t>(link.receive_pool->total());
    congestion::ControllerConfig control;
    control.cap_bps = link.settings.rate_bps;
    control.seed = next_epoch_;

    session::PathProbeConfig probe;
    probe.symbol_bytes = parameters.symbol_bytes;
    probe.symbol_bytes_max = std::max(
        probe.symbol_bytes, wire::symbol_bytes_for_mtu(ports_[link.port]->config().mtu, link.local_ip.v6));
    probe.v6 = link.local_ip.v6;
    probe.lanes = parameters.lanes;

    auto session = std::make_unique<LinkSession>(
        command.session, next_epoch_++, sender, receiver, codec_, *link.send_pool, *link.receive_pool,
        congestion::make(mode_of(link.settings.mode), control), probe, now);
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
            static_cast<std::uint16_t>(link.settings.udp_port_base + i);
        lane.tuple.traffic_class = link.settings.traffic_class;
        lane.tuple.vlan = ports_[link.port]->config().vlan;
        session->lanes.push_back(std::move(lane));
    }
    for (std::size_t i = 0; i < session->lanes.size(); ++i)
        lane_of_spi_.insert(session->lanes[i].receive_spi, {&link, static_cast<std::uint8_t>(i)});
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
    for (auto& [handle, writing] : link.session->writings)
        tell_order(writing, command::OrderState::gone);
    link.session.reset();
}

void Worker::obey(OfferBundle& command, TimeNs) {
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
    Link* link = find_link(command.offer.link);
    if (link == nullptr) return refuse(wire::FailReason::cancelled, "its link is not configured");
    if (link->outgoing.count(command.offer.id) != 0) return;  // stated again: already on its way
    auto manifest = wire::parse_manifest(command.head);
    if (!manifest.ok()) return refuse(wire::FailReason::manifest_malformed, manifest.error().text);
    const wire::BundleId id = command.offer.id;
    if (manifest.value().id != id)
        return refuse(wire::FailReason::manifest_malformed, "the manifest names another bundle");
    link->outgoing.emplace(id, OutgoingBundle{command.offer, std::move(command.head),
                                              std::move(manifest).value(), next_order_++});
    link->waiting.push_back(id);
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
    Link* link = find_link(command.link);
    if (link == nullptr || link->session == nullptr) return;
    auto& writings = link->session->writings;
    const auto found = std::find_if(writings.begin(), writings.end(), [&](const auto& entry) {
        const auto& writing = entry.second;
        return writing.staged && writing.id == command.id && writing.generation == command.generation;
    });
    if (found == writings.end()) return;
    found->second.staged = false;
    if (command.publish) {
        tell_order(found->second, command::OrderState::publishing);
        found->second.writer->release();
        return;
    }
    wire::BundleStatus status;
    status.bundle = found->first;
    status.stage = wire::Stage::failed;
    status.reason = wire::FailReason::superseded;
    tell_order(found->second, command::OrderState::gone);
    tell(TargetBundle{{command.id, command.generation, command.link, status.stage, status.reason, 0, {}}});
    link->session->receiver.set_stage(found->first, status, now);
    writings.erase(found);
}

void Worker::obey(Stop&, TimeNs) {
    stop_ = true;
}

}  // namespace longhaul::worker
