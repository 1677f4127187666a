// Payload stripes that are being read or stand ready, in the order in which they will be sent. Bounded, and
// it leaves a few blocks of the pool alone, so that a head or trailer never waits behind the reads of the
// next bundles.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/session/block_pool.h"
#include "dataplane/session/fixed_queue.h"

namespace longhaul::session {

class ReadAhead {
  public:
    // Blocks that reads may not take.
    static constexpr std::size_t kReserveBlocks = 2;

    ReadAhead(BlockPool& pool, std::size_t blocks_max)
        : pool_(pool),
          queue_(blocks_max),
          position_of_block_(pool.total(), 0),
          orphans_(pool.total()),
          bundle_of_orphan_(pool.total(), 0) {}

    bool can_start() const noexcept { return !queue_.full() && pool_.free_count() > kReserveBlocks; }

    // The block's index is the read's name until done().
    std::uint32_t start(std::uint32_t bundle, std::uint32_t bytes) noexcept {
        Read read;
        read.block = pool_.take();
        LH_ASSERT(read.block);
        read.bundle = bundle;
        read.bytes = bytes;
        const std::uint32_t index = read.block.index();
        position_of_block_[index] = popped_ + queue_.size();
        queue_.push(std::move(read));
        return index;
    }
    std::uint8_t* data(std::uint32_t block) noexcept { return of_block(block).block.data(); }

    struct Done {
        bool wanted = false;  // false: its bundle was cut short meanwhile
        std::uint32_t bundle = 0;
        std::uint32_t bytes = 0;
    };
    Done done(std::uint32_t block) noexcept {
        LH_ASSERT(block < orphans_.size());
        if (orphans_[block]) {
            orphans_[block].reset();
            return {false, bundle_of_orphan_[block], 0};
        }
        Read& read = of_block(block);
        read.ready = true;
        return {true, read.bundle, read.bytes};
    }

    // The next payload stripe of `bundle`, if its read is done.
    bool ready(std::uint32_t bundle) noexcept {
        drop_dead();
        return !queue_.empty() && queue_.front().ready && queue_.front().bundle == bundle;
    }
    // How many of the next stripes are ready, as far as `most`.
    std::size_t ready_count(std::size_t most) noexcept {
        std::size_t count = 0;
        while (count < most && count < queue_.size() && queue_.at(count).ready)
            ++count;
        return count;
    }
    Block take(std::uint32_t& bytes) noexcept {
        LH_ASSERT(queue_.front().ready);
        Read read = queue_.pop();
        ++popped_;
        bytes = read.bytes;
        return std::move(read.block);
    }

    // The bundle's reads are not wanted any more. Those in flight keep their block until the storage is done
    // with it.
    void abandon(std::uint32_t bundle) noexcept {
        for (std::size_t i = 0; i < queue_.size(); ++i) {
            Read& read = queue_.at(i);
            if (read.bundle != bundle || !read.block) continue;
            if (read.ready)
                read.block.reset();
            else
                orphan(std::move(read.block), bundle);
        }
        drop_dead();
    }

  private:
    struct Read {
        Block block;  // empty: abandoned
        std::uint32_t bundle = 0;
        std::uint32_t bytes = 0;
        bool ready = false;
    };
    void orphan(Block block, std::uint32_t bundle) noexcept {
        const std::uint32_t index = block.index();
        bundle_of_orphan_[index] = bundle;
        orphans_[index] = std::move(block);
    }
    Read& of_block(std::uint32_t block) noexcept {
        LH_ASSERT(block < position_of_block_.size());
        Read& read = queue_.at(position_of_block_[block] - popped_);
        LH_ASSERT(read.block && read.block.index() == block);
        return read;
    }
    void drop_dead() noexcept {
        while (!queue_.empty() && !queue_.front().block) {
            queue_.pop();
            ++popped_;
        }
    }

    BlockPool& pool_;
    FixedQueue<Read> queue_;
    std::vector<std::uint64_t> position_of_block_;  // counted from the session's first read
    std::vector<Block> orphans_;                    // by block index: abandoned, the read still in flight
    std::vector<std::uint32_t> bundle_of_orphan_;
    std::uint64_t popped_ = 0;
};

}  // namespace longhaul::session
