// The slow oracle of the code: peasant multiplication and inversion of the whole k x k matrix, without tables
// and without ISA-L, so that an error of the hot path cannot hide in shared arithmetic. Tests link it,
// programs do not.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/bytes.h"

namespace longhaul::fec::reference {

std::uint8_t multiply(std::uint8_t a,
                      std::uint8_t b) noexcept;  // in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1
std::uint8_t invert(std::uint8_t a) noexcept;    // a != 0; a^254
std::uint8_t coefficient(unsigned parity_row, unsigned data_column) noexcept;

using Bytes = std::vector<std::uint8_t>;

// One parity symbol of `k` data symbols that lie one behind the other in `data`.
Bytes parity_symbol(ByteView data, unsigned k, unsigned parity_row);

struct Symbol {
    unsigned index = 0;  // as on the wire: 0..127 data, 128..255 parity row (index - 128)
    Bytes bytes;
};
// The k data symbols, one behind the other, from any k distinct symbols; O(k^3).
Bytes restore(const std::vector<Symbol>& symbols, unsigned k);

}  // namespace longhaul::fec::reference
