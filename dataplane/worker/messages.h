// What the main thread tells a worker and what a worker tells the main thread. Plain values; ownership moves along.
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
};
struct CloseStore {
    std::uint64_t request = 0;
    storage::StoreNumber store = 0;
};
struct ConfigureLink {
    std::uint64_t request = 0;
    command::LinkSettings settings;
    std::size_t port = 0;  // index into the worker's ports
    wire::IpAddress local_ip, remote_ip;
};
struct RemoveLink {
    std::uint64_t request = 0;
    std::uint8_t link = 0;
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
};
struct OfferBundle {
    command::BundleOfferMessage offer;
    std::vector<std::uint8_t> head;
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

using Command = std::variant<OpenStore, CloseStore, ConfigureLink, RemoveLink, StartSession, OfferBundle,
                             CancelBundle, SettleStaged, Stop>;

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
struct LinkReport {
    command::LinkStatus status;
};
struct Counters {  // every second
    wire::DropCounters drops;
    storage::StorageStats storage;
    std::uint64_t loops = 0, busy_loops = 0, sleeps = 0;
    StageCycles busy_cycles{};  // of the time-stamp counter, by stage
    std::vector<nic::PortStats> ports;
    nic::Neighbours::Counters neighbours{};
};
struct LogLine {
    bool warning = false;
    std::string text;
};

using Event = std::variant<Answer, SourceBundle, TargetBundle, Mark, Ordered, LinkReport, Counters, LogLine>;

}  // namespace longhaul::worker
