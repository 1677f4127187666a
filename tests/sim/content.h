// What a simulated file holds: bytes that follow from the bundle and the offset alone, so that the sink can
// check them without ever having seen the source.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

namespace longhaul::sim {

constexpr std::uint64_t content_word(std::uint64_t bundle, std::uint64_t word) noexcept {
    const std::uint64_t mixed = (word + 1) * 0x9e3779b97f4a7c15ULL + bundle * 0xd1342543de82ef95ULL;
    return mixed ^ mixed >> 29;
}

// `offset` is a multiple of 8.
inline void fill_content(std::uint64_t bundle, std::uint64_t offset, std::uint8_t* out,
                         std::size_t bytes) noexcept {
    for (std::size_t i = 0; i < bytes; i += 8) {
        const std::uint64_t word = content_word(bundle, (offset + i) / 8);
        std::memcpy(out + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}
inline bool content_is(std::uint64_t bundle, std::uint64_t offset, const std::uint8_t* at,
                       std::size_t bytes) noexcept {
    for (std::size_t i = 0; i < bytes; i += 8) {
        const std::uint64_t word = content_word(bundle, (offset + i) / 8);
        if (std::memcmp(at + i, &word, bytes - i < 8 ? bytes - i : 8) != 0) return false;
    }
    return true;
}

}  // namespace longhaul::sim
