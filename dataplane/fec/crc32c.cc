// CRC32C by ISA-L, and combination by multiplying with x^(8 * bytes) modulo the polynomial.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fec/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <array>

namespace longhaul::fec {
namespace {

// Polynomials over GF(2) of degree < 32, bit-reversed as CRC32C has them: bit 31 is the coefficient of x^0.
constexpr std::uint32_t kPolynomial = 0x82f63b78;
constexpr std::uint32_t kOne = 0x80000000;

constexpr std::uint32_t times_x(std::uint32_t a) noexcept {
    return (a & 1) != 0 ? a >> 1 ^ kPolynomial : a >> 1;
}

constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
    std::uint32_t product = 0;
    for (std::uint32_t bit = kOne; bit != 0; bit >>= 1) {
        if ((a & bit) != 0) product ^= b;
        b = times_x(b);
    }
    return product;
}

// powers[i] = x^(8 * 2^i): the shift by 2^i bytes.
constexpr std::array<std::uint32_t, 64> shift_powers() noexcept {
    std::array<std::uint32_t, 64> powers{};
    std::uint32_t power = kOne;
    for (int i = 0; i < 8; ++i)
        power = times_x(power);
    for (auto& entry : powers) {
        entry = power;
        power = multiply(power, power);
    }
    return powers;
}
constexpr std::array<std::uint32_t, 64> kShiftPowers = shift_powers();

}  // namespace

std::uint32_t crc32c(std::uint32_t crc, ByteView bytes) noexcept {
    constexpr std::size_t kChunk = std::size_t{1} << 30;  // ISA-L takes the length as int
    std::uint32_t state = ~crc;  // and the register as it is, without the final complement
    while (!bytes.empty()) {
        const std::size_t chunk = std::min(bytes.size(), kChunk);
        state = crc32_iscsi(const_cast<std::uint8_t*>(bytes.data()), static_cast<int>(chunk), state);
        bytes = bytes.subspan(chunk);
    }
    return ~state;
}

std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b, std::uint64_t bytes_b) noexcept {
    for (std::size_t bit = 0; bytes_b != 0; ++bit, bytes_b >>= 1) {
        if ((bytes_b & 1) != 0) crc_a = multiply(crc_a, kShiftPowers[bit]);
    }
    return crc_a ^ crc_b;
}

}  // namespace longhaul::fec
