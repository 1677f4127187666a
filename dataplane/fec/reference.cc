// Textbook arithmetic, kept as plain as it can be: it is read to be believed, not to be fast.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/reference.h"

#include <utility>

#include "dataplane/base/assert.h"

namespace longhaul::fec::reference {
namespace {

using Row = std::vector<std::uint8_t>;
using Matrix = std::vector<Row>;

constexpr unsigned kFirstParityIndex = 128;

void add_multiple(Row& to, const Row& row, std::uint8_t by) {
    for (std::size_t i = 0; i < to.size(); ++i)
        to[i] = static_cast<std::uint8_t>(to[i] ^ multiply(row[i], by));
}

// The generator's row of a symbol: a unit vector for data, the Cauchy row for parity.
Row generator_row(unsigned index, unsigned k) {
    Row row(k, 0);
    if (index < kFirstParityIndex) {
        LH_ASSERT(index < k);
        row[index] = 1;
        return row;
    }
    for (unsigned column = 0; column < k; ++column)
        row[column] = coefficient(index - kFirstParityIndex, column);
    return row;
}

}  // namespace

std::uint8_t multiply(std::uint8_t a, std::uint8_t b) noexcept {
    unsigned product = 0, shifted = a;
    for (unsigned rest = b; rest != 0; rest >>= 1) {
        if ((rest & 1) != 0) product ^= shifted;
        shifted <<= 1;
        if ((shifted & 0x100) != 0) shifted ^= 0x11d;
    }
    return static_cast<std::uint8_t>(product);
}

std::uint8_t invert(std::uint8_t a) noexcept {
    LH_ASSERT(a != 0);
    std::uint8_t power = 1;
    for (int i = 0; i < 254; ++i)
        power = multiply(power, a);
    return power;
}

std::uint8_t coefficient(unsigned parity_row, unsigned data_column) noexcept {
    LH_ASSERT(parity_row < 128 && data_column < 128);
    return invert(static_cast<std::uint8_t>((0x80 | parity_row) ^ data_column));
}

Bytes parity_symbol(ByteView data, unsigned k, unsigned parity_row) {
    LH_ASSERT(k >= 1 && data.size() % k == 0);
    const std::size_t symbol_bytes = data.size() / k;
    Bytes parity(symbol_bytes, 0);
    for (unsigned column = 0; column < k; ++column) {
        const std::uint8_t factor = coefficient(parity_row, column);
        for (std::size_t i = 0; i < symbol_bytes; ++i) {
            parity[i] =
                static_cast<std::uint8_t>(parity[i] ^ multiply(factor, data[column * symbol_bytes + i]));
        }
    }
    return parity;
}

// Gauss-Jordan on [generator | symbols] with row exchange: the right side ends as the data.
Bytes restore(const std::vector<Symbol>& symbols, unsigned k) {
    LH_ASSERT(symbols.size() == k);
    Matrix left, right;
    for (const Symbol& symbol : symbols) {
        left.push_back(generator_row(symbol.index, k));
        right.push_back(symbol.bytes);
    }
    for (unsigned column = 0; column < k; ++column) {
        unsigned pivot = column;
        while (pivot < k && left[pivot][column] == 0)
            ++pivot;
        LH_ASSERT(pivot < k);
        std::swap(left[pivot], left[column]);
        std::swap(right[pivot], right[column]);
        const auto to_one = static_cast<std::uint8_t>(invert(left[column][column]) ^ 1);
        add_multiple(left[column], Row(left[column]), to_one);
        add_multiple(right[column], Row(right[column]), to_one);
        for (unsigned row = 0; row < k; ++row) {
            const std::uint8_t factor = left[row][column];
            if (row == column || factor == 0) continue;
            add_multiple(left[row], left[column], factor);
            add_multiple(right[row], right[column], factor);
        }
    }
    Bytes data;
    for (const Row& row : right)
        data.insert(data.end(), row.begin(), row.end());
    return data;
}

}  // namespace longhaul::fec::reference
