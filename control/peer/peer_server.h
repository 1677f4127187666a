// The mTLS server for other sites' control processes: a caller is the site its certificate names, and must be
// one of our configuration.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <set>
#include <string>

#include "control/config/config.h"
#include "control/core.h"
#include "control/http/server.h"
#include "control/peer/link_sessions.h"

namespace longhaul::control {

class PeerServer {
  public:
    // References must outlive the server.
    PeerServer(const ControlConfig& config, LinkSessions& sessions, Core& core);

    Result<std::uint16_t> start(const Endpoint& endpoint);
    void stop();

  private:
    void install();
    Reply session(const Call& call);
    Reply release_dataset(const Call& call);
    Reply accept_dataset(const Call& call);

    LinkSessions& sessions_;
    Core& core_;
    const std::set<std::string> sites_;
    bool tls_ready_ = false;
    std::unique_ptr<HttpServer> server_;
};

}  // namespace longhaul::control
