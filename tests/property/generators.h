// Random but valid values of everything that travels, and random damage to their bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "dataplane/wire/attributes.h"
#include "dataplane/wire/feedback.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/manifest.h"
#include "dataplane/wire/packet.h"
#include "dataplane/wire/ping.h"

namespace longhaul::property {

using Bytes = std::vector<std::uint8_t>;

// Any value of T, edges included; rapidcheck's own integers stay small for small test sizes.
template <typename T>
T any() {
    return static_cast<T>(*rc::gen::resize(1000, rc::gen::arbitrary<std::uint64_t>()));
}
// Uniform in [0, bound).
inline std::uint64_t below(std::uint64_t bound) {
    return any<std::uint64_t>() % bound;
}

inline Bytes bytes_of(std::size_t count) {
    return *rc::gen::container<Bytes>(count, rc::gen::arbitrary<std::uint8_t>());
}

inline wire::Header header() {
    wire::Header header;
    header.type = static_cast<wire::PacketType>(1 + below(5));
    header.flags = static_cast<std::uint8_t>(below(64)) &
                   (wire::Flags::key_phase | wire::Flags::ack_now | wire::Flags::again);
    header.path = any<std::uint8_t>();
    header.lane = any<std::uint8_t>();
    header.spi = any<std::uint32_t>();
    header.packet_number = any<std::uint64_t>();
    header.tx_time_us = any<std::uint32_t>();
    const bool data = header.type == wire::PacketType::data;
    if (!data && header.type != wire::PacketType::parity) return header;
    header.flags |= static_cast<std::uint8_t>(below(3) << wire::Flags::section_shift);
    if (below(2) == 0) header.flags |= wire::Flags::first;
    header.bundle = std::max<std::uint32_t>(any<std::uint32_t>(), 1);
    header.stripe = below(wire::kStripeMax + 1);
    header.data_symbols = static_cast<std::uint8_t>(1 + below(wire::kDataSymbolsMax));
    header.symbol = static_cast<std::uint8_t>(data ? below(header.data_symbols) : 128 + below(128));
    return header;
}

inline wire::Ping ping() {
    return {below(wire::kStripeMax + 1), any<std::uint32_t>(), any<std::uint32_t>(), any<std::uint32_t>()};
}

inline wire::FailReason fail_reason() {
    auto reason = static_cast<wire::FailReason>(below(64));
    while (!wire::is_known(reason))
        reason = static_cast<wire::FailReason>(static_cast<unsigned>(reason) - 1);
    return reason;
}

inline wire::Feedback feedback() {
    wire::Feedback feedback;
    feedback.sequence = any<std::uint32_t>();
    feedback.complete_below = below(wire::kStripeMax + 1);
    feedback.stripe_limit = below(wire::kStripeMax + 1);
    feedback.loss_events = any<std::uint32_t>();
    feedback.decoded_from = below(wire::kStripeMax + 1);
    feedback.decoded.resize(below(wire::kDecodedWordsMax + 1));
    for (auto& word : feedback.decoded)
        word = any<std::uint64_t>();
    feedback.lanes.resize(below(9));
    for (auto& lane : feedback.lanes) {
        lane = {static_cast<std::uint8_t>(below(wire::kLanesMax)),
                any<std::uint64_t>(),
                any<std::uint32_t>(),
                any<std::uint32_t>(),
                any<std::uint64_t>(),
                any<std::uint64_t>(),
                any<std::int32_t>()};
    }
    feedback.nacks.resize(below(wire::kNacksMax + 1));
    for (auto& nack : feedback.nacks) {
        const auto need = static_cast<std::uint8_t>(below(129));
        nack = {below(wire::kStripeMax + 1),
                need == 0 ? wire::kNeedUnknown : need,
                any<std::uint8_t>(),
                {any<std::uint64_t>(), any<std::uint64_t>()}};
    }
    feedback.bundles.resize(below(5));
    for (auto& status : feedback.bundles) {
        status.bundle = any<std::uint32_t>();
        status.stage = static_cast<wire::Stage>(1 + below(4));
        status.reason = fail_reason();
        status.failures.resize(below(wire::kFailuresListed + 1));
        for (auto& failure : status.failures)
            failure = {any<std::uint32_t>(), fail_reason()};
        status.failed_entries =
            std::max(any<std::uint32_t>(), static_cast<std::uint32_t>(status.failures.size()));
    }
    return feedback;
}

inline std::string path() {
    std::string path;
    const std::size_t names = 1 + below(4);
    for (std::size_t i = 0; i < names; ++i) {
        if (i > 0) path += '/';
        path += 'n';
        for (std::size_t left = below(12); left > 0; --left) {
            const char byte = static_cast<char>(any<std::uint8_t>());
            if (byte != '/' && byte != '\0') path += byte;
        }
    }
    return path;
}

inline std::string attributes(bool directory) {
    std::vector<wire::Attribute> some;
    for (std::size_t left = below(4); left > 0; --left)
        some.push_back({"user." + std::to_string(left) + static_cast<char>(1 + below(255)),
                        std::string(below(40), static_cast<char>(any<std::uint8_t>()))});
    if (below(2) == 0) some.push_back({"system.posix_acl_access", "access"});
    if (directory && below(2) == 0) some.push_back({"system.posix_acl_default", "default"});
    return wire::write_attributes(std::move(some));
}

// Entries with payload are laid one behind the other from `place`, aligned when they must be.
inline wire::Entry entry(std::uint64_t& place) {
    wire::Entry entry;
    entry.kind = static_cast<wire::EntryKind>(1 + below(10));
    entry.mode = static_cast<std::uint32_t>(below(010000));
    entry.uid = any<std::uint32_t>();
    entry.gid = any<std::uint32_t>();
    entry.mtime_ns = any<std::int64_t>();
    entry.ctime_ns = any<std::int64_t>();
    entry.size = below(std::uint64_t{1} << 63);
    if (entry.kind != wire::EntryKind::mark) entry.path = path();
    if (entry.kind == wire::EntryKind::symlink) entry.target = "../" + path();
    if (entry.kind == wire::EntryKind::link) entry.target = path() + "/other";
    const bool bare = entry.kind == wire::EntryKind::symlink || entry.kind == wire::EntryKind::remove ||
                      entry.kind == wire::EntryKind::mark || entry.kind == wire::EntryKind::verify;
    if (!bare)
        entry.attributes =
            attributes(entry.kind == wire::EntryKind::directory || entry.kind == wire::EntryKind::metadata);
    const bool range = entry.kind == wire::EntryKind::range;
    if (range || entry.kind == wire::EntryKind::assemble)
        entry.object = {any<std::uint64_t>(), any<std::uint64_t>() | 1};
    if (entry.kind == wire::EntryKind::assemble) entry.file_size = below(entry.size + 1);
    if (entry.kind == wire::EntryKind::verify) {
        entry.compared =
            std::array{wire::EntryKind::file, wire::EntryKind::directory, wire::EntryKind::symlink}[below(3)];
        const bool file = entry.compared == wire::EntryKind::file;
        entry.file_size = file ? entry.size : 0;
        const bool directory = entry.compared == wire::EntryKind::directory;
        entry.size = directory ? below(2) : below(entry.file_size + 1);
        if (wire::compares_names(entry) && below(4) == 0) entry.path.clear();
        if (entry.compared == wire::EntryKind::symlink)
            entry.target = "../" + path();
        else
            entry.attributes_digest = any<std::uint64_t>();
    }
    if (!range && entry.kind != wire::EntryKind::file) return entry;
    entry.size = below(4) == 0 ? below(1 << 20) : below(5000);
    const bool direct = entry.size >= wire::kDirectBytesMin;
    if (direct)
        place = (place + wire::kDirectAlignment - 1) / wire::kDirectAlignment * wire::kDirectAlignment;
    entry.payload_offset = place;
    place += entry.size;
    if (range) {
        entry.file_offset = below(std::uint64_t{1} << 50) * (direct ? wire::kDirectAlignment : 1);
        entry.file_size = entry.file_offset + entry.size + below(1000);
    }
    return entry;
}

inline wire::Manifest manifest() {
    wire::Manifest manifest;
    manifest.id = {any<std::uint64_t>(), any<std::uint64_t>()};
    manifest.generation = any<std::uint32_t>();
    manifest.store = any<std::uint64_t>();
    std::uint64_t place = 0;
    const std::size_t entries = below(12);
    for (std::size_t i = 0; i < entries; ++i)
        manifest.entries.push_back(entry(place));
    manifest.payload_bytes = place + below(100);
    return manifest;
}

inline wire::Trailer trailer() {
    wire::Trailer trailer{{any<std::uint64_t>(), any<std::uint64_t>()}, any<std::uint32_t>(), {}};
    trailer.verdicts.resize(below(40));
    for (auto& verdict : trailer.verdicts)
        verdict = {fail_reason(), any<std::uint32_t>()};
    return trailer;
}

inline wire::UdpTuple udp_tuple() {
    wire::UdpTuple tuple;
    for (auto& byte : tuple.source_mac)
        byte = any<std::uint8_t>();
    for (auto& byte : tuple.target_mac)
        byte = any<std::uint8_t>();
    const bool v6 = below(2) == 0;
    for (wire::IpAddress* address : {&tuple.source_ip, &tuple.target_ip}) {
        address->v6 = v6;
        std::for_each_n(address->bytes.begin(), v6 ? 16 : 4,
                        [](std::uint8_t& byte) { byte = any<std::uint8_t>(); });
    }
    tuple.source_port = any<std::uint16_t>();
    tuple.target_port = any<std::uint16_t>();
    tuple.traffic_class = any<std::uint8_t>();
    tuple.hop_limit = any<std::uint8_t>();
    tuple.vlan = static_cast<std::uint16_t>(below(2) == 0 ? 0 : below(4096));
    return tuple;
}

// One to four wounds: a bit flipped, a byte set to an edge value, the end cut off, a byte inserted.
inline Bytes damaged(Bytes bytes) {
    for (std::size_t wounds = 1 + below(4); wounds > 0; --wounds) {
        const std::size_t at = bytes.empty() ? 0 : below(bytes.size());
        switch (bytes.empty() ? 3 : below(4)) {
            case 0:
                bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ 1 << below(8));
                break;
            case 1:
                bytes[at] = below(2) == 0 ? 0x00 : 0xff;
                break;
            case 2:
                bytes.resize(at);
                break;
            default:
                bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), any<std::uint8_t>());
        }
    }
    return bytes;
}

}  // namespace longhaul::property
