// What both ends of a link session agree on before the first packet.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/base/time.h"
#include "dataplane/fec/codec.h"
#include "dataplane/wire/packet.h"

namespace longhaul::session {

inline constexpr unsigned kParitySlots = fec::kErasuresMax;

struct Parameters {
    std::uint16_t symbol_bytes = 1408;  // multiple of 64, the same for both directions
    std::uint8_t stripe_symbols =
        64;                  // k of a full stripe; stripe_symbols * symbol_bytes is a multiple of 4096
    std::uint8_t lanes = 4;  // 1..kLanesMax
    std::uint8_t path = 0;   // the link's number at both ends
    std::uint32_t frame_overhead_bytes =
        46;  // Ethernet + IP + UDP headers + FCS, charged by the pacer per packet

    std::size_t stripe_bytes() const noexcept { return std::size_t{stripe_symbols} * symbol_bytes; }
    std::size_t wire_bytes(std::size_t payload) const noexcept {
        return payload + wire::kHeaderBytes + wire::kTagBytes + frame_overhead_bytes;
    }
};

}  // namespace longhaul::session
