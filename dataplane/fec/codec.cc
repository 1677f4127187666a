// Encode and decode as passes of a kernel; every table they need is either built once or fits on the stack.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/codec.h"

#include <isa-l/erasure_code.h>

#include <algorithm>

#include "dataplane/base/assert.h"

namespace longhaul::fec {
namespace {

constexpr unsigned kColumns = kDataSymbolsMax;

void check_symbol_bytes(std::size_t bytes) noexcept {
    LH_ASSERT(bytes >= 64 && bytes % 64 == 0 && bytes <= 1u << 20);
}

using SquareMatrix = std::array<std::array<std::uint8_t, kErasuresMax>, kErasuresMax>;

void scale_row(std::array<std::uint8_t, kErasuresMax>& row, std::size_t width, std::uint8_t by) noexcept {
    for (std::size_t c = 0; c < width; ++c)
        row[c] = gf_mul(row[c], by);
}

void subtract_row(std::array<std::uint8_t, kErasuresMax>& from,
                  const std::array<std::uint8_t, kErasuresMax>& row, std::size_t width,
                  std::uint8_t by) noexcept {
    for (std::size_t c = 0; c < width; ++c)
        from[c] = static_cast<std::uint8_t>(from[c] ^ gf_mul(row[c], by));
}

// Gauss-Jordan without pivoting: every leading principal minor of a Cauchy matrix is a Cauchy matrix and so
// regular, hence no pivot is ever zero.
SquareMatrix inverse(SquareMatrix matrix, std::size_t size) noexcept {
    SquareMatrix result{};
    for (std::size_t i = 0; i < size; ++i)
        result[i][i] = 1;
    for (std::size_t pivot = 0; pivot < size; ++pivot) {
        LH_ASSERT(matrix[pivot][pivot] != 0);
        const std::uint8_t factor = gf_inv(matrix[pivot][pivot]);
        scale_row(matrix[pivot], size, factor);
        scale_row(result[pivot], size, factor);
        for (std::size_t row = 0; row < size; ++row) {
            const std::uint8_t by = matrix[row][pivot];
            if (row == pivot || by == 0) continue;
            subtract_row(matrix[row], matrix[pivot], size, by);
            subtract_row(result[row], result[pivot], size, by);
        }
    }
    return result;
}

void check_erasures(unsigned k, std::span<const std::uint8_t> erased,
                    std::span<const std::uint8_t> rows) noexcept {
    std::array<bool, kParityRowsMax> seen{};
    for (std::size_t i = 0; i < erased.size(); ++i) {
        LH_ASSERT(erased[i] < k && (i == 0 || erased[i - 1] < erased[i]));
        LH_ASSERT(rows[i] < kParityRowsMax && !seen[rows[i]]);
        seen[rows[i]] = true;
    }
}

}  // namespace

std::uint8_t coefficient(unsigned parity_row, unsigned data_column) noexcept {
    LH_ASSERT(parity_row < kParityRowsMax && data_column < kColumns);
    return gf_inv(static_cast<unsigned char>((0x80u | parity_row) ^ data_column));
}

struct Codec::Tables {
    std::array<std::array<std::uint8_t, kColumns>, kParityRowsMax> coefficients;  // 16 KiB

