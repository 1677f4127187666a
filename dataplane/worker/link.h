// A link as one worker knows it: what survives its sessions. Bundles offered here stay until they settle, whatever
// happens to the keys: a new session offers them again by id.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>

#include "dataplane/session/block_pool.h"
#include "dataplane/worker/link_session.h"

namespace longhaul::worker {

struct Link {
    command::LinkSettings settings;
    std::size_t port = 0;
    wire::IpAddress local_ip, remote_ip;
    session::BlockPool* send_pool = nullptr;  // this link's share of the arena
    session::BlockPool* receive_pool = nullptr;
    std::size_t slot = 0;  // which share
    std::unique_ptr<LinkSession> session;
    std::map<wire::BundleId, OutgoingBundle> outgoing;
    std::deque<wire::BundleId> waiting;  // in `outgoing`, not yet offered to this session's sender
    bool neighbour_known = false;
    std::uint16_t path_symbol_bytes = 0;  // what probes found the path to carry; 0: as much as the port
    command::LinkState state = command::LinkState::idle;
    command::LinkState reported = command::LinkState::unconfigured;
    TimeNs next_report = 0;
};

}  // namespace longhaul::worker
