// The receiver's stripes from the first sign of them until their block is released, and the credit that
// follows from their number. Every stripe the sender is known to have begun holds a place here, seen or not,
// so a block is always left for it: credit can never promise what the pool does not have, and a missing
// stripe can never be starved.
//
//   place:  listed, nothing here (missing) | listed, some symbols (open) | decoded (held, writing) ->
//   released A place of a stripe beyond every authentic one exists only while a packet is between admit and
//   settle.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/session/block_pool.h"
#include "dataplane/session/parameters.h"
#include "dataplane/wire/drop_reason.h"
#include "dataplane/wire/packet.h"

namespace longhaul::session {

inline constexpr std::uint32_t kNoPlace = ~std::uint32_t{0};

struct OpenStripe {
    std::uint64_t number = 0;
    Block block;
    bool listed = false;  // below next_known: counts against credit, asked for when late
    bool decoded = false;
    bool described = false;  // the facts below come from an authentic packet

    // Facts every packet of the stripe must agree on.
    std::uint32_t bundle = 0;
    wire::Section section = wire::Section::payload;
    bool first = false;
    std::uint8_t k = 0;

    std::array<std::uint64_t, 2> have{}, claimed{};
    std::array<std::uint8_t, kParitySlots> rows{};
    std::uint16_t slots_here = 0, slots_claimed = 0;  // bit per parity slot
    std::uint8_t data_here = 0, data_claimed = 0, parity_here = 0, parity_claimed = 0;

    // When to ask for more: not before its turns have passed and reordering has had its time (TurnMeter).
    bool overtaken = false;
    TimeNs ask_at = ~TimeNs{0};
    std::uint8_t epoch = 0;       // of the last request; 0: none yet
    std::uint64_t turn_seen = 0;  // symbols of first passes that had come when this stripe's last one came

    std::uint32_t previous = kNoPlace, next = kNoPlace;  // incomplete stripes, ascending by number
    std::uint32_t next_held = kNoPlace;                  // decoded, waiting for its bundle

    bool empty() const noexcept { return data_here + data_claimed + parity_here + parity_claimed == 0; }
    bool enough() const noexcept { return described && data_here + parity_here >= k; }
    bool claims() const noexcept { return data_claimed + parity_claimed > 0; }
};

class StripeTable {
  public:
    StripeTable(const Parameters& parameters, BlockPool& pool, std::size_t stripes_max);

    // Reserves the symbol's room; `place` and `position` (symbol, or 128 + parity slot) name it until
    // settled.
    wire::DropReason claim(const wire::Header& header, std::uint32_t& place, std::uint32_t& position,
                           std::uint8_t*& into) noexcept;
    // The claim counts; stripes below it that nobody has seen become missing ones.
    void confirm(const wire::Header& header, std::uint32_t place, std::uint32_t position) noexcept;
    // The claim never was.
    void withdraw(std::uint32_t place, std::uint32_t position) noexcept;

    // The sender has begun every stripe below `number`: the unseen ones get a place.
    void known_below(std::uint64_t number) noexcept;

    void mark_decoded(std::uint32_t place) noexcept;  // leaves the list of incomplete stripes
    void release(std::uint32_t place) noexcept;       // decoded only: block and place go back

    OpenStripe& at(std::uint32_t place) noexcept { return places_[place]; }
    std::uint32_t first_incomplete() const noexcept { return list_head_; }
    std::uint32_t find(std::uint64_t number) const noexcept;  // kNoPlace: done, or not known

    // Bit i: stripe number + i is decoded (or below the base).
    std::uint64_t decoded_word(std::uint64_t number) const noexcept;

    std::uint64_t complete_below() const noexcept { return base_; }
    std::uint64_t next_known() const noexcept { return next_known_; }
    std::uint64_t limit() const noexcept;  // credit; never goes back
    std::size_t in_use() const noexcept { return places_.size() - free_.size(); }
    std::uint8_t* parity_slot(const OpenStripe& stripe, unsigned slot) const noexcept;

  private:
    static constexpr std::uint32_t kDone = kNoPlace - 1;
    wire::DropReason check(const wire::Header& header) const noexcept;
    wire::DropReason check_place(const OpenStripe& stripe, const wire::Header& header) const noexcept;
    std::uint32_t take_place(std::uint64_t number) noexcept;
    void list(std::uint32_t place) noexcept;
    void take_claim(OpenStripe& stripe, std::uint32_t position) noexcept;
    std::uint32_t& entry(std::uint64_t number) noexcept { return entries_[number & (entries_.size() - 1)]; }
    std::uint32_t entry(std::uint64_t number) const noexcept {
        return entries_[number & (entries_.size() - 1)];
    }

    Parameters parameters_;
    BlockPool& pool_;
    std::vector<OpenStripe> places_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> entries_;  // by stripe number: place, kDone or kNoPlace
    std::uint64_t base_ = 0;              // every stripe below is decoded
    std::uint64_t next_known_ = 0;        // highest stripe known to have been begun, plus one
    std::size_t listed_ = 0;              // places that count against credit
    std::uint32_t list_head_ = kNoPlace, list_tail_ = kNoPlace;
};

}  // namespace longhaul::session
