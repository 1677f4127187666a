// Routes of /peer/v1.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/peer_server.h"

#include <spdlog/spdlog.h>

#include <charconv>

#include "control/http/body.h"
#include "control/http/dataset_body.h"
#include "control/http/refusal.h"
#include "control/peer/tls.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

std::set<std::string> names_of(const std::vector<SiteConfig>& sites) {
    std::set<std::string> out;
    for (const SiteConfig& site : sites)
        out.insert(site.name);
    return out;
}

template <typename Number>
bool read_number(const std::string& text, Number& number) {  // false: it is something else, or more than that
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && stop == text.data() + text.size();
}

}  // namespace

PeerServer::PeerServer(const ControlConfig& config, LinkSessions& sessions, Core& core)
    : sessions_(sessions), core_(core), sites_(names_of(config.sites)) {
    auto tls_server = std::make_unique<httplib::SSLServer>([&](SSL_CTX& context) {
        tls_ready_ = tls::configure_server(context, config.pki);
        return tls_ready_;
    });
    server_ =
        std::make_unique<HttpServer>(std::move(tls_server), [this](Call& call) -> std::optional<Problem> {
            call.caller = tls::peer_site(call.request.ssl);
            if (sites_.contains(call.caller)) return std::nullopt;
            spdlog::warn("peer {} refused: its certificate speaks for \"{}\"", call.request.remote_addr,
                         call.caller);
            return Problem{
                403,
                "Unknown site",
                "your certificate speaks for " + in_quotes("site:" + call.caller) +
                    ", which is no [[site]] of this configuration: add it here, or use the right certificate",
                "unknown_site",
                {}};
        });
    install();
}

void PeerServer::install() {
    server_->add("GET", "/peer/v1/status", [this](const Call& call) {
        const auto received = core_.source_now();
        PeerStatus status = sessions_.status_for(call.caller);
        status.replicas = core_.claims_for(call.caller);
        status.received = received;
        status.answered = core_.source_now();
        return json_reply(peer_status_document(status));
    });
    server_->add("POST", "/peer/v1/links/{id}/session", [this](const Call& call) { return session(call); });
    server_->add("POST", "/peer/v1/datasets", [this](const Call& call) { return accept_dataset(call); });
    server_->add("DELETE", "/peer/v1/datasets/{name}/{store}",
                 [this](const Call& call) { return release_dataset(call); });
}

Reply PeerServer::release_dataset(const Call& call) {
    const std::string& text = call.arguments.at(1);
    std::uint64_t store = 0;
    if (!read_number(text, store))
        return problem_reply(
            {404, "Not found", in_quotes(text) + " is not a store's number", "not_found", {}});
    const auto result = core_.release_target(call.caller, call.arguments.at(0), store);
    return result ? no_content() : problem_reply(problem_of(result.error()));
}

Reply PeerServer::session(const Call& call) {
    const std::string& text = call.arguments.at(0);
    std::uint8_t link = 0;
    if (!read_number(text, link))
        return problem_reply({404, "Not found", in_quotes(text) + " is not a link number", "not_found", {}});
    auto body = parse_body(call.request.body);
    if (const auto* problem = std::get_if<Problem>(&body)) return problem_reply(*problem);
    const auto request = session_request_from(std::get<json>(body));
    if (!request) return problem_reply({400, "Invalid value", request.error().text, "invalid_field", {}});
    const auto offer = sessions_.respond(call.caller, link, request.value());
    if (!offer) return problem_reply(problem_of(offer.error()));
    json fields;
    to_json(fields, offer.value());
    return json_reply({{"offer", std::move(fields)}});
}

Reply PeerServer::accept_dataset(const Call& call) {
    auto body = parse_body(call.request.body);
    if (const auto* problem = std::get_if<Problem>(&body)) return problem_reply(*problem);
    const auto spec = dataset_spec_from(std::get<json>(body));
    if (const auto* problem = std::get_if<Problem>(&spec)) return problem_reply(*problem);
    const auto accepted = core_.accept_target(call.caller, std::get<DatasetSpec>(spec));
    if (!accepted) {
        core_.note(policy_refused("site:" + call.caller, std::get<DatasetSpec>(spec), accepted.error()));
        return problem_reply(problem_of(accepted.error()));
    }
    return json_reply({{"store", accepted.value().store}});
}

Result<std::uint16_t> PeerServer::start(const Endpoint& endpoint) {
    if (!tls_ready_)
        return Error{ErrorCode::invalid_argument,
                     "the [pki] files cannot be loaded: check ca, certificate and key"};
    return server_->start(endpoint);
}

void PeerServer::stop() {
    server_->stop();
}

}  // namespace longhaul::control
