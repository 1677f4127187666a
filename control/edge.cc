// Wiring only: every part does its own work.
// SPDX-License-Identifier: Apache-2.0
#include "control/edge.h"

#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <array>

#include "control/api/token.h"
#include "control/peer/tls.h"

namespace longhaul::control {
namespace {

std::string random_instance() {
    std::array<std::uint8_t, 16> bytes{};
    LH_ASSERT(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
    return command::hex(bytes);
}

}  // namespace

Edge::Edge(ControlConfig config, LinkSupervisor::Timing timing)
    : config_(std::move(config)),
      timing_(timing),
      links_(config_.site, config_.links),
      dataplane_(config_.dataplane_socket, random_instance(), *this),
      sessions_(config_.site, links_, dataplane_) {
    for (const SiteConfig& site : config_.sites)
        peers_.emplace(site.name, std::make_unique<PeerClient>(config_.pki, site));
}

Edge::~Edge() {
    stop();
}

Result<void> Edge::start(Core& core) {
    core_ = &core;
    for (auto& [name, client] : peers_)
        client->observe(
            [&core] { return core.source_now(); },
            [&core](const std::string& site, const PeerReport& report) { core.on_peer(site, report); });
    auto result = start_servers();
    if (!result) {
        stop();
        return result;
    }
    dataplane_.start();
    for (const LinkConfig& link : config_.links) {
        supervisors_.push_back(std::make_unique<LinkSupervisor>(link.settings.link, links_, sessions_,
                                                                dataplane_, *peers_.at(link.site), timing_));
        supervisors_.back()->start();
    }
    return {};
}

Result<void> Edge::start_servers() {
    auto token = load_or_create_token(config_.token_file);
    if (!token) return token.error();
    std::vector<PeerClient*> peers;
    for (const auto& [name, client] : peers_)
        peers.push_back(client.get());
    if (!config_.webhook.url.empty()) {
        auto secret = load_webhook_secret(config_.webhook.secret_file);
        if (!secret) return secret.error();
        webhook_ = std::make_unique<Webhook>(*core_, config_.webhook, std::move(secret).value(),
                                             config_.state_directory + "/webhook.cursor");
        webhook_->start();
    }
    api_server_ = std::make_unique<ApiServer>(
        ApiContext{config_, *core_, links_, dataplane_, peers, webhook_.get()}, std::move(token).value());
    const auto rest_port = api_server_->start(config_.rest_listen);
    if (!rest_port) return rest_port.error();
    rest_port_ = rest_port.value();
    spdlog::info("REST on http://{}, token in {}", to_string(Endpoint{config_.rest_listen.host, rest_port_}),
                 config_.token_file);
    if (peers_.empty()) return {};

    if (auto checked = tls::check_files(config_.pki, config_.site); !checked) return checked;
    peer_server_ = std::make_unique<PeerServer>(config_, sessions_, *core_);
    const auto peer_port = peer_server_->start(config_.peer_listen);
    if (!peer_port) return peer_port.error();
    peer_port_ = peer_port.value();
    spdlog::info("peers on https://{}", to_string(Endpoint{config_.peer_listen.host, peer_port_}));
    return {};
}

void Edge::stop() {
    if (api_server_) api_server_->stop();
    if (webhook_) webhook_->stop();
    if (peer_server_) peer_server_->stop();
    for (const auto& supervisor : supervisors_)
        supervisor->stop();
    dataplane_.stop();
}

// ---- Ports: called by the core
// ---------------------------------------------------------------------------------------

Result<void> Edge::store_open(std::uint64_t store, const std::string& directory, bool target, bool marked) {
    return dataplane_.store_open(store, directory, target, marked);
}

void Edge::store_close(std::uint64_t store) {
    // A dataplane that does not answer is down, or holds it until it is opened anew: both are heard of elsewhere.
    static_cast<void>(dataplane_.store_close(store).ok());
}

Result<bool> Edge::bundle_offer(const command::BundleOfferMessage& offer, std::vector<std::uint8_t> head) {
    return dataplane_.bundle_offer(offer, std::move(head));
}

Result<void> Edge::bundle_cancel(const wire::BundleId& id) {
    return dataplane_.bundle_cancel(id);
}

Result<void> Edge::bundle_ack(const std::vector<wire::BundleId>& ids) {
    return dataplane_.bundle_ack(ids);
}

Result<void> Edge::order_settle(std::uint8_t link, const wire::BundleId& id, std::uint32_t generation,
                                bool publish) {
    return dataplane_.order_settle(link, id, generation, publish);
}

Result<PeerClient*> Edge::peer(const std::string& site) {
    const auto found = peers_.find(site);
    if (found != peers_.end()) return found->second.get();
    std::vector<std::string> known;
    for (const auto& [name, client] : peers_)
        known.push_back(name);
    return Error{ErrorCode::not_found,
                 in_quotes(site) + " is not another site of this configuration: " + suggestion(site, known)};
}

Result<TargetAccepted> Edge::target_accept(const DatasetSpec& spec) {
    const auto client = peer(spec.target.site);
    if (!client) return client.error();
    return client.value()->accept_dataset(spec);
}

Result<void> Edge::target_release(const std::string& dataset, const std::string& site, std::uint64_t store) {
    const auto client = peer(site);
    if (!client) return client.error();
    return client.value()->release_dataset(dataset, store);
}

std::vector<LinkChoice> Edge::links_to(const std::string& site) {
    std::vector<LinkChoice> out;
    for (const LinkView& view : links_.views())
        if (view.site == site)
            out.push_back({view.name, view.settings.link, site, view.up(), view.settings.rate_bps,
                           view.payload_share * view.settings.share, view.status.rtt_ms / 1e3, view.calendar,
                           view.up() && view.status.answering});
    return out;
}

// ---- DataplaneListener: on the client's thread
// -----------------------------------------------------------------------

std::vector<command::LinkSettings> Edge::configured_links() {
    links_.dataplane_up();
    return links_.settings();
}

void Edge::on_link_refused(std::uint8_t link, const Error& error) {
    spdlog::error("link {}: the dataplane refused it: {}", link, error.text);
    links_.set_refused(link, error.text);
}

void Edge::on_up(const DataplaneHello&, const command::StatusReport& status) {
    for (const command::LinkStatus& link : status.links)
        links_.set_status(link);
    core_->on_dataplane_up(status);
}

void Edge::on_down(const std::string& reason, bool was_up) {
    links_.dataplane_down(reason);
    if (was_up) core_->on_dataplane_down();
}

void Edge::on_bundle(const command::BundleEvent& event) {
    core_->on_bundle(event);
}

void Edge::on_mark(std::uint64_t store, std::int64_t watermark_ns) {
    core_->on_mark(store, watermark_ns);
}

void Edge::on_order(const command::OrderEvent& event) {
    core_->on_order(event);
}

void Edge::on_link(const command::LinkStatus& status) {
    links_.set_status(status);
    core_->on_link(status);
}

}  // namespace longhaul::control
