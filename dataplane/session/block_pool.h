// Blocks: a stripe's k data symbols, contiguous, followed by room for parity symbols, in one arena that the storage
// ring and the crypto device know. Born at read or at a stripe's first packet; a block has one owner, its worker,
// for life. The handle is move-only and returns the block on destruction; everybody else borrows a span for a call.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/assert.h"
#include "dataplane/base/bytes.h"

namespace longhaul::session {

class BlockPool;

class Block {
  public:
    Block() = default;
    Block(Block&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), index_(other.index_) {}
    Block& operator=(Block&& other) noexcept;
    ~Block() { reset(); }
    explicit operator bool() const noexcept { return pool_ != nullptr; }
    std::uint32_t index() const noexcept { return index_; }
    std::uint8_t* data() const noexcept;  // block_bytes of the pool, 4096-aligned
    void reset() noexcept;

  private:
    friend class BlockPool;
    Block(BlockPool* pool, std::uint32_t index) noexcept : pool_(pool), index_(index) {}
    BlockPool* pool_ = nullptr;
    std::uint32_t index_ = 0;
};

class BlockPool {
  public:
    // The arena stays the caller's and must outlive the pool; `stride` is a multiple of 4096 and >= block_bytes.
    BlockPool(MutableByteView arena, std::size_t stride) : arena_(arena), stride_(stride) {
        LH_ASSERT(stride > 0 && stride % 4096 == 0);
        LH_ASSERT(reinterpret_cast<std::uintptr_t>(arena.data()) % 4096 == 0);
        free_.resize(arena.size() / stride);
        for (std::size_t i = 0; i < free_.size(); ++i)
            free_[i] = static_cast<std::uint32_t>(free_.size() - 1 - i);
        total_ = free_.size();
    }
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    Block take() noexcept {  // empty handle when none is free
        if (free_.empty()) return {};
        const std::uint32_t index = free_.back();
        free_.pop_back();
        return Block(this, index);
    }
    std::size_t free_count() const noexcept { return free_.size(); }
    std::size_t total() const noexcept { return total_; }
    std::size_t stride() const noexcept { return stride_; }
    MutableByteView arena() const noexcept { return arena_; }

    // Arena bytes that one stripe block needs: k data symbols and the parity slots, rounded to pages.
    static constexpr std::size_t stride_for(unsigned k, std::size_t symbol_bytes,
                                            unsigned parity_slots) noexcept {
        return ((k + parity_slots) * symbol_bytes + 4095) / 4096 * 4096;
    }

  private:
    friend class Block;
    void give_back(std::uint32_t index) noexcept {
        LH_ASSERT(free_.size() < total_);
        free_.push_back(index);  // capacity was reserved by the constructor: never allocates
    }
    MutableByteView arena_;
    std::size_t stride_;
    std::vector<std::uint32_t> free_;
    std::size_t total_ = 0;
};

inline Block& Block::operator=(Block&& other) noexcept {
    if (this != &other) {
        reset();
        pool_ = std::exchange(other.pool_, nullptr);
        index_ = other.index_;
    }
    return *this;
}
inline std::uint8_t* Block::data() const noexcept {
    LH_ASSERT(pool_ != nullptr);
    return pool_->arena_.data() + std::size_t{index_} * pool_->stride_;
}
inline void Block::reset() noexcept {
    if (pool_ != nullptr) std::exchange(pool_, nullptr)->give_back(index_);
}

}  // namespace longhaul::session
