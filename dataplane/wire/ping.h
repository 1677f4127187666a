// PING: keeps a lane alive, tells the receiver how far the sender has come (so that a lost tail is noticed), and
// which bundle results the sender has taken note of (so that the receiver may forget them). 24 bytes of payload.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/wire/drop_reason.h"

namespace longhaul::wire {

struct Ping {
    std::uint64_t next_stripe = 0;    // u48: every stripe below has been sent at least once
    std::uint32_t settled_below = 1;  // bundle handles below: final result taken note of by the sender
    std::uint32_t echo_tx_time_us =
        0;  // newest tx_time seen from the peer on this lane, 0 with hold_us = ~0 if none
    std::uint32_t hold_us = ~std::uint32_t{0};  // how long ago that was
    bool operator==(const Ping&) const = default;
};

inline constexpr std::size_t kPingBytes = 24;  // u48, u32, u32, u32, 6 reserved zero bytes
void write_ping(const Ping& ping, std::uint8_t* out) noexcept;
DropReason parse_ping(ByteView payload, Ping& out) noexcept;

}  // namespace longhaul::wire
