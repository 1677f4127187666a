// What the main thread tells a worker and what a worker tells the main thread. Plain values; ownership moves along.
// A link's lanes are split into groups; each group has a session of its own and one worker that owns it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/command/messages.h"
#include "dataplane/session/parameters.h"
#include "dataplane/wire/drop_reason.h"
#include "dataplane/worker/stage_clock.h"
#include "drivers/crypto/secret.h"
#include "drivers/nic/nic.h"
#include "drivers/storage/storage.h"

namespace longhaul::worker {

// ---- main thread -> worker. `request` is answered by an Answer with the same number. -------------------------------

struct OpenStore {
    std::uint64_t request = 0;
    storage::StoreNumber store = 0;
    std::string directory;
    storage::StoreRole role = storage::StoreRole::source;
    bool marked = false;  // Storage::open_store
};
struct CloseStore {
    std::uint64_t request = 0;
    storage::StoreNumber store = 0;
};
// A lane group of a link: made, or changed while it runs. Its rate changes by SetShare only.
struct ConfigureLink {
    std::uint64_t request = 0;
    command::LinkSettings settings;
    std::uint8_t group = 0;
    unsigned part = 0, parts = 1;  // which part of the link's memory on this worker is the group's
    unsigned groups = 1;           // of the link, on all workers
    std::uint64_t share_bps = 0;   // of a new group; 0: the link's whole rate
    std::size_t port = 0;          // index into the worker's ports
    wire::IpAddress local_ip, remote_ip;
};
struct RemoveLink {
    std::uint64_t request = 0;
    std::uint8_t link = 0;
    std::uint8_t group = 0;
    bool give_back = false;  // bundles that have not settled come back instead of failing
};
// Before a new session: every group's present one ends, and this is where the new one's other lanes live. To all workers.
struct PrepareSession {
    std::uint64_t request = 0;
    std::uint8_t link = 0;
    struct OtherLane {
        std::uint32_t spi = 0;
        std::uint8_t worker = 0;
    };
    std::vector<OtherLane> elsewhere;
};
struct SetShare {  // confirmed by a ShareTaken
    std::uint8_t link = 0;
    std::uint8_t group = 0;
    std::uint64_t rate_bps = 0;
};
// To worker 0, which alone speaks ARP and NDP: find this neighbour, and tell of every change. No address: no longer.
struct WatchNeighbour {
    std::uint8_t link = 0;
    std::size_t port = 0;
    std::optional<wire::IpAddress> ip;
};
struct SetNeighbour {  // to the others
    std::uint8_t link = 0;
    std::optional<wire::MacAddress> mac;
};
struct LaneKeys {
    std::uint32_t transmit_spi = 0, receive_spi = 0;
    crypto::LaneSecret transmit, receive;
};
struct StartSession {
    std::uint64_t request = 0;
    std::uint8_t link = 0;
    std::string session;
    session::Parameters parameters;
    std::vector<LaneKeys> lanes;
    std::uint8_t group = 0;
    unsigned first_lane = 0;              // of the link; the group's lanes are numbered from 0
    std::uint16_t path_symbol_bytes = 0;  // what the link's groups have found the path to carry; 0: no limit
};
struct OfferBundle {
    command::BundleOfferMessage offer;
    std::vector<std::uint8_t> head;
    std::uint8_t group = 0;
};
// Its newer generation has gone to another worker: what is older than that leaves no more from here.
struct TakeBackBundle {
    wire::BundleId id;
    std::uint32_t below_generation = 0;
};
struct CancelBundle {
    wire::BundleId id;
};
struct SettleStaged {  // target side: of a bundle published in order
    std::uint8_t link = 0;
    wire::BundleId id;
    std::uint32_t generation = 0;
    bool publish = true;  // false: discard
};
struct Stop {};

using Command =
    std::variant<OpenStore, CloseStore, ConfigureLink, RemoveLink, PrepareSession, StartSession, SetShare,
                 WatchNeighbour, SetNeighbour, OfferBundle, TakeBackBundle, CancelBundle, SettleStaged, Stop>;

// ---- worker -> main thread ------------------------------------------------------------------------------------------

struct Answer {
    std::uint64_t request = 0;
    std::optional<Error> error;
};
struct SourceBundle {  // a bundle offered here reached a stage at its target
    command::BundleEvent event;
};
struct TargetBundle {  // a bundle arriving here reached a stage
    command::BundleEvent event;
};
struct Mark {
    storage::StoreNumber store = 0;
    std::int64_t watermark_ns = 0;
};
struct Ordered {  // a bundle arriving here that is published in order
    command::OrderEvent event;
};
struct LinkReport {  // of one lane group
    command::LinkStatus status;
    std::uint8_t group = 0;
};
struct GroupLoad {  // it begins to have something to send, or has run dry
    std::uint8_t link = 0;
    std::uint8_t group = 0;
    bool busy = false;
};
struct ShareTaken {  // paces at this rate from here on
    std::uint8_t link = 0;
    std::uint8_t group = 0;
    std::uint64_t rate_bps = 0;
};
struct ReturnedBundle {  // RemoveLink asked for it
    OfferBundle offer;
};
struct NeighbourChange {
    std::uint8_t link = 0;
    std::optional<wire::MacAddress> mac;
};
struct WorkDone {  // how the work is divided among the workers
    std::uint64_t opened_packets = 0, sealed_packets = 0;
    std::uint64_t handed_over = 0,
                  taken_over = 0;  // received for another worker; by another worker for this one
    std::uint64_t relayed = 0;     // built by another worker for a queue of this one
};
struct Counters {  // every second
    wire::DropCounters drops;
    storage::StorageStats storage;
    std::uint64_t loops = 0, busy_loops = 0, sleeps = 0;
    StageCycles busy_cycles{};  // of the time-stamp counter, by stage
    std::vector<nic::PortStats> ports;
    nic::Neighbours::Counters neighbours{};
    WorkDone work;
};
struct LogLine {
    bool warning = false;
    std::string text;
};

using Event = std::variant<Answer, SourceBundle, TargetBundle, Mark, Ordered, LinkReport, GroupLoad,
                           ShareTaken, ReturnedBundle, NeighbourChange, Counters, LogLine>;

}  // namespace longhaul::worker
