// The codec against its oracle, with every kernel that runs on this processor: every k and every erasure count, rows
// anywhere in 0..127.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "dataplane/fec/reference.h"

namespace longhaul::fec {
namespace {

using Bytes = std::vector<std::uint8_t>;

Kernel kernel_under_test = Kernel::isal;

const Codec& codec() {
    static const Codec isal(Kernel::isal);
    if (kernel_under_test == Kernel::isal) return isal;
    static const Codec gfni(Kernel::gfni);
    return gfni;
}

class CodecTest : public testing::TestWithParam<Kernel> {
  protected:
    void SetUp() override { kernel_under_test = GetParam(); }
};

std::vector<Kernel> kernels_here() {
    std::vector<Kernel> kernels;
    for (const Kernel kernel : {Kernel::isal, Kernel::gfni})
        if (runs_here(kernel)) kernels.push_back(kernel);
    return kernels;
}

std::string name_of(const testing::TestParamInfo<Kernel>& info) {
    return info.param == Kernel::gfni ? "gfni" : "isal";
}

INSTANTIATE_TEST_SUITE_P(Kernels, CodecTest, testing::ValuesIn(kernels_here()), name_of);

Bytes random_bytes(std::size_t count, std::mt19937_64& random) {
    Bytes bytes(count);
    for (auto& byte : bytes)
        byte = static_cast<std::uint8_t>(random());
    return bytes;
}

// `count` distinct values below `bound`, in random order.
std::vector<std::uint8_t> distinct(std::size_t count, unsigned bound, std::mt19937_64& random) {
    std::vector<std::uint8_t> values(bound);
    std::iota(values.begin(), values.end(), std::uint8_t{0});
    for (std::size_t i = 0; i < count; ++i)
        std::swap(values[i], values[i + random() % (bound - i)]);
    values.resize(count);
    return values;
}

struct Loss {
    std::vector<std::uint8_t> erased;  // ascending
    std::vector<std::uint8_t> rows;
};

Loss random_loss(unsigned k, std::size_t count, std::mt19937_64& random) {
    Loss loss{distinct(count, k, random), distinct(count, kParityRowsMax, random)};
    std::sort(loss.erased.begin(), loss.erased.end());
    return loss;
}

// Encodes the rows, destroys the erased symbols, decodes, and expects the data back.
void expect_restored(const Bytes& data, unsigned k, std::size_t symbol_bytes, const Loss& loss) {
    std::vector<Bytes> parity;
    std::vector<const std::uint8_t*> pointers;
    for (const unsigned row : loss.rows) {
        parity.emplace_back(symbol_bytes);
        codec().encode(data.data(), k, symbol_bytes, row, 1, parity.back().data());
    }
    for (const Bytes& symbol : parity)
        pointers.push_back(symbol.data());
    Bytes damaged = data;
    for (const std::size_t symbol : loss.erased) {
        std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(symbol * symbol_bytes), symbol_bytes,
                    std::uint8_t{0xee});
    }
    codec().decode(damaged.data(), k, symbol_bytes, loss.erased, loss.rows, pointers);
    EXPECT_EQ(damaged, data) << "k=" << k << " e=" << loss.erased.size() << " symbol_bytes=" << symbol_bytes;
}

// Proves: the coefficients are those of the documented matrix, by arithmetic that shares no table with ISA-L.
TEST_P(CodecTest, CoefficientsAreTheCauchyMatrix) {
    for (unsigned row = 0; row < kParityRowsMax; ++row) {
        for (unsigned column = 0; column < kDataSymbolsMax; ++column) {
            const std::uint8_t value = coefficient(row, column);
            ASSERT_EQ(reference::multiply(value, static_cast<std::uint8_t>((0x80 | row) ^ column)), 1)
                << "row " << row << " column " << column;
        }
    }
}

// Proves: for every k and every number of rows the parity is the oracle's, bit by bit, whatever path gathers
// tables.
TEST_P(CodecTest, EncodesLikeTheOracleForEveryKAndRowCount) {
    constexpr std::size_t kSymbolBytes = 64;
    std::mt19937_64 random(11);
    for (unsigned k = 1; k <= kDataSymbolsMax; ++k) {
        const Bytes data = random_bytes(k * kSymbolBytes, random);
        const auto first_row = static_cast<unsigned>(random() % (kParityRowsMax - kErasuresMax + 1));
        Bytes expected;
        for (unsigned row = 0; row < kErasuresMax; ++row) {
            const Bytes symbol = reference::parity_symbol(data, k, first_row + row);
            expected.insert(expected.end(), symbol.begin(), symbol.end());
        }
        for (unsigned rows = 0; rows <= kErasuresMax; ++rows) {
            Bytes parity(kErasuresMax * kSymbolBytes, 0xaa);
            codec().encode(data.data(), k, kSymbolBytes, first_row, rows, parity.data());
            const std::size_t written = rows * kSymbolBytes;
            ASSERT_TRUE(std::equal(parity.begin(), parity.begin() + static_cast<std::ptrdiff_t>(written),
                                   expected.begin()))
                << "k=" << k << " rows=" << rows << " first_row=" << first_row;
            ASSERT_TRUE(std::all_of(parity.begin() + static_cast<std::ptrdiff_t>(written), parity.end(),
                                    [](std::uint8_t byte) { return byte == 0xaa; }))
                << "encode wrote beyond its rows: k=" << k << " rows=" << rows;
        }
    }
}

// Proves: parity summed up group by group, as the symbols pass by, is the parity of the whole stripe.
TEST_P(CodecTest, GroupsSumUpToTheStripe) {
    std::mt19937_64 random(17);
    for (const std::size_t symbol_bytes : {64u, 1408u, 8768u}) {
        for (const unsigned k : {1u, 7u, 8u, 9u, 63u, 64u, 128u}) {
            const Bytes data = random_bytes(k * symbol_bytes, random);
            for (const unsigned rows : {1u, 3u, 4u, 5u, 16u}) {
                Bytes whole(rows * symbol_bytes), sum(rows * symbol_bytes, 0x5a);
                codec().encode(data.data(), k, symbol_bytes, 7, rows, whole.data());
                for (unsigned column = 0; column < k; column += kPassSources)
                    codec().encode_group(&data[column * symbol_bytes], column,
                                         std::min(kPassSources, k - column), symbol_bytes, 7, rows,
                                         sum.data());
                ASSERT_EQ(sum, whole) << "k=" << k << " rows=" << rows << " symbol_bytes=" << symbol_bytes;
            }
        }
    }
}

// Proves: any loss of up to 16 data symbols is restored from any distinct parity rows, for every k.
TEST_P(CodecTest, RestoresEveryErasureCountForEveryK) {
    constexpr std::size_t kSymbolBytes = 64;
    std::mt19937_64 random(12);
    for (unsigned k = 1; k <= kDataSymbolsMax; ++k) {
        const Bytes data = random_bytes(k * kSymbolBytes, random);
        for (unsigned count = 0; count <= std::min(k, kErasuresMax); ++count) {
            expect_restored(data, k, kSymbolBytes, random_loss(k, count, random));
        }
        if (HasFailure()) return;
    }
}

// Proves: the same at the symbol sizes that travel, at lengths that leave remainders in every vector width.
TEST_P(CodecTest, RestoresAtTheSymbolSizesOfTheWire) {
    std::mt19937_64 random(13);
    for (const std::size_t symbol_bytes : {128u, 192u, 320u, 1344u, 1408u, 8768u, 8896u}) {
        for (const unsigned k : {1u, 2u, 16u, 37u, 64u, 128u}) {
            const Bytes data = random_bytes(k * symbol_bytes, random);
            for (const unsigned count : {1u, 2u, 5u, 7u, 16u}) {
                if (count <= k) expect_restored(data, k, symbol_bytes, random_loss(k, count, random));
            }
        }
        const Bytes data = random_bytes(64 * symbol_bytes, random);
        Bytes parity(3 * symbol_bytes);
        codec().encode(data.data(), 64, symbol_bytes, 125, 3, parity.data());
        const Bytes expected = reference::parity_symbol(data, 64, 127);
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                               parity.end() - static_cast<std::ptrdiff_t>(symbol_bytes)));
    }
}

