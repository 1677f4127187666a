// Which kernel runs, and the tables that each needs: ISA-L's 32-byte expansions, GFNI's bit matrices.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/gf_kernel.h"

#include <isa-l/erasure_code.h>

#include <array>
#include <cstring>

#include "dataplane/base/assert.h"
#include "dataplane/fec/gf_kernel_gfni.h"

namespace longhaul::fec {
namespace {

constexpr std::size_t kTableBytes = 32;  // ISA-L's expansion of one coefficient

struct Tables {
    alignas(64) std::array<std::uint8_t, 256 * kTableBytes> expansion;
    alignas(64) std::array<std::uint64_t, 256> matrix;

    Tables() noexcept {
        for (unsigned value = 0; value < 256; ++value) {
            gf_vect_mul_init(static_cast<unsigned char>(value), &expansion[kTableBytes * value]);
            matrix[value] = bit_matrix(static_cast<std::uint8_t>(value));
        }
    }

    // Multiplying by `value` is linear over the bits of the other factor: column j of its matrix is value x 2^j.
    // VGF2P8AFFINEQB wants the row for result bit i in byte 7 - i, and bit j of that row for bit j of the factor.
    static std::uint64_t bit_matrix(std::uint8_t value) noexcept {
        std::uint64_t matrix = 0;
        for (unsigned j = 0; j < 8; ++j) {
            const unsigned column = gf_mul(value, static_cast<unsigned char>(1u << j));
            for (unsigned i = 0; i < 8; ++i)
                if ((column >> i & 1) != 0) matrix |= std::uint64_t{1} << (8 * (7 - i) + j);
        }
        return matrix;
    }
};

const Tables& tables() noexcept {
    static const Tables once;
    return once;
}

void run_isal(const Pass& pass) noexcept {
    alignas(64) std::uint8_t gathered[kTableBytes * kPassSources * kPassRows];
    std::array<unsigned char*, kPassSources> sources;
    std::array<unsigned char*, kPassRows> targets;
    for (unsigned r = 0; r < pass.rows; ++r) {
        targets[r] = pass.targets[r];
        for (unsigned j = 0; j < pass.count; ++j)
            std::memcpy(gathered + kTableBytes * (r * pass.count + j),
                        &tables().expansion[kTableBytes * pass.coefficients[r * pass.stride + j]],
                        kTableBytes);
    }
    // ISA-L does not write to its sources, its signature only lacks const.
    for (unsigned j = 0; j < pass.count; ++j)
        sources[j] = const_cast<std::uint8_t*>(pass.sources[j]);
    const auto bytes = static_cast<int>(pass.bytes);
    const auto count = static_cast<int>(pass.count), rows = static_cast<int>(pass.rows);
    if (pass.fresh) {
        ec_encode_data(bytes, count, rows, gathered, sources.data(), targets.data());
        return;
    }
    for (int j = 0; j < count; ++j)
        ec_encode_data_update(bytes, count, rows, j, gathered, sources[static_cast<std::size_t>(j)],
                              targets.data());
}

}  // namespace

const char* to_string(Kernel kernel) noexcept {
    return kernel == Kernel::gfni ? "gfni" : "isa-l";
}

bool runs_here(Kernel kernel) noexcept {
    return kernel == Kernel::isal || gfni_runs_here();
}

Kernel best_kernel() noexcept {
    return runs_here(Kernel::gfni) ? Kernel::gfni : Kernel::isal;
}

void run_pass(Kernel kernel, const Pass& pass) noexcept {
    LH_ASSERT(pass.count >= 1 && pass.count <= kPassSources && pass.rows >= 1 && pass.rows <= kPassRows);
    LH_ASSERT(pass.bytes >= 64 && pass.bytes % 64 == 0);
    if (kernel == Kernel::gfni)
        run_gfni(pass, tables().matrix.data());
    else
        run_isal(pass);
}

}  // namespace longhaul::fec
