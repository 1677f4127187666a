// Places, claims and credit.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/stripe_table.h"

#include <algorithm>
#include <bit>

namespace longhaul::session {
namespace {

// Stripes decoded behind a missing one cost no block but an entry each: this many fit behind the oldest gap.
constexpr std::size_t kEntriesMin = 65536;
constexpr std::size_t kEntriesPerPlace = 16;

}  // namespace

StripeTable::StripeTable(const Parameters& parameters, BlockPool& pool, std::size_t stripes_max)
    : parameters_(parameters),
      pool_(pool),
      places_(std::min(stripes_max, pool.total())),
      entries_(std::bit_ceil(std::max(kEntriesMin, places_.size() * kEntriesPerPlace)), kNoPlace) {
    LH_ASSERT(!places_.empty());
    free_.reserve(places_.size());
    for (std::size_t i = places_.size(); i-- > 0;)
        free_.push_back(static_cast<std::uint32_t>(i));
}

std::uint64_t StripeTable::limit() const noexcept {
    return std::min(next_known_ + (places_.size() - listed_), base_ + entries_.size());
}

std::uint8_t* StripeTable::parity_slot(const OpenStripe& stripe, unsigned slot) const noexcept {
    return stripe.block.data() + parameters_.stripe_bytes() + std::size_t{slot} * parameters_.symbol_bytes;
}

std::uint32_t StripeTable::find(std::uint64_t number) const noexcept {
    if (number < base_ || number >= limit()) return kNoPlace;
    const std::uint32_t place = entry(number);
    return place == kDone ? kNoPlace : place;
}

std::uint64_t StripeTable::decoded_word(std::uint64_t number) const noexcept {
    std::uint64_t word = 0;
    for (unsigned bit = 0; bit < 64 && number + bit < next_known_; ++bit)
        if (number + bit < base_ || entry(number + bit) == kDone) word |= std::uint64_t{1} << bit;
    return word;
}

wire::DropReason StripeTable::check(const wire::Header& header) const noexcept {
    const bool parity = header.symbol >= wire::kDataSymbolsMax;
    if (parity != (header.type == wire::PacketType::parity)) return wire::DropReason::packet_malformed;
    if (!parity && header.symbol >= header.data_symbols) return wire::DropReason::packet_malformed;
    if (header.data_symbols == 0 || header.data_symbols > parameters_.stripe_symbols)
        return wire::DropReason::stripe_conflict;
    if (header.stripe < base_) return wire::DropReason::stripe_done;
    if (header.stripe >= limit()) return wire::DropReason::stripe_no_credit;
    if (entry(header.stripe) == kDone) return wire::DropReason::stripe_done;
    return wire::DropReason::none;
}

wire::DropReason StripeTable::check_place(const OpenStripe& stripe,
                                          const wire::Header& header) const noexcept {
    if (stripe.decoded) return wire::DropReason::stripe_done;
    if (stripe.described || stripe.claims()) {
        const bool agrees = stripe.k == header.data_symbols && stripe.bundle == header.bundle &&
                            stripe.section == header.section() &&
                            stripe.first == ((header.flags & wire::Flags::first) != 0);
        if (!agrees) return wire::DropReason::stripe_conflict;
    }
    if (header.symbol < wire::kDataSymbolsMax) {
        const std::uint64_t bit = std::uint64_t{1} << header.symbol % 64;
        const unsigned half = header.symbol / 64;
        return ((stripe.have[half] | stripe.claimed[half]) & bit) != 0 ? wire::DropReason::symbol_duplicate
                                                                       : wire::DropReason::none;
    }
    const auto row = static_cast<std::uint8_t>(header.symbol - wire::kDataSymbolsMax);
    const unsigned taken = stripe.slots_here | stripe.slots_claimed;
    for (unsigned slot = 0; slot < kParitySlots; ++slot)
        if ((taken >> slot & 1) != 0 && stripe.rows[slot] == row) return wire::DropReason::symbol_duplicate;
    const unsigned symbols =
        stripe.data_here + stripe.data_claimed + stripe.parity_here + stripe.parity_claimed;
    const bool useful =
        symbols < header.data_symbols && stripe.parity_here + stripe.parity_claimed < kParitySlots;
    return useful ? wire::DropReason::none : wire::DropReason::parity_surplus;
}

wire::DropReason StripeTable::claim(const wire::Header& header, std::uint32_t& place, std::uint32_t& position,
                                    std::uint8_t*& into) noexcept {
    if (const auto drop = check(header); drop != wire::DropReason::none) return drop;
    place = entry(header.stripe);
    if (place != kNoPlace) {
        if (const auto drop = check_place(places_[place], header); drop != wire::DropReason::none)
            return drop;
    } else {
        place = take_place(header.stripe);
    }
    OpenStripe& stripe = places_[place];
    if (!stripe.block) {
        stripe.block = pool_.take();
        if (!stripe.block) {  // only when the pool serves somebody else too
            if (!stripe.listed) withdraw(place, kNoPlace);
            return wire::DropReason::no_buffer;
        }
    }
    if (!stripe.described && !stripe.claims()) {
        stripe.bundle = header.bundle;
        stripe.section = header.section();
        stripe.first = (header.flags & wire::Flags::first) != 0;
        stripe.k = header.data_symbols;
    }
    if (header.symbol < wire::kDataSymbolsMax) {
        position = header.symbol;
        stripe.claimed[position / 64] |= std::uint64_t{1} << position % 64;
        ++stripe.data_claimed;
        into = stripe.block.data() + std::size_t{position} * parameters_.symbol_bytes;
    } else {
        const auto taken = static_cast<std::uint16_t>(stripe.slots_here | stripe.slots_claimed);
        const auto slot = static_cast<unsigned>(std::countr_one(taken));
        position = wire::kDataSymbolsMax + slot;
        stripe.rows[slot] = static_cast<std::uint8_t>(header.symbol - wire::kDataSymbolsMax);
        stripe.slots_claimed = static_cast<std::uint16_t>(stripe.slots_claimed | 1u << slot);
        ++stripe.parity_claimed;
        into = parity_slot(stripe, slot);
    }
    return wire::DropReason::none;
}

void StripeTable::take_claim(OpenStripe& stripe, std::uint32_t position) noexcept {
    if (position < wire::kDataSymbolsMax) {
        const std::uint64_t bit = std::uint64_t{1} << position % 64;
        LH_ASSERT((stripe.claimed[position / 64] & bit) != 0);
        stripe.claimed[position / 64] &= ~bit;
        --stripe.data_claimed;
    } else {
        const unsigned bit = 1u << (position - wire::kDataSymbolsMax);
        LH_ASSERT((stripe.slots_claimed & bit) != 0);
        stripe.slots_claimed = static_cast<std::uint16_t>(stripe.slots_claimed & ~bit);
        --stripe.parity_claimed;
    }
}

void StripeTable::confirm(const wire::Header& header, std::uint32_t place, std::uint32_t position) noexcept {
    OpenStripe& stripe = places_[place];
    LH_ASSERT(stripe.number == header.stripe && stripe.block);
    take_claim(stripe, position);
    stripe.described = true;
    if (position < wire::kDataSymbolsMax) {
        stripe.have[position / 64] |= std::uint64_t{1} << position % 64;
        ++stripe.data_here;
    } else {
        stripe.slots_here =
            static_cast<std::uint16_t>(stripe.slots_here | 1u << (position - wire::kDataSymbolsMax));
        ++stripe.parity_here;
    }
    known_below(header.stripe + 1);
}

void StripeTable::withdraw(std::uint32_t place, std::uint32_t position) noexcept {
    OpenStripe& stripe = places_[place];
    if (position != kNoPlace) take_claim(stripe, position);
    if (!stripe.empty()) return;
    stripe.block.reset();
    if (stripe.listed) return;  // a missing stripe keeps its place
    entry(stripe.number) = kNoPlace;
    free_.push_back(place);
}

std::uint32_t StripeTable::take_place(std::uint64_t number) noexcept {
    LH_ASSERT(!free_.empty());  // the limit allows no more stripes than there are places
    const std::uint32_t place = free_.back();
    free_.pop_back();
    places_[place] = OpenStripe{};
    places_[place].number = number;
    entry(number) = place;
    return place;
}

void StripeTable::list(std::uint32_t place) noexcept {
    OpenStripe& stripe = places_[place];
    stripe.listed = true;
    ++listed_;
    stripe.previous = list_tail_;
    if (list_tail_ != kNoPlace)
        places_[list_tail_].next = place;
    else
        list_head_ = place;
    list_tail_ = place;
}

void StripeTable::known_below(std::uint64_t number) noexcept {
    number = std::min(number, limit());
    for (; next_known_ < number; ++next_known_) {
        const std::uint32_t seen = entry(next_known_);
        list(seen == kNoPlace ? take_place(next_known_) : seen);
    }
}

void StripeTable::mark_decoded(std::uint32_t place) noexcept {
    OpenStripe& stripe = places_[place];
    LH_ASSERT(stripe.listed && !stripe.decoded && !stripe.claims());
    stripe.decoded = true;
    (stripe.previous == kNoPlace ? list_head_ : places_[stripe.previous].next) = stripe.next;
    (stripe.next == kNoPlace ? list_tail_ : places_[stripe.next].previous) = stripe.previous;
    entry(stripe.number) = kDone;
    for (; base_ < next_known_ && entry(base_) == kDone; ++base_)
        entry(base_) = kNoPlace;
}

void StripeTable::release(std::uint32_t place) noexcept {
    OpenStripe& stripe = places_[place];
    LH_ASSERT(stripe.decoded && stripe.listed);
    stripe.block.reset();
    stripe.listed = false;
    --listed_;
    free_.push_back(place);
}

}  // namespace longhaul::session
