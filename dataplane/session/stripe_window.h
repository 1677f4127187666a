// Stripes that were sent and not yet completed: each keeps its block, because a repair may need it until the
// far side has decoded it. Dense numbers, a ring as large as the pool: a look-up is an index.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "dataplane/session/block_pool.h"
#include "dataplane/wire/packet.h"

namespace longhaul::session {

struct SentStripe {
    Block block;
    std::uint64_t number = 0;
    std::uint32_t bundle = 0;
    wire::Section section = wire::Section::payload;
    bool first = false;  // of its bundle
    std::uint8_t k = 0;
    std::uint8_t m = 0;           // parity rows of the first pass
    std::uint8_t lane_turn = 0;   // the lane whose turn it is for its next symbol of the first pass
    std::uint16_t sent_once = 0;  // symbols of the first pass already sent, 0..k+m
    std::uint8_t next_row = 0;    // the next parity row never sent, modulo 128

    // Rows [slot_row, slot_row + slots_filled) stand in the parity area; the first slots_sent of them have
    // left.
    std::uint8_t slot_row = 0, slots_filled = 0, slots_sent = 0;

    // Repair that was asked for and has not left yet.
    std::uint8_t rows_wanted = 0;
    std::array<std::uint64_t, 2> resend{};  // data symbols
    bool queued = false;                    // stands in the repair queue
    std::uint8_t epoch = 0;                 // of the last request served; 0: none
    TimeNs repaired_at = 0;                 // when the last repair symbol left; 0: never

    bool sent() const noexcept { return sent_once == k + m; }
    bool complete() const noexcept { return !block; }  // at the far side; the block is free
    bool repair_pending() const noexcept {
        return slots_sent < slots_filled || rows_wanted > 0 || (resend[0] | resend[1]) != 0;
    }
};

class StripeWindow {
  public:
    // Blocks are freed one by one, so that a stripe that is long in coming back holds up nobody: the numbers in the
    // window may be several times the blocks.
    static constexpr std::size_t kStripesPerBlock = 4;
    explicit StripeWindow(std::size_t blocks) : ring_(std::bit_ceil(blocks * kStripesPerBlock)) {}

    std::size_t room() const noexcept { return ring_.size(); }

    std::uint64_t base() const noexcept { return base_; }  // complete below
    std::uint64_t next() const noexcept { return next_; }  // number of the next stripe
    bool full() const noexcept { return next_ - base_ == ring_.size(); }
    bool contains(std::uint64_t number) const noexcept { return number >= base_ && number < next_; }
    // Begun and not known to be complete.
    bool waits(std::uint64_t number) const noexcept { return contains(number) && !at(number).complete(); }

    SentStripe& append() noexcept {
        LH_ASSERT(!full());
        SentStripe& stripe = at(next_);
        stripe = SentStripe{};
        stripe.number = next_++;
        return stripe;
    }
    SentStripe& at(std::uint64_t number) noexcept { return ring_[number & (ring_.size() - 1)]; }
    const SentStripe& at(std::uint64_t number) const noexcept { return ring_[number & (ring_.size() - 1)]; }

    // Frees the blocks of all stripes below; returns how many were freed.
    std::uint64_t complete_below(std::uint64_t number) noexcept {
        std::uint64_t freed = 0;
        for (; base_ < number && base_ < next_; ++base_)
            freed += complete(base_) ? 1 : 0;
        return freed;
    }
    // The same for one stripe; false when it was known, or is none of ours.
    bool complete(std::uint64_t number) noexcept {
        if (!waits(number)) return false;
        at(number).block.reset();
        return true;
    }

  private:
    std::vector<SentStripe> ring_;
    std::uint64_t base_ = 0, next_ = 0;
};

}  // namespace longhaul::session
