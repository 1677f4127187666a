// What REST shows: views of the core and the edge as JSON. Times are RFC 3339 UTC, durations numbers of
// seconds, rates bit/s; what is not known is null, never 0.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "control/core.h"
#include "control/peer/link_book.h"
#include "control/peer/peer_client.h"

namespace longhaul::control {

nlohmann::json rpo_document(const RpoView& view);
nlohmann::json event_document(const Event& event);
nlohmann::json breach_document(const Breach& breach);
nlohmann::json dataset_view_document(const DatasetView& view);
nlohmann::json verify_document(const VerifyView& view);
nlohmann::json bundle_document(const BundleView& view);
nlohmann::json flow_document(const FlowView& view);
nlohmann::json plan_document(const Plan& plan);
nlohmann::json impact_document(const LinkImpact& impact);
nlohmann::json failure_document(const ObjectFailure& failure);
nlohmann::json stats_document(const CoreStats& stats);
nlohmann::json link_document(const LinkView& view);
nlohmann::json own_site_document(const std::string& name);
nlohmann::json site_document(const SiteConfig& site, const Reachability& reachability,
                             const std::vector<PeerClockView>& clocks);

}  // namespace longhaul::control
