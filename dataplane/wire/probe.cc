// PROBE's codec: eight bytes, padded in an ask. What the padding holds is nobody's concern; its length is.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/probe.h"

#include "dataplane/base/assert.h"

namespace longhaul::wire {
namespace {

constexpr std::uint8_t kAsk = 1, kAnswer = 2;

}  // namespace

std::size_t probe_bytes(const Probe& probe) noexcept {
    return probe.answer ? kProbeBytes : probe.symbol_bytes;
}

void write_probe(const Probe& probe, std::uint8_t* out) noexcept {
    LH_ASSERT(probe.symbol_bytes >= kProbeBytes);
    ByteWriter writer({out, kProbeBytes});
    writer.u32(probe.token);
    writer.u16(probe.symbol_bytes);
    writer.u8(probe.answer ? kAnswer : kAsk);
    writer.u8(0);
    LH_ASSERT(writer.ok() && writer.room() == 0);
    std::memset(out + kProbeBytes, 0, probe_bytes(probe) - kProbeBytes);
}

DropReason parse_probe(ByteView payload, Probe& out) noexcept {
    ByteReader reader(payload);
    Probe probe;
    probe.token = reader.u32();
    probe.symbol_bytes = reader.u16();
    const std::uint8_t kind = reader.u8(), reserved = reader.u8();
    probe.answer = kind == kAnswer;
    const bool sound = reader.ok() && reserved == 0 && (kind == kAsk || kind == kAnswer) &&
                       probe.symbol_bytes >= kProbeBytes && payload.size() == probe_bytes(probe);
    if (!sound) return DropReason::probe_malformed;
    out = probe;
    return DropReason::none;
}

}  // namespace longhaul::wire
