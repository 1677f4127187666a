// Control's requests, one function each. Answers that the worker must give come later, under the request's number.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/command/fields.h"
#include "dataplane/node/node.h"
#include "drivers/crypto/secret.h"

namespace longhaul::node {

using command::FieldReader;

void Node::take_frames() {
    for (const command::Frame& frame : socket_.receive())
        serve(frame);
}

void Node::serve(const command::Frame& frame) {
    const auto document = command::parse_document(frame.json);
    if (!document.ok()) {
        spdlog::warn("control sent what is not a request: {}", document.error().text);
        return;
    }
    const Json& request = document.value();
    std::string name;
    std::uint64_t sequence = 0;
    FieldReader fields(request, "request");
    fields.read("seq", sequence);
    fields.read("request", name);
    if (!fields.ok()) return send(command::failure_answer(sequence, fields.error()));
    bool answer_later = false;
    Json answer = serve_request(name, request, sequence, frame.blob, answer_later);
    if (!answer_later) send(answer);
}

Node::Json Node::serve_request(const std::string& name, const Json& request, std::uint64_t sequence,
                               std::vector<std::uint8_t> blob, bool& answer_later) {
    const auto with = [&](Json fields) {
        Json answer = command::success_answer(sequence);
        answer.update(fields);
        return answer;
    };
    const auto later = [&](const Result<void>& started) {
        answer_later = started.ok();
        return started.ok() ? Json() : command::failure_answer(sequence, started.error());
    };
    FieldReader fields(request, name);
    if (name == "hello") return with(hello());
    if (name == "status") {
        // Results that a control before this one may have missed are told again behind its first status.
        send(with(status()));
        if (!std::exchange(results_told_, true)) {
            for (const command::BundleEvent& event : ledger_.finished()) {
                Json document = event;
                document["event"] = "bundle";
                send(document);
            }
            for (const auto& [key, event] : staged_) {
                Json document = event;
                document["event"] = "order";
                send(document);
            }
        }
        answer_later = true;
        return {};
    }
    if (name == "store_open") return later(store_open(request, sequence));
    if (name == "link_add") return later(link_add(request, sequence));
    if (name == "link_start") return later(link_start(request, sequence));
    if (name == "store_close" || name == "link_remove") {
        const std::uint64_t number = next_request_++;
        Result<void> sent;
        if (name == "store_close") {
            std::uint64_t store = 0;
            fields.read("store", store);
            if (!fields.ok()) return command::failure_answer(sequence, fields.error());
            stores_.erase(store);
            sent = to_worker(worker::CloseStore{number, store});
        } else {
            std::uint8_t link = 0;
            fields.read("link", link);
            if (!fields.ok()) return command::failure_answer(sequence, fields.error());
            links_.erase(link);
            sent = to_worker(worker::RemoveLink{number, link});
        }
        if (sent.ok()) waiting_[number] = sequence;
        return later(sent);
    }
    if (name == "link_prepare") {
        std::uint8_t link = 0;
        fields.read("link", link);
        if (!fields.ok()) return command::failure_answer(sequence, fields.error());
        auto offer = link_prepare(link);
        return offer.ok() ? with(offer.value()) : command::failure_answer(sequence, offer.error());
    }
    if (name == "bundle_offer") {
        auto accepted = bundle_offer(request, std::move(blob));
        return accepted.ok() ? with({{"accepted", accepted.value()}})
                             : command::failure_answer(sequence, accepted.error());
    }
    if (name == "bundle_cancel") {
        wire::BundleId id;
        fields.read("id", id);
        if (!fields.ok()) return command::failure_answer(sequence, fields.error());
        const auto sent = to_worker(worker::CancelBundle{id});
        return sent.ok() ? command::success_answer(sequence)
                         : command::failure_answer(sequence, sent.error());
    }
    if (name == "bundle_ack") {
        const Json* ids = fields.array("ids", command::kBundlesListedMax);
        if (ids == nullptr) return command::failure_answer(sequence, fields.error());
        for (const Json& each : *ids) {
            auto id =
                wire::parse_bundle_id(each.is_string() ? each.get_ref<const std::string&>() : std::string());
            if (!id.ok()) return command::failure_answer(sequence, id.error());
            ledger_.acknowledge(id.value());
        }
        return command::success_answer(sequence);
    }
    if (name == "order_publish" || name == "order_discard") {
        const auto sent = settle_staged(request, name == "order_publish");
        return sent.ok() ? command::success_answer(sequence)
                         : command::failure_answer(sequence, sent.error());
    }
    return command::failure_answer(sequence,
                                   Error{ErrorCode::invalid_argument, "unknown request \"" + name + "\""});
}

Node::Json Node::hello() const {
    Json ports = Json::array();
    for (const nic::PortConfig& port : config_.ports)
        ports.push_back(port.name);
    return {{"boot_id", boot_id_},
            {"version", LONGHAUL_VERSION},
            {"pid", static_cast<std::uint64_t>(::getpid())},
            {"ports", ports}};
}

Node::Json Node::status() const {
    command::StatusReport report;
    report.boot_id = boot_id_;
    for (const auto& [number, link] : links_)
        report.links.push_back(link.status);
    for (const auto& [store, role] : stores_)
        (role == storage::StoreRole::source ? report.source_stores : report.target_stores).push_back(store);
    report.bundles = ledger_.finished();
    report.in_flight = ledger_.in_flight();
    return report;
}

Result<void> Node::store_open(const Json& request, std::uint64_t sequence) {
    worker::OpenStore open;
    std::string role;
    FieldReader fields(request, "store_open");
    fields.read("store", open.store);
    fields.read("directory", open.directory);
    fields.read("role", role);
    if (fields.ok() && role != "source" && role != "target")
        fields.refuse("role", "must be \"source\" or \"target\"");
    if (!fields.ok()) return fields.error();
    open.role = role == "source" ? storage::StoreRole::source : storage::StoreRole::target;
    open.request = next_request_++;
    const auto key = std::pair{open.store, open.role};
    const std::uint64_t number = open.request;
    auto sent = to_worker(std::move(open));
    if (!sent.ok()) return sent;
    stores_opening_[number] = key;
    waiting_[number] = sequence;
    return {};
}

std::size_t Node::port_index(const std::string& name) const {
    const auto found = std::find_if(config_.ports.begin(), config_.ports.end(),
                                    [&](const auto& port) { return port.name == name; });
    return static_cast<std::size_t>(found - config_.ports.begin());
}

Result<void> Node::link_add(const Json& request, std::uint64_t sequence) {
    auto settings = command::link_settings_from(request);
    if (!settings.ok()) return settings.error();
    worker::ConfigureLink configure;
    configure.settings = std::move(settings).value();
    const command::LinkSettings& link = configure.settings;
    configure.port = port_index(link.port);
    if (configure.port == config_.ports.size())
        return Error{ErrorCode::not_found, "link " + link.name + ": this dataplane has no port \"" +
                                               link.port + "\": name one of its [[port]] sections"};
    auto local = wire::parse_ip(link.local_ip);
    auto remote = wire::parse_ip(link.remote_ip);
    if (!local.ok()) return local.error();
    if (!remote.ok()) return remote.error();
    if (local.value().v6 != remote.value().v6)
        return Error{ErrorCode::invalid_argument,
                     "link " + link.name + ": local_ip and remote_ip are of different families"};
    const auto& addresses = config_.ports[configure.port].addresses;
    if (std::none_of(addresses.begin(), addresses.end(),
                     [&](const nic::IpPrefix& prefix) { return prefix.address == local.value(); }))
        return Error{ErrorCode::invalid_argument, "link " + link.name + ": local_ip " + link.local_ip +
                                                      " is no address of port " + link.port};
    if (link.lanes < 1 || link.lanes > wire::kLanesMax)
        return Error{ErrorCode::invalid_argument,
                     "link " + link.name + ": lanes must be from 1 to " + std::to_string(wire::kLanesMax)};
    if (link.rate_bps > config_.plan_rate_bps || link.rtt_max_ms > config_.plan_rtt_ms)
        return Error{
            ErrorCode::exhausted,
            "link " + link.name + ": " + std::to_string(link.rate_bps) + " bit/s with an RTT of up to " +
                std::to_string(link.rtt_max_ms) + " ms is beyond the memory plan (" +
                std::to_string(config_.plan_rate_bps) + " bit/s, " + std::to_string(config_.plan_rtt_ms) +
                " ms): raise plan_rate or plan_rtt_ms in the dataplane's configuration and restart it"};
    configure.local_ip = local.value();
    configure.remote_ip = remote.value();
    configure.request = next_request_++;

    KnownLink& known = links_[link.link];
    known.settings = link;
    known.status.link = link.link;
    known.status.name = link.name;
    known.status.mode = link.mode;
    known.port = configure.port;
    known.local_ip = configure.local_ip;
    known.remote_ip = configure.remote_ip;
    waiting_[configure.request] = sequence;
    const std::uint64_t number = configure.request;
    auto sent = to_worker(std::move(configure));
    if (!sent.ok()) waiting_.erase(number);
    return sent;
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
    if (link.status.path_symbol_bytes > 0)
        offer->symbol_bytes = std::min(offer->symbol_bytes, link.status.path_symbol_bytes);
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
    session.request = next_request_++;
    session.link = start.link;
    session.session = start.session;
    session.parameters.symbol_bytes = start.symbol_bytes;
    session.parameters.lanes = static_cast<std::uint8_t>(start.lanes);
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
    for (unsigned i = 0; i < start.lanes; ++i) {
        const auto lane = static_cast<std::uint8_t>(i);
        auto transmit = crypto::lane_secret(keys.value(), start.peer.spis[i], start.link, lane);
        auto receive = crypto::lane_secret(keys.value(), own->spis[i], start.link, lane);
        if (!transmit.ok()) return transmit.error();
        if (!receive.ok()) return receive.error();
        session.lanes.push_back({start.peer.spis[i], own->spis[i], transmit.value(), receive.value()});
    }
    const std::uint64_t number = session.request;
    for (const std::uint32_t spi : link.session_spis)
        spis_.erase(spi);
    link.session_spis = own->spis;
    waiting_[number] = sequence;
    auto sent = to_worker(std::move(session));
    if (!sent.ok())
        waiting_.erase(number);
    else
        spdlog::info("link {}: session {} starts, {} lanes, {}-byte symbols", link.settings.name,
                     start.session, start.lanes, start.symbol_bytes);
    return sent;
}

// Told twice it changes nothing: what is publishing stays so, what is over is not found.
Result<void> Node::settle_staged(const Json& request, bool publish) {
    worker::SettleStaged settle;
    settle.publish = publish;
    FieldReader fields(request, publish ? "order_publish" : "order_discard");
    fields.read("link", settle.link);
    fields.read("id", settle.id);
    fields.read("generation", settle.generation);
    if (!fields.ok()) return fields.error();
    const auto found = staged_.find({settle.id, settle.link});
    if (found == staged_.end() || found->second.generation != settle.generation)
        return Error{ErrorCode::not_found, "bundle " + wire::to_string(settle.id) + " is not staged here"};
    if (found->second.state == command::OrderState::publishing) return {};
    return to_worker(std::move(settle));
}

Result<bool> Node::bundle_offer(const Json& request, std::vector<std::uint8_t> blob) {
    auto offer = command::bundle_offer_from(request);
    if (!offer.ok()) return offer.error();
    if (links_.find(offer.value().link) == links_.end())
        return Error{ErrorCode::not_found,
                     "link " + std::to_string(offer.value().link) + " is not configured"};
    switch (ledger_.offer(offer.value())) {
        case BundleLedger::Offer::full:
            return false;
        case BundleLedger::Offer::known: {
            // Stated again after its end: the result is told again instead of sending the bytes again.
            if (const command::BundleEvent* result = ledger_.result(offer.value().id)) {
                Json document = *result;
                document["event"] = "bundle";
                send(document);
            }
            return true;
        }
        case BundleLedger::Offer::accepted:
            break;
    }
    const auto id = offer.value().id;
    const auto generation = offer.value().generation;
    const auto link = offer.value().link;
    auto sent = to_worker(worker::OfferBundle{std::move(offer).value(), std::move(blob)});
    if (sent.ok()) return true;
    ledger_.on_event({id, generation, link, wire::Stage::failed, wire::FailReason::limit, 0, {}});
    ledger_.acknowledge(id);
    return false;
}

}  // namespace longhaul::node
