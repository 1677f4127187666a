// Fetching memory that will be written: a line that another core has written last is asked for once, for good.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace longhaul {

inline constexpr std::size_t kCacheLineBytes = 64;

// A plain prefetch would fetch the line shared, and the first store would ask for it again.
inline void prefetch_for_write(const void* line) noexcept {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
#else
    __builtin_prefetch(line, 1);
#endif
}

inline void prefetch_for_write(const std::uint8_t* memory, std::size_t bytes) noexcept {
    for (std::size_t at = 0; at < bytes; at += kCacheLineBytes)
        prefetch_for_write(static_cast<const void*>(memory + at));
}

}  // namespace longhaul
