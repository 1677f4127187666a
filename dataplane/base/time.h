// Time as an argument: monotonic nanoseconds since an arbitrary start, handed down by the worker or the simulator.
// Nothing below `worker` reads a clock.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longhaul {

using TimeNs = std::uint64_t;
__extension__ typedef unsigned __int128 Uint128;  // a compiler extension that both compilers have

inline constexpr TimeNs kMicrosecond = 1'000;
inline constexpr TimeNs kMillisecond = 1'000'000;
inline constexpr TimeNs kSecond = 1'000'000'000;
inline constexpr TimeNs kNever = ~TimeNs{0};

// The wire carries a 32-bit microsecond clock that wraps every 71.6 minutes; differences are taken modulo 2^32.
constexpr std::uint32_t wire_clock_us(TimeNs now) noexcept {
    return static_cast<std::uint32_t>(now / kMicrosecond);
}

// Nanoseconds that `bytes` occupy on a link of `rate_bps`. rate_bps > 0; bytes < 2^40.
constexpr TimeNs serialisation_ns(std::uint64_t bytes, std::uint64_t rate_bps) noexcept {
    return static_cast<TimeNs>(static_cast<Uint128>(bytes) * 8 * kSecond / rate_bps);
}

}  // namespace longhaul
