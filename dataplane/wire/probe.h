// PROBE: does a packet of this length come through? An ask is as long as a data packet with symbols of the size it
// names; the answer is short. For path MTU discovery (RFC 8899); losing one says nothing about congestion.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/wire/drop_reason.h"

namespace longhaul::wire {

struct Probe {
    std::uint32_t token = 0;         // the asker's; comes back with the answer
    std::uint16_t symbol_bytes = 0;  // that a packet of this length would carry
    bool answer = false;
    bool operator==(const Probe&) const = default;
};

inline constexpr std::size_t kProbeBytes =
    8;  // u32, u16, u8 kind (1 ask, 2 answer), u8 zero; an ask is padded with zeros
std::size_t probe_bytes(
    const Probe& probe) noexcept;  // of the whole payload: kProbeBytes, or symbol_bytes for an ask
// Writes probe_bytes(); symbol_bytes >= kProbeBytes.
void write_probe(const Probe& probe, std::uint8_t* out) noexcept;
DropReason parse_probe(ByteView payload, Probe& out) noexcept;

}  // namespace longhaul::wire