// Proves: with k = 4 every one of the C(8, 4) ways to keep four of eight symbols restores the data, and the
// oracle's full inversion agrees.
TEST_P(CodecTest, RestoresEveryPatternOfASmallStripe) {
    constexpr unsigned k = 4, m = 4;
    constexpr std::size_t kSymbolBytes = 64;
    std::mt19937_64 random(14);
    const Bytes data = random_bytes(k * kSymbolBytes, random);
    Bytes parity(m * kSymbolBytes);
    codec().encode(data.data(), k, kSymbolBytes, 0, m, parity.data());
    unsigned patterns = 0;
    for (unsigned kept = 0; kept < 1u << (k + m); ++kept) {
        if (__builtin_popcount(kept) != k) continue;
        ++patterns;
        Loss loss;
        std::vector<const std::uint8_t*> pointers;
        std::vector<reference::Symbol> symbols;
        Bytes damaged = data;
        for (unsigned i = 0; i < k + m; ++i) {
            const bool here = (kept >> i & 1) != 0;
            const std::uint8_t* const from =
                i < k ? &data[i * kSymbolBytes] : &parity[(i - k) * kSymbolBytes];
            if (here) symbols.push_back({i < k ? i : 128 + i - k, Bytes(from, from + kSymbolBytes)});
            if (i < k && !here) {
                loss.erased.push_back(static_cast<std::uint8_t>(i));
                std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(i * kSymbolBytes), kSymbolBytes,
                            std::uint8_t{0});
            } else if (i >= k && here) {
                loss.rows.push_back(static_cast<std::uint8_t>(i - k));
                pointers.push_back(from);
            }
        }
        codec().decode(damaged.data(), k, kSymbolBytes, loss.erased, loss.rows, pointers);
        EXPECT_EQ(damaged, data) << "kept symbols " << kept;
        EXPECT_EQ(reference::restore(symbols, k), data) << "kept symbols " << kept;
    }
    EXPECT_EQ(patterns, 70u);
}

