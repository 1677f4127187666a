// Blocks, heads and headers for the session's unit tests.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/congestion/controller.h"
#include "dataplane/session/receiver.h"
#include "dataplane/session/sender.h"

namespace longhaul::session::testing {

struct Pool {
    Pool(const Parameters& parameters, std::size_t blocks)
        : stride(BlockPool::stride_for(parameters.stripe_symbols, parameters.symbol_bytes, kParitySlots)),
          memory(static_cast<std::uint8_t*>(std::aligned_alloc(4096, stride * blocks)), &std::free),
          pool({memory.get(), stride * blocks}, stride) {}
    std::size_t stride;
    std::unique_ptr<std::uint8_t, decltype(&std::free)> memory;
    BlockPool pool;
};

// Small stripes: 4 symbols of 1024 bytes.
inline Parameters small_parameters(std::uint8_t lanes = 2) {
    Parameters parameters;
    parameters.symbol_bytes = 1024;
    parameters.stripe_symbols = 4;
    parameters.lanes = lanes;
    return parameters;
}

inline std::vector<std::uint8_t> head_for(std::uint64_t payload_bytes, std::uint64_t id = 1) {
    wire::Manifest manifest;
    manifest.id = {9, id};
    manifest.generation = 1;
    manifest.payload_bytes = payload_bytes;
    wire::Entry entry;
    entry.kind = payload_bytes > 0 ? wire::EntryKind::file : wire::EntryKind::directory;
    entry.path = "x";
    entry.size = payload_bytes;
    manifest.entries.push_back(entry);
    auto head = wire::write_manifest(manifest);
    LH_ASSERT(head.ok());
    return head.value();
}
inline std::vector<std::uint8_t> trailer_for(std::uint64_t id = 1) {
    wire::Trailer trailer;
    trailer.id = {9, id};
    trailer.generation = 1;
    trailer.verdicts.resize(1);
    return wire::write_trailer(trailer);
}

inline wire::Header symbol_header(std::uint64_t stripe, unsigned symbol, unsigned k, wire::Section section,
                                  bool first = false, std::uint32_t bundle = 1) {
    wire::Header header;
    header.type = symbol < wire::kDataSymbolsMax ? wire::PacketType::data : wire::PacketType::parity;
    header.flags = static_cast<std::uint8_t>(static_cast<unsigned>(section) << wire::Flags::section_shift |
                                             (first ? wire::Flags::first : 0));
    header.bundle = bundle;
    header.stripe = stripe;
    header.symbol = static_cast<std::uint8_t>(symbol);
    header.data_symbols = static_cast<std::uint8_t>(k);
    return header;
}

}  // namespace longhaul::session::testing
