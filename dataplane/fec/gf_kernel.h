// Sums of products over GF(2^8), polynomial 0x11d, the inner loop of encoding and decoding:
//
//   target[r] (+)= sum over j of coefficients[r][j] x source[j]         r < rows, j < count <= 8
//
// Eight sources a pass and every row's sum in registers: data that comes cold from memory is read once and by few
// enough streams for the prefetchers, and what a pass leaves (the targets) stays in the near caches. Measured in
// tests/bench (core): ISA-L's own pass over all k sources is as good from a warm cache and half as fast from a cold one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace longhaul::fec {

inline constexpr unsigned kPassSources = 8;
inline constexpr unsigned kPassRows = 16;

struct Pass {
    const std::uint8_t* const* sources = nullptr;  // `count` of `bytes` each
    unsigned count = 0;                            // 1..kPassSources
    std::uint8_t* const* targets = nullptr;        // `rows` of `bytes` each; none of them is a source
    unsigned rows = 0;                             // 1..kPassRows
    const std::uint8_t* coefficients = nullptr;    // row r begins at r * stride
    std::size_t stride = 0;
    std::size_t bytes = 0;  // multiple of 64
    bool fresh = false;     // the targets hold nothing yet: they are written, not added to
};

enum class Kernel : std::uint8_t {
    isal,  // ISA-L picks by processor among what version 2.30 has: up to AVX-512, no GFNI
    gfni,  // AVX-512 with GFNI: one affine instruction a source byte and row, 64 bytes at a time
};
const char* to_string(Kernel kernel) noexcept;
bool runs_here(Kernel kernel) noexcept;
Kernel best_kernel() noexcept;  // of those that run on this processor

void run_pass(Kernel kernel, const Pass& pass) noexcept;

}  // namespace longhaul::fec
