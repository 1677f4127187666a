// PING's codec: fixed 24 bytes, the last six reserved and zero.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/ping.h"

#include "dataplane/base/assert.h"
#include "dataplane/wire/packet.h"

namespace longhaul::wire {

void write_ping(const Ping& ping, std::uint8_t* out) noexcept {
    LH_ASSERT(ping.next_stripe <= kStripeMax);
    ByteWriter writer({out, kPingBytes});
    writer.u48(ping.next_stripe);
    writer.u32(ping.settled_below);
    writer.u32(ping.echo_tx_time_us);
    writer.u32(ping.hold_us);
    writer.u48(0);
    LH_ASSERT(writer.ok() && writer.room() == 0);
}

DropReason parse_ping(ByteView payload, Ping& out) noexcept {
    if (payload.size() != kPingBytes) return DropReason::ping_malformed;
    ByteReader reader(payload);
    Ping ping;
    ping.next_stripe = reader.u48();
    ping.settled_below = reader.u32();
    ping.echo_tx_time_us = reader.u32();
    ping.hold_us = reader.u32();
    if (reader.u48() != 0) return DropReason::ping_malformed;
    out = ping;
    return DropReason::none;
}

}  // namespace longhaul::wire
