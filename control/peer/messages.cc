// Peer messages to and from JSON.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/messages.h"

#include <openssl/crypto.h>

#include <algorithm>

namespace longhaul::control {

using nlohmann::json;

namespace {

Error malformed(const std::string& field) {
    return Error{
        ErrorCode::protocol_error,
        "the field " + field + " is missing or of the wrong type: are both sites of the same version?"};
}

bool text_of(const json& object, const char* field, std::string& out) {
    const auto found = object.find(field);
    if (found == object.end() || !found->is_string()) return false;
    out = found->get<std::string>();
    return true;
}

constexpr std::size_t kReplicasMax = 10'000;
constexpr std::size_t kDatasetNameMax = 63;

// Absent from an older version: then nothing is known of either.
Result<void> read_clock_and_replicas(const json& document, PeerStatus& out) {
    if (!document.contains("received_ns")) return {};
    const auto time_of = [&](const char* field, std::int64_t& time) {
        const auto found = document.find(field);
        if (found == document.end() || !found->is_number_integer()) return false;
        time = found->get<std::int64_t>();
        return time > 0;
    };
    if (!time_of("received_ns", out.received)) return malformed("received_ns");
    if (!time_of("answered_ns", out.answered)) return malformed("answered_ns");
    const auto replicas = document.find("replicas");
    if (replicas == document.end() || !replicas->is_array() || replicas->size() > kReplicasMax)
        return malformed("replicas");
    for (const json& item : *replicas) {
        PeerReport::Claim claim;
        if (!item.is_object() || !text_of(item, "dataset", claim.dataset) ||
            claim.dataset.size() > kDatasetNameMax || !item.contains("store") ||
            !item["store"].is_number_unsigned() || !item.contains("w_pub_ns"))
            return malformed("replicas[]");
        claim.store = item["store"].get<std::uint64_t>();
        const json& watermark = item["w_pub_ns"];
        if (!watermark.is_null() && !watermark.is_number_integer()) return malformed("replicas[].w_pub_ns");
        if (!watermark.is_null()) claim.w_pub = watermark.get<std::int64_t>();
        out.replicas.push_back(std::move(claim));
    }
    return {};
}

}  // namespace

SessionRequest::~SessionRequest() {
    OPENSSL_cleanse(secret.data(), secret.size());
}

const PeerLink* PeerStatus::find(std::uint8_t link) const {
    const auto found = std::find_if(links.begin(), links.end(),
                                    [&](const PeerLink& one) { return one.settings.link == link; });
    return found == links.end() ? nullptr : &*found;
}

json peer_status_document(const PeerStatus& status) {
    json links = json::array();
    for (const PeerLink& link : status.links) {
        json settings;
        to_json(settings, link.settings);
        links.push_back(
            {{"settings", std::move(settings)}, {"session", link.session}, {"state", link.state}});
    }
    json replicas = json::array();
    for (const auto& replica : status.replicas)
        replicas.push_back({{"dataset", replica.dataset},
                            {"store", replica.store},
                            {"w_pub_ns", replica.w_pub ? json(*replica.w_pub) : json()}});
    return {{"site", status.site},
            {"boot_id", status.boot_id},
            {"received_ns", status.received},
            {"answered_ns", status.answered},
            {"replicas", std::move(replicas)},
            {"dataplane_reason", status.dataplane_reason},
            {"links", std::move(links)}};
}

Result<PeerStatus> peer_status_from(const json& document) {
    PeerStatus out;
    if (!text_of(document, "site", out.site)) return malformed("site");
    if (!text_of(document, "boot_id", out.boot_id)) return malformed("boot_id");
    if (!text_of(document, "dataplane_reason", out.dataplane_reason)) return malformed("dataplane_reason");
    const auto links = document.find("links");
    if (links == document.end() || !links->is_array() || links->size() > command::kLinksMax)
        return malformed("links");
    for (const json& item : *links) {
        PeerLink link;
        if (!item.is_object() || !text_of(item, "session", link.session) ||
            !text_of(item, "state", link.state) || !item.contains("settings"))
            return malformed("links[]");
        auto settings = command::link_settings_from(item["settings"]);
        if (!settings) return settings.error();
        link.settings = std::move(settings).value();
        out.links.push_back(std::move(link));
    }
    if (auto read = read_clock_and_replicas(document, out); !read) return read.error();
    return out;
}

json session_request_document(const SessionRequest& request) {
    json offer, settings;
    to_json(offer, request.offer);
    to_json(settings, request.settings);
    return {{"session", request.session},
            {"secret", command::hex(request.secret)},
            {"offer", std::move(offer)},
            {"settings", std::move(settings)}};
}

Result<SessionRequest> session_request_from(const json& document) {
    SessionRequest out;
    std::string secret;
    if (!text_of(document, "session", out.session)) return malformed("session");
    const auto id = command::unhex(out.session);
    if (!id || id.value().size() != 16) return malformed("session (32 hex digits)");
    if (!text_of(document, "secret", secret)) return malformed("secret");
    auto bytes = command::unhex(secret);
    OPENSSL_cleanse(secret.data(), secret.size());
    if (!bytes || bytes.value().size() != out.secret.size()) return malformed("secret (64 hex digits)");
    std::copy(bytes.value().begin(), bytes.value().end(), out.secret.begin());
    OPENSSL_cleanse(bytes.value().data(), bytes.value().size());
    if (!document.contains("offer") || !document.contains("settings")) return malformed("offer or settings");
    auto offer = command::link_offer_from(document["offer"]);
    if (!offer) return offer.error();
    out.offer = std::move(offer).value();
    auto settings = command::link_settings_from(document["settings"]);
    if (!settings) return settings.error();
    out.settings = std::move(settings).value();
    return out;
}

}  // namespace longhaul::control
