// Any k of the k + m symbols restore the stripe, and CRCs of parts combine to the CRC of the whole.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>

#include "dataplane/fec/codec.h"
#include "dataplane/fec/crc32c.h"
#include "tests/property/generators.h"

namespace longhaul::property {
namespace {

const fec::Codec& codec() {
    static const fec::Codec shared;
    return shared;
}

// `count` distinct values below `bound`.
std::vector<std::uint8_t> distinct(std::size_t count, unsigned bound) {
    std::vector<std::uint8_t> values(bound);
    std::iota(values.begin(), values.end(), std::uint8_t{0});
    for (std::size_t i = 0; i < count; ++i)
        std::swap(values[i], values[i + below(bound - i)]);
    values.resize(count);
    return values;
}

RC_GTEST_PROP(FecProperty, AnyKSymbolsRestoreTheStripe, ()) {
    const auto k = static_cast<unsigned>(1 + below(fec::kDataSymbolsMax));
    const std::size_t symbol_bytes = 64 * (1 + below(3));
    const std::size_t erasures = below(std::min(k, fec::kErasuresMax) + 1);
    auto erased = distinct(erasures, k);
    std::sort(erased.begin(), erased.end());
    const auto rows = distinct(erasures, fec::kParityRowsMax);

    Bytes data(k * symbol_bytes);
    std::uint64_t state = any<std::uint64_t>() | 1;
    for (auto& byte : data)
        byte = static_cast<std::uint8_t>((state = state * 6364136223846793005u + 1) >> 56);
    std::vector<Bytes> parity(erasures, Bytes(symbol_bytes));
    std::vector<const std::uint8_t*> pointers;
    for (std::size_t i = 0; i < erasures; ++i) {
        codec().encode(data.data(), k, symbol_bytes, rows[i], 1, parity[i].data());
        pointers.push_back(parity[i].data());
    }
    Bytes received = data;
    for (const std::size_t symbol : erased) {
        std::fill_n(received.begin() + static_cast<std::ptrdiff_t>(symbol * symbol_bytes), symbol_bytes,
                    std::uint8_t{0x99});
    }
    codec().decode(received.data(), k, symbol_bytes, erased, rows, pointers);
    RC_ASSERT(received == data);
}

RC_GTEST_PROP(Crc32cProperty, PartsCombineToTheWhole, ()) {
    const Bytes bytes = bytes_of(below(3000));
    const std::size_t split = below(bytes.size() + 1);
    const ByteView first = ByteView(bytes).first(split), second = ByteView(bytes).subspan(split);
    const std::uint32_t whole = fec::crc32c(0, bytes);
    RC_ASSERT(fec::crc32c(fec::crc32c(0, first), second) == whole);
    RC_ASSERT(fec::crc32c_combine(fec::crc32c(0, first), fec::crc32c(0, second), second.size()) == whole);
}

}  // namespace
}  // namespace longhaul::property
