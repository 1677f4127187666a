// CRC32C of one entry whose parts arrive in any order: in-order bytes extend one running value, parts that
// came early wait as (offset, length, crc) until the gap before them is closed. Holds no bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>

#include "dataplane/base/bytes.h"

namespace longhaul::storage {

class EntryCrc {
  public:
    void add(std::uint64_t offset, ByteView bytes);
    std::uint64_t bytes() const noexcept { return bytes_; }  // length of the prefix without gaps
    std::uint32_t value() const noexcept { return crc_; }    // of that prefix

  private:
    struct Part {
        std::uint64_t bytes;
        std::uint32_t crc;
    };
    std::uint64_t bytes_ = 0;
    std::uint32_t crc_ = 0;
    std::map<std::uint64_t, Part> early_;
};

}  // namespace longhaul::storage
