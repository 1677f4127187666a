// Total readers and bounded writers of network-order bytes: they never touch a byte outside their span.
// A reader that ran short stays failed and yields zeros; check ok() once after a group of reads.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace longhaul {

using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

// Unsigned numbers of 1 to 8 bytes in network order, at any address.
template <std::size_t Count>
std::uint64_t load_big_endian(const std::uint8_t* from) noexcept {
    static_assert(Count >= 1 && Count <= 8 && std::endian::native == std::endian::little);
    std::uint64_t value = 0;
    std::memcpy(&value, from, Count);
    return __builtin_bswap64(value) >> (64 - 8 * Count);
}
template <std::size_t Count>
void store_big_endian(std::uint8_t* to, std::uint64_t value) noexcept {
    static_assert(Count >= 1 && Count <= 8 && std::endian::native == std::endian::little);
    const std::uint64_t swapped = __builtin_bswap64(value << (64 - 8 * Count));
    std::memcpy(to, &swapped, Count);
}

class ByteReader {
  public:
    explicit ByteReader(ByteView bytes) noexcept : bytes_(bytes) {}

    bool ok() const noexcept { return ok_; }
    std::size_t remaining() const noexcept { return bytes_.size() - position_; }
    std::size_t position() const noexcept { return position_; }

    std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(unsigned_of<1>()); }
    std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(unsigned_of<2>()); }
    std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(unsigned_of<4>()); }
    std::uint64_t u48() noexcept { return unsigned_of<6>(); }
    std::uint64_t u64() noexcept { return unsigned_of<8>(); }
    std::int32_t i32() noexcept { return static_cast<std::int32_t>(u32()); }
    std::int64_t i64() noexcept { return static_cast<std::int64_t>(u64()); }

    // The next `count` bytes, borrowed from the span under the reader; empty and failed when there are fewer.
    ByteView bytes(std::size_t count) noexcept {
        if (!take(count)) return {};
        return bytes_.subspan(position_ - count, count);
    }

  private:
    bool take(std::size_t count) noexcept {
        if (!ok_ || count > remaining()) {
            ok_ = false;
            return false;
        }
        position_ += count;
        return true;
    }
    template <std::size_t Count>
    std::uint64_t unsigned_of() noexcept {
        if (!take(Count)) return 0;
        return load_big_endian<Count>(bytes_.data() + position_ - Count);
    }

    ByteView bytes_;
    std::size_t position_ = 0;
    bool ok_ = true;
};

class ByteWriter {
  public:
    explicit ByteWriter(MutableByteView bytes) noexcept : bytes_(bytes) {}

    bool ok() const noexcept { return ok_; }
    std::size_t written() const noexcept { return position_; }
    std::size_t room() const noexcept { return bytes_.size() - position_; }

    void u8(std::uint8_t value) noexcept { put<1>(value); }
    void u16(std::uint16_t value) noexcept { put<2>(value); }
    void u32(std::uint32_t value) noexcept { put<4>(value); }
    void u48(std::uint64_t value) noexcept { put<6>(value); }
    void u64(std::uint64_t value) noexcept { put<8>(value); }
    void i32(std::int32_t value) noexcept { put<4>(static_cast<std::uint32_t>(value)); }
    void i64(std::int64_t value) noexcept { put<8>(static_cast<std::uint64_t>(value)); }
    void bytes(ByteView value) noexcept {
        if (!take(value.size())) return;
        if (!value.empty()) std::memcpy(bytes_.data() + position_ - value.size(), value.data(), value.size());
    }

  private:
    bool take(std::size_t count) noexcept {
        if (!ok_ || count > room()) {
            ok_ = false;
            return false;
        }
        position_ += count;
        return true;
    }
    template <std::size_t Count>
    void put(std::uint64_t value) noexcept {
        if (take(Count)) store_big_endian<Count>(bytes_.data() + position_ - Count, value);
    }

    MutableByteView bytes_;
    std::size_t position_ = 0;
    bool ok_ = true;
};

inline ByteView as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace longhaul
