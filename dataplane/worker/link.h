// One lane group of a link, as the worker that owns it knows it: what survives its sessions. Bundles offered here stay
// until they settle, whatever happens to the keys: a new session offers them again by id.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "dataplane/session/block_pool.h"
#include "dataplane/worker/link_session.h"

namespace longhaul::worker {

struct Link {
    command::LinkSettings settings;  // the rate is the group's share
    std::uint8_t group = 0;
    unsigned groups = 1;  // of the link, on all workers
    std::size_t port = 0;
    wire::IpAddress local_ip, remote_ip;
    std::unique_ptr<session::BlockPool> send_pool;  // this group's share of the arena
    std::unique_ptr<session::BlockPool> receive_pool;
    std::size_t slot = 0;                       // of the link in this worker's arena
    unsigned parts = 1;                         // groups that share the slot
    std::uint32_t read_ahead_blocks = 0;        // part of send_pool
    std::optional<wire::MacAddress> neighbour;  // as worker 0 found it; worker 0 itself asks its own table
    bool load_told = false;                     // what the main thread takes this group to be: busy or not
    TimeNs busy_at = 0;
    std::unique_ptr<LinkSession> session;
    std::map<wire::BundleId, OutgoingBundle> outgoing;
    std::deque<wire::BundleId> waiting;  // in `outgoing`, not yet offered to this session's sender
    bool neighbour_known = false;
    std::uint16_t path_symbol_bytes = 0;  // what probes found the path to carry; 0: as much as the port
    command::LinkState state = command::LinkState::idle;
    command::LinkState reported = command::LinkState::unconfigured;
    bool answering = false, answering_reported = false;
    TimeNs next_report = 0, next_lane_look = 0;
};

// The manifest of an offer; what is wrong with the offer, in words, where it contradicts its own head.
Result<wire::Manifest> manifest_of(const command::BundleOfferMessage& offer, ByteView head);

// What a stage of a bundle is told as.
command::BundleEvent event_of(const wire::BundleId& id, std::uint32_t generation, std::uint8_t link,
                              const wire::BundleStatus& status);

}  // namespace longhaul::worker
