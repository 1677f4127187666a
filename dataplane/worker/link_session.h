// Everything of a link that dies with its keys: lanes, sender, receiver, the readers and writers of bundles under way.
// A new session is a new object, so nothing of an old one can leak into it. Owned by one worker.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/session/arrival_book.h"
#include "dataplane/session/path_probe.h"
#include "dataplane/session/receiver.h"
#include "dataplane/session/sender.h"
#include "dataplane/worker/messages.h"
#include "drivers/crypto/aead.h"
#include "drivers/storage/storage.h"

namespace longhaul::worker {

inline constexpr unsigned kGroupsMax = 16;  // lane groups of a link, and workers of a process

struct Lane {
    std::unique_ptr<crypto::LaneSealer> sealer;
    std::unique_ptr<crypto::LaneOpener> opener;
    std::uint32_t receive_spi = 0;
    wire::UdpTuple tuple;  // our direction; MACs are filled in when the neighbour is known
    wire::UdpFrame frame;  // of the tuple
};

// What a storage event is about. Packed into the 64-bit token that travels through the ring.
struct Token {
    enum class Kind : std::uint8_t { read = 1, write = 2, finish = 3, verify = 4 };
    std::uint8_t link = 0;
    std::uint8_t group = 0;  // < kGroupsMax
    Kind kind = Kind::read;
    std::uint16_t epoch = 0;  // of the session: events of an older one are ignored
    std::uint32_t value = 0;  // block index, or bundle handle for finish and verify

    std::uint64_t packed() const noexcept {
        return std::uint64_t{link} << 56 | std::uint64_t{group} << 52 |
               std::uint64_t{static_cast<std::uint8_t>(kind)} << 48 | std::uint64_t{epoch} << 32 | value;
    }
    static Token unpack(std::uint64_t packed) noexcept {
        return {static_cast<std::uint8_t>(packed >> 56), static_cast<std::uint8_t>(packed >> 52 & 0xf),
                static_cast<Kind>(packed >> 48 & 0xf), static_cast<std::uint16_t>(packed >> 32),
                static_cast<std::uint32_t>(packed)};
    }
};

// A bundle that leaves from here: what control offered, and its reader while this session sends it.
struct OutgoingBundle {
    command::BundleOfferMessage offer;
    std::vector<std::uint8_t> head;
    wire::Manifest manifest;
    std::uint64_t order = 0;  // of offer: a new session keeps it
};

class LinkSession {
  public:
    LinkSession(std::string session_id, unsigned session_worker, std::uint16_t session_epoch,
                const session::SenderConfig& sender_config, const session::ReceiverConfig& receiver_config,
                const fec::Codec& codec, session::BlockPool& send_pool, session::BlockPool& receive_pool,
                std::unique_ptr<congestion::Controller> controller,
                const session::PathProbeConfig& probe_config, TimeNs now)
        : id(std::move(session_id)),
          worker(static_cast<std::uint8_t>(session_worker)),
          epoch(session_epoch),
          sender(sender_config, codec, send_pool, std::move(controller), now),
          receiver(receiver_config, codec, receive_pool, now),
          probe(probe_config, now),
          parameters(sender_config.parameters) {}

    const std::string id;
    const std::uint8_t worker;
    const std::uint16_t epoch;  // counted by the worker, over all its links
    session::Sender sender;
    session::Receiver receiver;
    session::PathProbe probe;
    struct Answer {
        wire::Probe probe;
        std::uint8_t lane = 0;
    };
    std::vector<Answer> answers;  // to the peer's probes, not yet sent; bounded by kProbeAnswersMax
    TimeNs next_path_look = 0;
    session::Parameters parameters;
    bool heard = false;  // an authenticated packet has come
    std::vector<Lane> lanes;
    unsigned first_lane = 0;  // of the link

    struct Reading {
        wire::BundleId id;
        std::unique_ptr<storage::BundleReader> reader;
        std::uint32_t reads_open = 0;
        bool verifies = false;  // something is read only to be compared, before its trailer is made
        bool settled = false;   // ends with its last read: until then that holds a block
    };
    struct Writing {
        session::ArrivalBook::Key key;
        wire::BundleId id;
        std::uint32_t generation = 0;
        std::unique_ptr<storage::BundleWriter> writer;
        std::uint32_t writes_open = 0;
        bool stopped = false;       // ends with its last write: until then that borrows a block
        command::OrderEvent order;  // place {0, 0}: published when durable; a position {0, 0}: not staged yet
        bool staged = false;        // flushed, waits for control
    };
    // Declared after sender and receiver: destroyed first, so no read or write touches a block that went back.
    std::unordered_map<std::uint32_t, Reading> readings;  // by handle
    std::unordered_map<std::uint32_t, Writing> writings;  // by handle

    struct WaitingHead {  // for the end of another writer of the same bundle
        std::uint32_t bundle = 0;
        wire::Manifest manifest;
    };
    std::vector<WaitingHead> waiting_heads;
    session::ArrivalBook::Holder holder(std::uint32_t bundle) const noexcept {
        return (std::uint64_t{worker} + 1) << 48 | std::uint64_t{epoch} << 32 | bundle;
    }
};

}  // namespace longhaul::worker
