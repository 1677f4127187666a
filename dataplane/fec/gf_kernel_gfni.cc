// Four rows at a time: eight sources are loaded once for all four, each product is one affine instruction, and sums
// are taken three at a time.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/gf_kernel_gfni.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LONGHAUL_GFNI __attribute__((target("avx512f,avx512bw,gfni")))
#endif

namespace longhaul::fec {

#if defined(__x86_64__)
namespace {

constexpr unsigned kRowsAtOnce = 4;
using Matrices = std::uint64_t[kRowsAtOnce][kPassSources];

LONGHAUL_GFNI inline __m512i product(__m512i source, std::uint64_t matrix) noexcept {
    return _mm512_gf2p8affine_epi64_epi8(source, _mm512_set1_epi64(static_cast<long long>(matrix)), 0);
}

LONGHAUL_GFNI inline __m512i sum(__m512i a, __m512i b, __m512i c) noexcept {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

// All eight sources, `Rows` rows.
template <unsigned Rows>
LONGHAUL_GFNI void full_pass(const Pass& pass, std::uint8_t* const* targets, const Matrices& m) noexcept {
    for (std::size_t at = 0; at < pass.bytes; at += 64) {
        __m512i s[kPassSources];
#pragma GCC unroll 8
        for (unsigned j = 0; j < kPassSources; ++j)
            s[j] = _mm512_loadu_si512(pass.sources[j] + at);
#pragma GCC unroll 4
        for (unsigned r = 0; r < Rows; ++r) {
            __m512i total = pass.fresh ? _mm512_setzero_si512() : _mm512_loadu_si512(targets[r] + at);
            total = sum(total, product(s[0], m[r][0]), product(s[1], m[r][1]));
            const __m512i second =
                sum(product(s[2], m[r][2]), product(s[3], m[r][3]), product(s[4], m[r][4]));
            const __m512i third = sum(product(s[5], m[r][5]), product(s[6], m[r][6]), product(s[7], m[r][7]));
            _mm512_storeu_si512(targets[r] + at, sum(total, second, third));
        }
    }
}

// The end of a short stripe: any number of sources and rows.
LONGHAUL_GFNI void short_pass(const Pass& pass, std::uint8_t* const* targets, unsigned rows,
                              const Matrices& m) noexcept {
    for (std::size_t at = 0; at < pass.bytes; at += 64) {
        for (unsigned r = 0; r < rows; ++r) {
            __m512i total = pass.fresh ? _mm512_setzero_si512() : _mm512_loadu_si512(targets[r] + at);
            for (unsigned j = 0; j < pass.count; ++j)
                total = _mm512_xor_si512(total, product(_mm512_loadu_si512(pass.sources[j] + at), m[r][j]));
            _mm512_storeu_si512(targets[r] + at, total);
        }
    }
}

}  // namespace

bool gfni_runs_here() noexcept {
    return __builtin_cpu_supports("gfni") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw");
}

void run_gfni(const Pass& pass, const std::uint64_t* matrices) noexcept {
    for (unsigned first = 0; first < pass.rows; first += kRowsAtOnce) {
        const unsigned rows = pass.rows - first < kRowsAtOnce ? pass.rows - first : kRowsAtOnce;
        Matrices m;
        for (unsigned r = 0; r < rows; ++r)
            for (unsigned j = 0; j < pass.count; ++j)
                m[r][j] = matrices[pass.coefficients[(first + r) * pass.stride + j]];
        std::uint8_t* const* targets = pass.targets + first;
        if (pass.count != kPassSources)
            short_pass(pass, targets, rows, m);
        else if (rows == 4)
            full_pass<4>(pass, targets, m);
        else if (rows == 3)
            full_pass<3>(pass, targets, m);
        else if (rows == 2)
            full_pass<2>(pass, targets, m);
        else
            full_pass<1>(pass, targets, m);
    }
}

#else

bool gfni_runs_here() noexcept {
    return false;
}

void run_gfni(const Pass&, const std::uint64_t*) noexcept {}

#endif

}  // namespace longhaul::fec
