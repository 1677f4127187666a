// What the control processes of two sites say to each other over mutual TLS, under /peer/v1.
//
//   GET    /peer/v1/status               PeerStatus: only the links toward the asking site, the replicas of its
//                                        datasets, and this site's clock
//   POST   /peer/v1/links/{id}/session   SessionRequest, answered with our LinkOffer: only the initiator may
//   POST   /peer/v1/datasets             a dataset specification whose target is here, answered with the store's number
//   DELETE /peer/v1/datasets/{name}/{store}   this replica of the asking site's dataset ends here
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/core.h"
#include "dataplane/base/result.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

struct PeerLink {
    command::LinkSettings settings;
    std::string session;  // empty: none
    std::string state;
};
struct PeerStatus {
    std::string site;
    std::string boot_id;           // of its dataplane; empty: down
    std::string dataplane_reason;  // why it is down
    std::vector<PeerLink> links;
    std::int64_t received = 0, answered = 0;  // its clock; 0: it does not tell
    std::vector<PeerReport::Claim> replicas;  // of the asking site's datasets
    const PeerLink* find(std::uint8_t link) const;
};
nlohmann::json peer_status_document(const PeerStatus& status);
Result<PeerStatus> peer_status_from(const nlohmann::json& document);

struct SessionRequest {
    std::string session;  // 32 hex digits
    std::array<std::uint8_t, 32> secret{};
    command::LinkOffer offer;        // the initiator's
    command::LinkSettings settings;  // the initiator's, to be cross-checked
    SessionRequest() = default;
    SessionRequest(const SessionRequest&) = default;
    SessionRequest& operator=(const SessionRequest&) = default;
    ~SessionRequest();  // wipes the secret
};
nlohmann::json session_request_document(const SessionRequest& request);  // wipe its "secret" after use
Result<SessionRequest> session_request_from(const nlohmann::json& document);

}  // namespace longhaul::control
