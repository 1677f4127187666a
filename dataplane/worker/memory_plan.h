// Memory, sized once at start from rate and RTT, printed, never grown after. Pure arithmetic.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"

namespace longhaul::worker {

struct MemoryPlan {
    std::uint64_t stripe_bytes = 0;  // payload of a full stripe
    std::uint64_t block_stride = 0;  // arena bytes of one block
    // Of one worker, per link. All workers together: retention until decoded (2.5 x BDP) + read-ahead; open stripes and
    // blocks being written (2 x BDP + writes).
    std::uint32_t send_blocks = 0;
    std::uint32_t receive_blocks = 0;
    std::uint32_t read_ahead_blocks = 0;  // part of send_blocks
    unsigned links = 0;
    unsigned workers = 1;
    std::uint64_t arena_bytes = 0;  // of one worker, all links
    std::string text() const;
};

MemoryPlan plan_memory(std::uint64_t rate_bps, unsigned rtt_ms, unsigned links, unsigned stripe_symbols,
                       std::size_t symbol_bytes, unsigned workers = 1);

// One anonymous mapping: hugepages when asked for and free, ordinary pages (with transparent hugepages advised) otherwise.
class Arena {
  public:
    static Result<Arena> map(std::uint64_t bytes, bool hugepages);
    Arena(Arena&& other) noexcept;
    Arena& operator=(Arena&& other) noexcept;
    ~Arena();
    std::uint8_t* data() const { return data_; }
    std::size_t size() const { return size_; }
    bool on_hugepages() const { return hugepages_; }

  private:
    Arena(std::uint8_t* data, std::size_t size, bool hugepages)
        : data_(data), size_(size), hugepages_(hugepages) {}
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
    bool hugepages_ = false;
};

}  // namespace longhaul::worker