// Proves: the oracle restores what the codec encoded, for a full stripe and rows from both ends of the
// matrix.
TEST_P(CodecTest, OracleRestoresWhatTheCodecEncoded) {
    constexpr unsigned k = 32;
    constexpr std::size_t kSymbolBytes = 64;
    std::mt19937_64 random(15);
    const Bytes data = random_bytes(k * kSymbolBytes, random);
    const Loss loss = random_loss(k, 16, random);
    std::vector<reference::Symbol> symbols;
    for (unsigned i = 0; i < k; ++i) {
        if (std::binary_search(loss.erased.begin(), loss.erased.end(), i)) continue;
        symbols.push_back({i, Bytes(&data[i * kSymbolBytes], &data[i * kSymbolBytes] + kSymbolBytes)});
    }
    for (const unsigned row : loss.rows) {
        Bytes parity(kSymbolBytes);
        codec().encode(data.data(), k, kSymbolBytes, row, 1, parity.data());
        symbols.push_back({128 + row, parity});
    }
    EXPECT_EQ(reference::restore(symbols, k), data);
}

// Proves: a parity row depends on neither m nor, with zero columns appended, k: parity can be added later and
// a short stripe is a full one whose missing columns are zero.
TEST_P(CodecTest, ParityRowsAreNested) {
    constexpr std::size_t kSymbolBytes = 64;
    std::mt19937_64 random(16);
    Bytes data = random_bytes(20 * kSymbolBytes, random);
    Bytes short_stripe(kSymbolBytes), padded(kSymbolBytes);
    codec().encode(data.data(), 20, kSymbolBytes, 9, 1, short_stripe.data());
    data.resize(64 * kSymbolBytes, 0);
    codec().encode(data.data(), 64, kSymbolBytes, 9, 1, padded.data());
    EXPECT_EQ(short_stripe, padded);
}

// Proves: misuse by the caller ends the process instead of producing wrong bytes.
TEST_P(CodecTest, MisuseIsAnAssertion) {
    Bytes data(4 * 64), parity(64);
    const std::uint8_t* const pointers[] = {parity.data(), parity.data()};
    const std::uint8_t erased[] = {0, 1}, unordered[] = {1, 0}, beyond[] = {0, 4};
    const std::uint8_t rows[] = {0, 1}, repeated[] = {3, 3}, outside[] = {0, 128};
    EXPECT_DEATH(codec().encode(data.data(), 4, 65, 0, 1, parity.data()), "invariant");
    EXPECT_DEATH(codec().encode(data.data(), 4, 64, 128, 1, parity.data()), "invariant");
    EXPECT_DEATH(codec().encode(data.data(), 0, 64, 0, 1, parity.data()), "invariant");
    EXPECT_DEATH(codec().decode(data.data(), 4, 64, erased, repeated, pointers), "invariant");
    EXPECT_DEATH(codec().decode(data.data(), 4, 64, erased, outside, pointers), "invariant");
    EXPECT_DEATH(codec().decode(data.data(), 4, 64, unordered, rows, pointers), "invariant");
    EXPECT_DEATH(codec().decode(data.data(), 4, 64, beyond, rows, pointers), "invariant");
}

}  // namespace
}  // namespace longhaul::fec
