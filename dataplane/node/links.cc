// A link over the workers: its lane groups, their sessions, their parts of the rate, their bundles. Control sees one link.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/command/fields.h"
#include "dataplane/node/node.h"
#include "drivers/crypto/secret.h"

namespace longhaul::node {

using command::FieldReader;

// What each group's worker gets once all have ended the sessions before.
struct Node::SessionStart {
    std::uint8_t link = 0;
    unsigned lanes = 0;
    std::vector<worker::StartSession> sessions;  // one a group
};

std::size_t Node::port_index(const std::string& name) const {
    const auto found = std::find_if(config_.ports.begin(), config_.ports.end(),
                                    [&](const auto& port) { return port.name == name; });
    return static_cast<std::size_t>(found - config_.ports.begin());
}

Result<void> Node::link_add(const Json& request, std::uint64_t sequence) {
    auto settings = command::link_settings_from(request);
    if (!settings.ok()) return settings.error();
    const command::LinkSettings& link = settings.value();
    const std::size_t port = port_index(link.port);
    if (port == config_.ports.size())
        return Error{ErrorCode::not_found, "link " + link.name + ": this dataplane has no port \"" +
                                               link.port + "\": name one of its [[port]] sections"};
    auto local = wire::parse_ip(link.local_ip);
    auto remote = wire::parse_ip(link.remote_ip);
    if (!local.ok()) return local.error();
    if (!remote.ok()) return remote.error();
    if (local.value().v6 != remote.value().v6)
        return Error{ErrorCode::invalid_argument,
                     "link " + link.name + ": local_ip and remote_ip are of different families"};
    const auto& addresses = config_.ports[port].addresses;
    if (std::none_of(addresses.begin(), addresses.end(),
                     [&](const nic::IpPrefix& prefix) { return prefix.address == local.value(); }))
        return Error{ErrorCode::invalid_argument, "link " + link.name + ": local_ip " + link.local_ip +
                                                      " is no address of port " + link.port};
    if (link.lanes < 1 || link.lanes > wire::kLanesMax)
        return Error{ErrorCode::invalid_argument,
                     "link " + link.name + ": lanes must be from 1 to " + std::to_string(wire::kLanesMax)};
    if (link.lanes < config_.workers)
        return Error{ErrorCode::invalid_argument,
                     "link " + link.name + ": " + std::to_string(link.lanes) + " lanes are too few for " +
                         std::to_string(config_.workers) +
                         " workers: raise lanes at both ends, best to a multiple of the workers"};
    if (link.rate_bps > config_.plan_rate_bps || link.rtt_max_ms > config_.plan_rtt_ms)
        return Error{
            ErrorCode::exhausted,
            "link " + link.name + ": " + std::to_string(link.rate_bps) + " bit/s with an RTT of up to " +
                std::to_string(link.rtt_max_ms) + " ms is beyond the memory plan (" +
                std::to_string(config_.plan_rate_bps) + " bit/s, " + std::to_string(config_.plan_rtt_ms) +
                " ms): raise plan_rate or plan_rtt_ms in the dataplane's configuration and restart it"};
    if (links_.count(link.link) == 0 && links_.size() >= config_.links_max)
        return Error{ErrorCode::exhausted,
                     "links_max = " + std::to_string(config_.links_max) +
                         " links are in use: raise links_max in the dataplane's configuration"};

    KnownLink& known = links_[link.link];
    known.settings = link;
    known.status.link = link.link;
    known.status.name = link.name;
    known.status.mode = link.mode;
    known.port = port;
    known.local_ip = local.value();
    known.remote_ip = remote.value();
    if (known.groups.empty()) make_groups(known, 1, link.lanes);
    steer_lanes(known);
    const auto answer = gather_answer(sequence);
    for (unsigned group = 0; group < known.groups.size(); ++group)
        ask(answer, known.groups[group].place.worker, configure_group(known, group));
    // Rates change in their own order: first who gives, then who takes.
    if (known.division)
        known.division->set_cap(link.rate_bps);
    else if (auto sent =
                 to_worker(known.groups[0].place.worker, worker::SetShare{link.link, 0, link.rate_bps});
             !sent.ok())
        answer->error = sent.error();
    settle_shares(link.link, known);
    if (workers_.size() > 1) {
        if (auto sent = to_worker(0, worker::WatchNeighbour{link.link, port, known.remote_ip}); !sent.ok())
            answer->error = sent.error();
    }
    close(answer);
    return {};
}

Result<void> Node::link_remove(const Json& request, std::uint64_t sequence) {
    std::uint8_t number = 0;
    FieldReader fields(request, "link_remove");
    fields.read("link", number);
    if (!fields.ok()) return fields.error();
    const auto answer = gather_answer(sequence);
    if (const auto found = links_.find(number); found != links_.end()) {
        for (unsigned group = 0; group < found->second.groups.size(); ++group)
            ask(answer, found->second.groups[group].place.worker,
                worker::RemoveLink{0, number, static_cast<std::uint8_t>(group), false});
        links_.erase(found);
        steering_.remove(number);
    }
    for (unsigned worker = 0; worker < workers_.size(); ++worker)
        ask(answer, worker, worker::PrepareSession{0, number, {}});
    if (workers_.size() > 1) {
        if (auto sent = to_worker(0, worker::WatchNeighbour{number, 0, std::nullopt}); !sent.ok())
            answer->error = sent.error();
    }
    close(answer);
    return {};
}

Result<command::LinkOffer> Node::link_prepare(std::uint8_t number) {
    const auto found = links_.find(number);
    if (found == links_.end())
        return Error{ErrorCode::not_found,
                     "link " + std::to_string(number) + " is not configured: send link_add first"};
    KnownLink& link = found->second;
    auto offer = std::make_unique<command::LinkOffer>();
    if (auto done = crypto::random_bytes(offer->nonce); !done.ok()) return done.error();
    while (offer->spis.size() < link.settings.lanes) {
        std::array<std::uint8_t, 4> random{};
        if (auto done = crypto::random_bytes(random); !done.ok()) return done.error();
        std::uint32_t spi = 0;
        std::memcpy(&spi, random.data(), sizeof spi);
        // 0 is never an SPI; one in use would let two lanes claim a packet.
        if (spi != 0 && spis_.insert(spi).second) offer->spis.push_back(spi);
    }
    offer->symbol_bytes = wire::symbol_bytes_for_mtu(config_.ports[link.port].mtu, link.local_ip.v6);
    if (link.path_symbol_bytes > 0)
        offer->symbol_bytes = std::min(offer->symbol_bytes, link.path_symbol_bytes);
    offer->groups = config_.workers;
    if (link.prepared != nullptr)
        for (const std::uint32_t spi : link.prepared->spis)
            spis_.erase(spi);
    link.prepared = std::move(offer);
    return *link.prepared;
}

Result<void> Node::link_start(const Json& request, std::uint64_t sequence) {
    auto parsed = command::link_start_from(request);
    if (!parsed.ok()) return parsed.error();
    const command::LinkStart& start = parsed.value();
    const auto found = links_.find(start.link);
    if (found == links_.end())
        return Error{ErrorCode::not_found, "link " + std::to_string(start.link) + " is not configured"};
    KnownLink& link = found->second;
    if (link.starting)
        return Error{ErrorCode::unavailable,
                     "link " + link.settings.name + ": a session is being started: try again"};
    // Our nonce is fresh, lives in this process only and is used once: whatever control sends again, no old key returns.
    if (link.prepared == nullptr || link.prepared->nonce != start.own_nonce)
        return Error{ErrorCode::unavailable,
                     "link " + link.settings.name +
                         ": this nonce is not the prepared one or is used up: send link_prepare again"};
    const auto own = std::move(link.prepared);
    if (start.lanes < 1 || start.lanes > own->spis.size() || start.peer.spis.size() < start.lanes)
        return Error{ErrorCode::invalid_argument,
                     "link " + link.settings.name + ": lanes do not fit both offers"};
    if (start.symbol_bytes == 0 || start.symbol_bytes % 64 != 0 || start.symbol_bytes > own->symbol_bytes)
        return Error{ErrorCode::invalid_argument, "link " + link.settings.name +
                                                      ": symbol_bytes must be a multiple of 64 up to " +
                                                      std::to_string(own->symbol_bytes)};

    worker::StartSession session;
    session.link = start.link;
    session.session = start.session;
    session.parameters.symbol_bytes = start.symbol_bytes;
    session.parameters.path = start.link;
    wire::UdpTuple tuple;
    tuple.source_ip = link.local_ip;
    tuple.target_ip = link.remote_ip;
    tuple.vlan = config_.ports[link.port].vlan;
    constexpr std::uint32_t kFrameCheckBytes = 4;
    session.parameters.frame_overhead_bytes =
        static_cast<std::uint32_t>(wire::udp_overhead_bytes(tuple)) + kFrameCheckBytes;

    crypto::LinkSecret secret;
    secret.bytes = start.secret;
    auto keys = start.initiator ? crypto::session_secret(secret, own->nonce, start.peer.nonce)
                                : crypto::session_secret(secret, start.peer.nonce, own->nonce);
    if (!keys.ok()) return keys.error();
    std::vector<worker::LaneKeys> lanes;
    for (unsigned i = 0; i < start.lanes; ++i) {
        const auto lane = static_cast<std::uint8_t>(i);
        auto transmit = crypto::lane_secret(keys.value(), start.peer.spis[i], start.link, lane);
        auto receive = crypto::lane_secret(keys.value(), own->spis[i], start.link, lane);
        if (!transmit.ok()) return transmit.error();
        if (!receive.ok()) return receive.error();
        lanes.push_back({start.peer.spis[i], own->spis[i], transmit.value(), receive.value()});
    }
    const unsigned groups = groups_agreed(own->groups, start.peer.groups, start.lanes);
    const auto workers = static_cast<unsigned>(workers_.size());
    const auto places = place_groups(groups, workers, start.link % workers, start.lanes);
    auto plan = std::make_shared<SessionStart>();
    plan->link = start.link;
    plan->lanes = start.lanes;
    session.path_symbol_bytes = link.path_symbol_bytes;
    worker::PrepareSession prepare{0, start.link, {}};
    for (unsigned group = 0; group < groups; ++group) {
        const GroupPlace& place = places[group];
        session.group = static_cast<std::uint8_t>(group);
        session.first_lane = place.first_lane;
        session.parameters.lanes = static_cast<std::uint8_t>(place.lanes);
        session.lanes.assign(lanes.begin() + place.first_lane,
                             lanes.begin() + place.first_lane + place.lanes);
        for (const worker::LaneKeys& lane : session.lanes)
            prepare.elsewhere.push_back({lane.receive_spi, static_cast<std::uint8_t>(place.worker)});
        plan->sessions.push_back(session);
    }
    for (const std::uint32_t spi : link.session_spis)
        spis_.erase(spi);
    link.session_spis = own->spis;
    link.starting = true;
    spdlog::info("link {}: session {} starts, {} lanes in {} groups on {} workers, {}-byte symbols",
                 link.settings.name, start.session, start.lanes, groups, std::min(groups, workers),
                 start.symbol_bytes);
    // No group sends by the new keys before every old session has ended: a bundle may move to another group, and its old
    // writer must be gone by then.
    const auto prepared =
        gather([this, plan, sequence, connection = connection_](const Result<void>& outcome) {
            if (outcome.ok()) return begin_groups(plan, connection == connection_ ? sequence : 0);
            const auto known = links_.find(plan->link);
            if (known != links_.end()) known->second.starting = false;
            if (connection == connection_) send(command::failure_answer(sequence, outcome.error()));
        });
    for (unsigned worker = 0; worker < workers; ++worker)
        ask(prepared, worker, prepare);
    close(prepared);
    return {};
}

void Node::begin_groups(const std::shared_ptr<SessionStart>& start, std::uint64_t sequence) {
    const std::uint8_t number = start->link;
    const auto answer =
        gather([this, number, sequence, connection = connection_](const Result<void>& outcome) {
            if (const auto link = links_.find(number); link != links_.end()) link->second.starting = false;
            if (sequence == 0 || connection != connection_) return;
            send(outcome.ok() ? command::success_answer(sequence)
                              : command::failure_answer(sequence, outcome.error()));
        });
    const auto found = links_.find(number);
    if (found == links_.end()) {
        answer->error =
            Error{ErrorCode::not_found, "link " + std::to_string(number) + " was removed meanwhile"};
        return close(answer);
    }
    KnownLink& link = found->second;
    const auto groups = static_cast<unsigned>(start->sessions.size());
    for (unsigned group = groups; group < link.groups.size(); ++group)
        ask(answer, link.groups[group].place.worker,
            worker::RemoveLink{0, number, static_cast<std::uint8_t>(group), true});
    make_groups(link, groups, start->lanes);
    steer_lanes(link);
    for (unsigned group = 0; group < groups; ++group) {
        const unsigned worker = link.groups[group].place.worker;
        const auto tell = [&](worker::Command command) {
            if (auto sent = to_worker(worker, std::move(command)); !sent.ok() && !answer->error)
                answer->error = sent.error();
        };
        ask(answer, worker, configure_group(link, group));
        tell(worker::SetShare{number, static_cast<std::uint8_t>(group), link.settings.rate_bps / groups});
        if (link.neighbour) tell(worker::SetNeighbour{number, link.neighbour});
        ask(answer, worker, std::move(start->sessions[group]));
    }
    settle_shares(number, link);
    close(answer);
}

// Worker events of groups that are gone find none and are dropped.
void Node::make_groups(KnownLink& link, unsigned groups, unsigned lanes) {
    const auto workers = static_cast<unsigned>(workers_.size());
    const auto places = place_groups(groups, workers, link.settings.link % workers, lanes);
    link.groups.resize(groups);
    for (unsigned group = 0; group < groups; ++group)
        link.groups[group].place = places[group];
    link.spread.resize(groups);
    link.division.reset();
    if (groups == 1) return;
    link.division.emplace(link.settings.rate_bps, groups);
    for (unsigned group = 0; group < groups; ++group)
        link.division->set_busy(group, link.spread.any(group));
}

void Node::steer_lanes(const KnownLink& link) {
    std::vector<GroupPlace> places;
    for (const auto& group : link.groups)
        places.push_back(group.place);
    steering_.place(link.settings.link, link.port, link.remote_ip, link.settings.udp_port_base, places);
}

worker::ConfigureLink Node::configure_group(const KnownLink& link, unsigned group) const {
    const GroupPlace& place = link.groups[group].place;
    worker::ConfigureLink configure;
    configure.settings = link.settings;
    configure.group = static_cast<std::uint8_t>(group);
    configure.part = place.part;
    configure.parts = place.parts;
    configure.groups = static_cast<unsigned>(link.groups.size());
    configure.share_bps = std::max<std::uint64_t>(1, link.settings.rate_bps / link.groups.size());
    configure.port = link.port;
    configure.local_ip = link.local_ip;
    configure.remote_ip = link.remote_ip;
    return configure;
}

Result<void> Node::offer_to_group(KnownLink& link, command::BundleOfferMessage offer,
                                  std::vector<std::uint8_t> head) {
    const unsigned group = link.spread.choose();
    const wire::BundleId id = offer.id;
    // A head that does not parse is refused by the worker, in words.
    const auto prefix = wire::parse_head_prefix(head);
    const std::uint64_t bytes = head.size() + (prefix.ok() ? prefix.value().payload_bytes : 0);
    if (link.division) {
        link.division->set_busy(group, true);  // its part of the rate goes ahead of the bundle
        settle_shares(link.settings.link, link);
    }
    auto sent =
        to_worker(link.groups[group].place.worker,
                  worker::OfferBundle{std::move(offer), std::move(head), static_cast<std::uint8_t>(group)});
    if (sent.ok()) link.spread.add(id, group, bytes);
    return sent;
}

// The older generations of an offer that a worker just got: off the other links' books, and back from the other workers.
// One that does not hear it sends in vain: its end is not told, and the target refuses what is stale.
void Node::take_back_elsewhere(const command::BundleOfferMessage& offer) {
    if (offer.generation <= 1) return;
    for (auto& [number, link] : links_)
        if (number != offer.link) link.spread.settle(offer.id);
    const KnownLink& link = links_.at(offer.link);
    const unsigned taker = link.groups[*link.spread.group_of(offer.id)].place.worker;
    for (unsigned worker = 0; worker < workers_.size(); ++worker) {
        if (worker == taker) continue;
        if (auto sent = to_worker(worker, worker::TakeBackBundle{offer.id, offer.generation}); !sent.ok())
            spdlog::warn("bundle {}: worker {} keeps an older generation: {}", wire::to_string(offer.id),
                         worker, sent.error().text);
    }
}

void Node::settle_shares(std::uint8_t number, KnownLink& link) {
    if (!link.division) return;
    while (const auto order = link.division->next()) {
        const auto sent =
            to_worker(link.groups[order->group].place.worker,
                      worker::SetShare{number, static_cast<std::uint8_t>(order->group), order->rate_bps});
        if (sent.ok()) continue;
        link.division->withdrawn(order->group);
        return;  // the queue is full: the next event comes back to it
    }
}

void Node::on_event(worker::LinkReport& event, unsigned) {
    const auto found = links_.find(event.status.link);
    if (found == links_.end() || event.group >= found->second.groups.size()) return;
    KnownLink& link = found->second;
    command::LinkStatus& group = link.groups[event.group].status;
    if (group.path_symbol_bytes != event.status.path_symbol_bytes)
        link.path_symbol_bytes = event.status.path_symbol_bytes;
    group = event.status;
    std::vector<command::LinkStatus> all;
    for (const KnownLink::Group& each : link.groups)
        all.push_back(each.status);
    command::LinkStatus status = combined(all);
    status.link = link.settings.link;
    status.name = link.settings.name;
    status.rate_cap_bps = link.settings.rate_bps;
    status.path_symbol_bytes = link.path_symbol_bytes;
    const bool changed = link.status.state != status.state || link.status.answering != status.answering;
    if (changed)
        spdlog::info("link {}: {}{}{}", status.name, command::to_string(status.state),
                     status.reason.empty() ? "" : ": ", status.reason);
    // One word a second of the whole link, and at once when its state changes or it stops or begins to answer.
    const bool news = changed || event.group + 1u == link.groups.size();
    link.status = std::move(status);
    settle_shares(link.settings.link, link);
    if (news) {
        Json document = link.status;
        document["event"] = "link";
        send(document);
    }
    const std::lock_guard lock(counters_mutex_);
    link_figures_.clear();
    for (const auto& [number, each] : links_)
        link_figures_.push_back(each.status);
}

void Node::on_event(worker::GroupLoad& event, unsigned) {
    const auto found = links_.find(event.link);
    if (found == links_.end() || !found->second.division || event.group >= found->second.groups.size())
        return;
    found->second.division->set_busy(event.group, event.busy);
    settle_shares(event.link, found->second);
}

void Node::on_event(worker::ShareTaken& event, unsigned) {
    const auto found = links_.find(event.link);
    if (found == links_.end() || !found->second.division || event.group >= found->second.groups.size())
        return;
    found->second.division->taken(event.group, event.rate_bps);
    settle_shares(event.link, found->second);
}

void Node::on_event(worker::ReturnedBundle& event, unsigned) {
    const auto found = links_.find(event.offer.offer.link);
    if (found == links_.end()) return;
    const command::BundleOfferMessage offer = event.offer.offer;
    if (!ledger_.current(offer.id, offer.generation)) return;  // moved meanwhile
    found->second.spread.settle(offer.id);
    const auto sent = offer_to_group(found->second, offer, std::move(event.offer.head));
    if (sent.ok()) return;
    worker::SourceBundle failed{
        {offer.id, offer.generation, offer.link, wire::Stage::failed, wire::FailReason::limit, 0, {}}};
    on_event(failed, 0);
}

void Node::on_event(worker::NeighbourChange& event, unsigned) {
    const auto found = links_.find(event.link);
    if (found == links_.end()) return;
    found->second.neighbour = event.mac;
    // A worker that is not told now hears it with the next session.
    for (unsigned worker = 1; worker < workers_.size(); ++worker)
        if (auto sent = to_worker(worker, worker::SetNeighbour{event.link, event.mac}); !sent.ok())
            spdlog::warn("link {}: worker {} did not hear of a neighbour: {}", found->second.settings.name,
                         worker, sent.error().text);
}

}  // namespace longhaul::node
