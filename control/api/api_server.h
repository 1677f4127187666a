// REST for people and programs on this node: plain HTTP on loopback behind a bearer token. openapi.json
// describes it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/api/core_watch.h"
#include "control/api/events.h"
#include "control/api/wait.h"
#include "control/api/webhook.h"
#include "control/config/config.h"
#include "control/core.h"
#include "control/dataplane_client/dataplane_client.h"
#include "control/http/server.h"
#include "control/peer/link_book.h"
#include "control/peer/peer_client.h"

namespace longhaul::control {

std::string_view openapi_document();  // control/api/openapi.json, embedded at build

// What the API shows and steers; everything outlives the server.
struct ApiContext {
    const ControlConfig& config;
    Core& core;
    LinkBook& links;
    DataplaneClient& dataplane;
    std::vector<PeerClient*> peers;
    const Webhook* webhook = nullptr;  // nullptr: none is configured
};

class ApiServer {
  public:
    ApiServer(ApiContext context, std::string token);

    Result<std::uint16_t> start(const Endpoint& endpoint);  // refuses anything but loopback
    void stop();
    std::vector<std::pair<std::string, std::string>> routes() const { return server_.routes(); }

  private:
    void install_node_routes();
    void install_link_routes();
    void install_dataset_routes();
    Reply health() const;
    Reply metrics() const;
    Reply status() const;
    Reply change_link(const Call& call);
    Reply create_dataset(const Call& call);
    Reply plan_dataset(const Call& call);
    Reply link_impact(const Call& call) const;
    Reply change_dataset(const Call& call);
    Reply failures(const std::string& dataset) const;
    Reply wait(const Call& call);

    ApiContext context_;
    const std::string token_;
    const std::int64_t started_at_;
    CoreWatch watch_;
    EventStreams events_;
    FreshnessBarrier barrier_;
    HttpServer server_;
};

}  // namespace longhaul::control
