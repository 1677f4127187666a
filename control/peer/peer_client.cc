// One TLS connection a call: calls are rare, and a fresh handshake checks the far end's certificate every
// time.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/peer_client.h"

#include <httplib.h>

#include "control/config/dataset_document.h"
#include "control/dataplane_client/waiter.h"
#include "control/http/problem.h"
#include "control/peer/tls.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

WallNs wall_now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string why(httplib::Error error, long verify_result) {
    switch (error) {
        case httplib::Error::Connection:
        case httplib::Error::ConnectionTimeout:
            return "no connection: check peer_url, and that longhaul-control runs there with that "
                   "peer_listen";
        case httplib::Error::SSLConnection:
            return std::string(
                       "TLS failed: check that both sites' certificates come from the same CA and are "
                       "valid") +
                   (verify_result == X509_V_OK
                        ? ""
                        : std::string(" (") + X509_verify_cert_error_string(verify_result) + ")");
        case httplib::Error::Read:
            return "no answer within 5 s, or it does not accept our certificate";
        default:
            return httplib::to_string(error);
    }
}

}  // namespace

PeerClient::PeerClient(PkiConfig pki, SiteConfig site)
    : pki_(std::move(pki)), site_(std::move(site)), url_(parse_url(site_.peer_url).value()) {
    reachability_.reason = "not asked yet";
}

Reachability PeerClient::reachability() const {
    const std::lock_guard lock(mutex_);
    return reachability_;
}

Result<json> PeerClient::call(const std::function<httplib::Result(httplib::SSLClient&)>& send) {
    httplib::SSLClient client(url_.endpoint.host, url_.endpoint.port);
    client.enable_server_certificate_verification(
        false);  // the library's check is by host name; ours is in the context
    if (!client.ssl_context() || !tls::configure_client(*client.ssl_context(), pki_, site_.name))
        return Error{ErrorCode::io_error, "the [pki] files cannot be loaded: check ca, certificate and key"};
    client.set_connection_timeout(kConnectTimeoutS);
    client.set_read_timeout(kAnswerTimeoutS);
    client.set_write_timeout(kAnswerTimeoutS);
    const httplib::Result result = send(client);
    const std::string who = "site " + site_.name + " at " + site_.peer_url;
    {
        const std::lock_guard lock(mutex_);
        reachability_.reachable = static_cast<bool>(result);
        reachability_.reason = result ? "" : why(result.error(), client.get_openssl_verify_result());
        if (result) reachability_.last_seen = wall_now();
        if (!result) return Error{ErrorCode::unavailable, who + ": " + reachability_.reason};
    }
    if (result->status < 200 || result->status > 299) {
        Error error = error_of(result->status, result->body);
        error.text = "site " + site_.name + " refused: " + error.text;
        return error;
    }
    if (result->status == 204) return json();
    json document = json::parse(result->body, nullptr, false);
    if (document.is_object()) return document;
    return Error{ErrorCode::protocol_error,
                 who + " answered something that is not a JSON object: is it longhaul-control?"};
}

Result<PeerStatus> PeerClient::status() {
    PeerReport report;
    const auto document = call([&](httplib::SSLClient& client) {
        // The clock is measured on a connection that stands: a handshake on the way out would make it vague.
        client.set_keep_alive(true);
        auto first = client.Get("/peer/v1/status");
        if (!first || !clock_) return first;
        report.asked = clock_();
        auto second = client.Get("/peer/v1/status");
        report.heard = clock_();
        return second;
    });
    if (!document) return document.error();
    auto status = peer_status_from(document.value());
    if (status && hear_ && status.value().received > 0) {
        report.received = status.value().received;
        report.answered = status.value().answered;
        report.claims = status.value().replicas;
        hear_(site_.name, report);
    }
    return status;
}

Result<command::LinkOffer> PeerClient::start_session(std::uint8_t link, const SessionRequest& request) {
    json fields = session_request_document(request);
    std::string body = fields.dump();
    wipe(fields["secret"].get_ref<std::string&>());
    const auto document = call([&](httplib::SSLClient& client) {
        return client.Post("/peer/v1/links/" + std::to_string(link) + "/session", body, "application/json");
    });
    wipe(body);
    if (!document) return document.error();
    if (!document.value().contains("offer"))
        return Error{ErrorCode::protocol_error, "site " + site_.name + " answered without an offer"};
    return command::link_offer_from(document.value()["offer"]);
}

Result<TargetAccepted> PeerClient::accept_dataset(const DatasetSpec& spec) {
    const auto document = call([&](httplib::SSLClient& client) {
        return client.Post("/peer/v1/datasets",
                           dataset_document(spec).dump(-1, ' ', false, json::error_handler_t::replace),
                           "application/json");
    });
    if (!document) return document.error();
    const auto store = document.value().find("store");
    if (store == document.value().end() || !store->is_number_unsigned())
        return Error{ErrorCode::protocol_error, "site " + site_.name + " answered without a store number"};
    return TargetAccepted{store->get<std::uint64_t>()};
}

Result<void> PeerClient::release_dataset(const std::string& name, std::uint64_t store) {
    const std::string path = "/peer/v1/datasets/" + name + "/" + std::to_string(store);
    const auto document = call([&](httplib::SSLClient& client) { return client.Delete(path); });
    if (!document) return document.error();
    return {};
}

}  // namespace longhaul::control
