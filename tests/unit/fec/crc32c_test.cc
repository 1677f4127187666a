// CRC32C against published vectors, and its combination against the direct computation.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

namespace longhaul::fec {
namespace {

// Bit by bit, as RFC 3720 defines it: shares nothing with ISA-L.
std::uint32_t crc32c_by_bits(ByteView bytes) {
    std::uint32_t crc = ~std::uint32_t{0};
    for (const std::uint8_t byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

// Proves: the finished values are those of RFC 3720 appendix B.4 and of the common check string.
TEST(Crc32c, KnownVectors) {
    const std::vector<std::uint8_t> zeros(32, 0x00), ones(32, 0xff);
    std::vector<std::uint8_t> rising(32), falling(32);
    std::iota(rising.begin(), rising.end(), std::uint8_t{0});
    std::iota(falling.rbegin(), falling.rend(), std::uint8_t{0});
    EXPECT_EQ(crc32c(0, as_bytes("123456789")), 0xe3069283u);
    EXPECT_EQ(crc32c(0, zeros), 0x8a9136aau);
    EXPECT_EQ(crc32c(0, ones), 0x62a8ab43u);
    EXPECT_EQ(crc32c(0, rising), 0x46dd794eu);
    EXPECT_EQ(crc32c(0, falling), 0x113fdb5cu);
    EXPECT_EQ(crc32c(0, {}), 0u);
}

// Proves: every length and alignment around the vector widths gives the value of the bitwise definition, and
// a chain over any split gives the value of the whole.
TEST(Crc32c, EveryLengthAlignmentAndSplit) {
    std::mt19937_64 random(21);
    std::vector<std::uint8_t> bytes(700);
    for (auto& byte : bytes)
        byte = static_cast<std::uint8_t>(random());
    for (std::size_t count = 0; count + 8 < bytes.size(); ++count) {
        const ByteView whole = ByteView(bytes).subspan(count % 8, count);
        const std::uint32_t expected = crc32c_by_bits(whole);
        ASSERT_EQ(crc32c(0, whole), expected) << count << " bytes";
        const auto split = static_cast<std::size_t>(random() % (count + 1));
        ASSERT_EQ(crc32c(crc32c(0, whole.first(split)), whole.subspan(split)), expected)
            << count << " at " << split;
    }
}

// Proves: combining the CRCs of two adjacent ranges gives the CRC of both, for every short length and many
// long ones.
TEST(Crc32c, CombineEqualsTheWhole) {
    std::mt19937_64 random(22);
    std::vector<std::uint8_t> bytes(300000);
    for (auto& byte : bytes)
        byte = static_cast<std::uint8_t>(random());
    const auto expect_combined = [&](std::size_t first, std::size_t second) {
        const ByteView a = ByteView(bytes).first(first), b = ByteView(bytes).subspan(first, second);
        EXPECT_EQ(crc32c_combine(crc32c(0, a), crc32c(0, b), second),
                  crc32c(0, ByteView(bytes).first(first + second)))
            << first << " and " << second;
    };
    for (std::size_t second = 0; second < 600; ++second)
        expect_combined(random() % 1000, second);
    for (int i = 0; i < 300; ++i)
        expect_combined(random() % 150000, random() % 150000);
}

// Proves: combination works for lengths that nobody can compute directly: 2^40 zero bytes by doubling.
TEST(Crc32c, CombineReachesLongRanges) {
    std::uint32_t zeros = crc32c(0, std::vector<std::uint8_t>(1, 0));
    std::uint64_t count = 1;
    for (int doubling = 0; doubling < 40; ++doubling) {
        zeros = crc32c_combine(zeros, zeros, count);
        count *= 2;
        if (count == 32) {
            EXPECT_EQ(zeros, 0x8a9136aau);
        }
        if (count == 1u << 20) {
            EXPECT_EQ(zeros, crc32c(0, std::vector<std::uint8_t>(1u << 20, 0)));
        }
    }
    EXPECT_EQ(crc32c_combine(crc32c_combine(zeros, 0xe3069283u, 9), zeros, count),
              crc32c_combine(zeros, crc32c_combine(0xe3069283u, zeros, count), count + 9));
}

}  // namespace
}  // namespace longhaul::fec
