// Encode and decode over ISA-L's vector kernels; every table they need is either built once or fits on the
// stack.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/codec.h"

#include <isa-l/erasure_code.h>

#include <cstring>

#include "dataplane/base/assert.h"

namespace longhaul::fec {
namespace {

constexpr std::size_t kTableBytes = 32;  // ISA-L's expansion of one coefficient
constexpr unsigned kColumns = kDataSymbolsMax;
constexpr unsigned kUsualColumns = 64;                                        // k of a full stripe
constexpr std::size_t kScratchBytes = kTableBytes * kErasuresMax * kColumns;  // 64 KiB

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
    alignas(64) std::array<std::uint8_t, kTableBytes * 256> by_value;                          // 8 KiB
    alignas(64) std::array<std::uint8_t, kTableBytes * kColumns * kParityRowsMax> all;         // 512 KiB
    alignas(64) std::array<std::uint8_t, kTableBytes * kUsualColumns * kParityRowsMax> usual;  // 256 KiB
    std::array<std::array<std::uint8_t, kColumns>, kParityRowsMax> coefficients;

    Tables() noexcept {
        for (unsigned value = 0; value < 256; ++value) {
            gf_vect_mul_init(static_cast<unsigned char>(value), &by_value[kTableBytes * value]);
        }
        for (unsigned row = 0; row < kParityRowsMax; ++row) {
            for (unsigned column = 0; column < kColumns; ++column) {
                coefficients[row][column] = coefficient(row, column);
                const std::uint8_t* table = &by_value[kTableBytes * coefficients[row][column]];
                std::memcpy(&all[kTableBytes * (row * kColumns + column)], table, kTableBytes);
            }
            std::memcpy(&usual[kTableBytes * row * kUsualColumns], &all[kTableBytes * row * kColumns],
                        kTableBytes * kUsualColumns);
        }
    }

    // ISA-L wants the tables of rows x k coefficients without gaps: there already for one row, for k = 64 and
    // for k = 128; gathered into `scratch` otherwise. ISA-L does not write to them, its signature only lacks
    // const.
    std::uint8_t* of(unsigned first_row, unsigned rows, unsigned k, std::uint8_t* scratch) const noexcept {
        const std::uint8_t* first = &all[kTableBytes * first_row * kColumns];
        if (k == kUsualColumns)
            return const_cast<std::uint8_t*>(&usual[kTableBytes * first_row * kUsualColumns]);
        if (rows == 1 || k == kColumns) return const_cast<std::uint8_t*>(first);
        for (unsigned row = 0; row < rows; ++row) {
            std::memcpy(scratch + kTableBytes * row * k, first + kTableBytes * row * kColumns,
                        kTableBytes * k);
        }
        return scratch;
    }
};

Codec::Codec() : tables_(std::make_unique<Tables>()) {}
Codec::~Codec() = default;

void Codec::encode(const std::uint8_t* data, unsigned k, std::size_t symbol_bytes, unsigned first_row,
                   unsigned rows, std::uint8_t* parity) const noexcept {
    LH_ASSERT(k >= 1 && k <= kDataSymbolsMax && rows <= kErasuresMax && first_row + rows <= kParityRowsMax);
    LH_ASSERT(symbol_bytes >= 64 && symbol_bytes % 64 == 0 && symbol_bytes <= 1u << 20);
    if (rows == 0) return;
    alignas(64) std::uint8_t scratch[kScratchBytes];
    std::array<unsigned char*, kDataSymbolsMax> sources;
    std::array<unsigned char*, kErasuresMax> targets;
    for (unsigned i = 0; i < k; ++i)
        sources[i] = const_cast<std::uint8_t*>(data) + i * symbol_bytes;
    for (unsigned i = 0; i < rows; ++i)
        targets[i] = parity + i * symbol_bytes;
    ec_encode_data(static_cast<int>(symbol_bytes), static_cast<int>(k), static_cast<int>(rows),
                   tables_->of(first_row, rows, k, scratch), sources.data(), targets.data());
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
    LH_ASSERT(symbol_bytes >= 64 && symbol_bytes % 64 == 0 && symbol_bytes <= 1u << 20);
    check_erasures(k, erased, parity_rows);
    if (count == 0) return;

    const auto& matrix = tables_->coefficients;
    SquareMatrix minor{};
    for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t u = 0; u < count; ++u)
            minor[r][u] = matrix[parity_rows[r]][erased[u]];
    }
    const SquareMatrix inverted = inverse(minor, count);

    alignas(64) std::uint8_t scratch[kScratchBytes];
    std::array<unsigned char*, kDataSymbolsMax> sources;
    std::array<unsigned char*, kErasuresMax> targets;
    const auto set = [&](std::size_t target, std::size_t source, std::uint8_t value) {
        std::memcpy(scratch + kTableBytes * (target * k + source), &tables_->by_value[kTableBytes * value],
                    kTableBytes);
    };
    std::size_t source = 0, passed = 0;
    for (unsigned column = 0; column < k; ++column) {
        if (passed < count && erased[passed] == column) {
            ++passed;
            continue;
        }
        for (std::size_t u = 0; u < count; ++u) {
            std::uint8_t value = 0;
            for (std::size_t r = 0; r < count; ++r) {
                value =
                    static_cast<std::uint8_t>(value ^ gf_mul(inverted[u][r], matrix[parity_rows[r]][column]));
            }
            set(u, source, value);
        }
        sources[source++] = data + column * symbol_bytes;
    }
    for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t u = 0; u < count; ++u)
            set(u, source, inverted[u][r]);
        sources[source++] = const_cast<std::uint8_t*>(parity[r]);
    }
    for (std::size_t u = 0; u < count; ++u)
        targets[u] = data + erased[u] * symbol_bytes;
    ec_encode_data(static_cast<int>(symbol_bytes), static_cast<int>(k), static_cast<int>(count), scratch,
                   sources.data(), targets.data());
}

}  // namespace longhaul::fec