    Tables() noexcept {
        for (unsigned row = 0; row < kParityRowsMax; ++row)
            for (unsigned column = 0; column < kColumns; ++column)
                coefficients[row][column] = coefficient(row, column);
    }
};

Codec::Codec(Kernel kernel) : kernel_(kernel), tables_(std::make_unique<Tables>()) {
    LH_ASSERT(runs_here(kernel));
}
Codec::~Codec() = default;

void Codec::encode(const std::uint8_t* data, unsigned k, std::size_t symbol_bytes, unsigned first_row,
                   unsigned rows, std::uint8_t* parity) const noexcept {
    LH_ASSERT(k >= 1 && k <= kDataSymbolsMax);
    for (unsigned column = 0; column < k; column += kPassSources)
        encode_group(data + column * symbol_bytes, column, std::min(kPassSources, k - column), symbol_bytes,
                     first_row, rows, parity);
}

void Codec::encode_group(const std::uint8_t* group, unsigned first_column, unsigned columns,
                         std::size_t symbol_bytes, unsigned first_row, unsigned rows,
                         std::uint8_t* parity) const noexcept {
    LH_ASSERT(columns >= 1 && columns <= kPassSources && first_column + columns <= kDataSymbolsMax);
    LH_ASSERT(rows <= kErasuresMax && first_row + rows <= kParityRowsMax);
    check_symbol_bytes(symbol_bytes);
    if (rows == 0) return;
    std::array<const std::uint8_t*, kPassSources> sources;
    std::array<std::uint8_t*, kErasuresMax> targets;
    for (unsigned i = 0; i < columns; ++i)
        sources[i] = group + i * symbol_bytes;
    for (unsigned i = 0; i < rows; ++i)
        targets[i] = parity + i * symbol_bytes;
    Pass pass;
    pass.sources = sources.data();
    pass.count = columns;
    pass.targets = targets.data();
    pass.rows = rows;
    pass.coefficients = &tables_->coefficients[first_row][first_column];
    pass.stride = kColumns;
    pass.bytes = symbol_bytes;
    pass.fresh = first_column == 0;
    run_pass(kernel_, pass);
}

// With A the Cauchy minor of the erased columns E and the parity rows R at hand:
//   d_E = A^-1 (p_R - sum over the present columns j of a_Rj d_j)
// folded into one row of k coefficients per erased symbol, so that one pass over k sources restores all of
// them.
void Codec::decode(std::uint8_t* data, unsigned k, std::size_t symbol_bytes,
                   std::span<const std::uint8_t> erased, std::span<const std::uint8_t> parity_rows,
                   std::span<const std::uint8_t* const> parity) const noexcept {
    const std::size_t count = erased.size();
    LH_ASSERT(k >= 1 && k <= kDataSymbolsMax && count <= kErasuresMax && count <= k);
    LH_ASSERT(parity_rows.size() == count && parity.size() == count);
    check_symbol_bytes(symbol_bytes);
    check_erasures(k, erased, parity_rows);
    if (count == 0) return;

    const auto& matrix = tables_->coefficients;
    SquareMatrix minor{};
    for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t u = 0; u < count; ++u)
            minor[r][u] = matrix[parity_rows[r]][erased[u]];
    }
    const SquareMatrix inverted = inverse(minor, count);

    // Column by column of what is here: the present data first, then the parity symbols.
    std::array<std::array<std::uint8_t, kColumns>, kErasuresMax> factors;
    std::array<const std::uint8_t*, kColumns> sources;
    std::array<std::uint8_t*, kErasuresMax> targets;
    std::size_t source = 0, passed = 0;
    for (unsigned column = 0; column < k; ++column) {
        if (passed < count && erased[passed] == column) {
            ++passed;
            continue;
        }
        for (std::size_t u = 0; u < count; ++u) {
            std::uint8_t value = 0;
            for (std::size_t r = 0; r < count; ++r)
                value =
                    static_cast<std::uint8_t>(value ^ gf_mul(inverted[u][r], matrix[parity_rows[r]][column]));
            factors[u][source] = value;
        }
        sources[source++] = data + column * symbol_bytes;
    }
    for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t u = 0; u < count; ++u)
            factors[u][source] = inverted[u][r];
        sources[source++] = parity[r];
    }
    for (std::size_t u = 0; u < count; ++u)
        targets[u] = data + erased[u] * symbol_bytes;

    Pass pass;
    pass.targets = targets.data();
    pass.rows = static_cast<unsigned>(count);
    pass.stride = kColumns;
    pass.bytes = symbol_bytes;
    for (unsigned first = 0; first < k; first += kPassSources) {
        pass.sources = sources.data() + first;
        pass.count = std::min(kPassSources, k - first);
        pass.coefficients = &factors[0][first];
        pass.fresh = first == 0;
        run_pass(kernel_, pass);
    }
}

}  // namespace longhaul::fec
