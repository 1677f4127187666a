// Reed-Solomon over GF(2^8), polynomial 0x11d, with the universal Cauchy matrix c(i, j) = 1 / ((0x80 | i) xor j):
// parity row i of data column j depends on neither k nor m, so any number of parities up to 128 can be added later
// and any k symbols of a stripe restore it (Cauchy: every square minor is regular; Blomer et al. 1995).
// The inner loop is gf_kernel.h's; reference.h holds the slow oracle.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/fec/gf_kernel.h"

namespace longhaul::fec {

inline constexpr unsigned kDataSymbolsMax = 128;
inline constexpr unsigned kParityRowsMax = 128;
inline constexpr unsigned kErasuresMax = 16;  // decode bound per call; also the parity slots of a stripe

std::uint8_t coefficient(unsigned parity_row, unsigned data_column) noexcept;  // row, column < 128

class Codec {
  public:
    explicit Codec(Kernel kernel = best_kernel());  // share one per process, it is immutable and thread-safe
    ~Codec();
    Codec(const Codec&) = delete;
    Codec& operator=(const Codec&) = delete;

    // parity rows [first_row, first_row + rows) of k data symbols of `symbol_bytes` each, contiguous in `data` with
    // stride symbol_bytes; written contiguous to `parity`. symbol_bytes: multiple of 64. rows <= kErasuresMax.
    void encode(const std::uint8_t* data, unsigned k, std::size_t symbol_bytes, unsigned first_row,
                unsigned rows, std::uint8_t* parity) const noexcept;
    // The same, as the symbols pass by: `columns` <= 8 data symbols from column first_column on, contiguous at
    // `group`, join the sums in `parity`; first_column 0 begins them. What is in the cache for encryption anyway is
    // not fetched again. After the last group `parity` equals encode()'s.
    void encode_group(const std::uint8_t* group, unsigned first_column, unsigned columns,
                      std::size_t symbol_bytes, unsigned first_row, unsigned rows,
                      std::uint8_t* parity) const noexcept;

    // Restores the data symbols named in `erased` (ascending, each < k) in place, from the other k - e data symbols
    // and e parity symbols: parity_rows[i] is the row of the symbol at parity[i]. e = erased.size() <= kErasuresMax.
    // Only the e x e Cauchy minor is inverted. Always succeeds for distinct rows (LH_ASSERT).
    void decode(std::uint8_t* data, unsigned k, std::size_t symbol_bytes,
                std::span<const std::uint8_t> erased, std::span<const std::uint8_t> parity_rows,
                std::span<const std::uint8_t* const> parity) const noexcept;

  private:
    struct Tables;
    Kernel kernel_;
    std::unique_ptr<Tables> tables_;
};

}  // namespace longhaul::fec
