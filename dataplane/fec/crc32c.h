// CRC32C (Castagnoli, RFC 3720 B.4; the one GCS reports): update over ISA-L, and combination of adjacent ranges.
// Values are the finished CRC (as "123456789" -> 0xe3069283); crc32c(0, {}) == 0 starts a chain.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/base/bytes.h"

namespace longhaul::fec {

std::uint32_t crc32c(std::uint32_t crc, ByteView bytes) noexcept;  // crc of (previous bytes ++ bytes)
// crc of (A ++ B) from crc(A), crc(B) and |B|.
std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b, std::uint64_t bytes_b) noexcept;

}  // namespace longhaul::fec
