// First pass and repair of one stripe.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/symbol_source.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace longhaul::session {
namespace {

// Above this many missing symbols fresh parity stops paying: the receiver has kParitySlots places for rows,
// and decoding costs grow with the square of the erasures.
constexpr unsigned kParityRepairMax = 12;

unsigned with_margin(unsigned need, double loss) noexcept {
    const double expected_loss = need * std::min(loss, 0.5);
    return need + static_cast<unsigned>(std::ceil(expected_loss + 2 * std::sqrt(expected_loss)));
}

}  // namespace

std::uint8_t* SymbolSource::slot(const SentStripe& stripe, unsigned index) const noexcept {
    return stripe.block.data() + parameters_.stripe_bytes() + std::size_t{index} * parameters_.symbol_bytes;
}

// Names the rows that the slots will hold. Rows never wrap inside a batch, so that one encode call makes them all.
void SymbolSource::begin_slots(SentStripe& stripe, unsigned rows) const noexcept {
    LH_ASSERT(stripe.slots_sent == stripe.slots_filled);
    rows = std::min({rows, kParitySlots, fec::kParityRowsMax - stripe.next_row});
    stripe.slot_row = stripe.next_row;
    stripe.slots_filled = static_cast<std::uint8_t>(rows);
    stripe.slots_sent = 0;
    stripe.next_row = static_cast<std::uint8_t>((stripe.next_row + rows) % fec::kParityRowsMax);
}

Symbol SymbolSource::first_pass(SentStripe& stripe) const noexcept {
    LH_ASSERT(!stripe.sent());
    const unsigned position = stripe.sent_once++;
    if (position == 0) begin_slots(stripe, stripe.m);
    if (position < stripe.k) {
        const std::uint8_t* const symbol =
            stripe.block.data() + std::size_t{position} * parameters_.symbol_bytes;
        if (position % fec::kPassSources == 0)
            codec_.encode_group(symbol, position, std::min(fec::kPassSources, stripe.k - position),
                                parameters_.symbol_bytes, stripe.slot_row, stripe.m, slot(stripe, 0));
        return {symbol, static_cast<std::uint8_t>(position)};
    }
    const unsigned index = stripe.slots_sent++;
    return {slot(stripe, index), static_cast<std::uint8_t>(wire::kDataSymbolsMax + stripe.slot_row + index)};
}

Symbol SymbolSource::repair(SentStripe& stripe) const noexcept {
    LH_ASSERT(stripe.repair_pending());
    for (unsigned half = 0; half < 2; ++half) {
        if (stripe.resend[half] == 0) continue;
        const unsigned position = half * 64 + static_cast<unsigned>(std::countr_zero(stripe.resend[half]));
        stripe.resend[half] &= stripe.resend[half] - 1;
        return {stripe.block.data() + std::size_t{position} * parameters_.symbol_bytes,
                static_cast<std::uint8_t>(position)};
    }
    if (stripe.slots_sent == stripe.slots_filled) {
        begin_slots(stripe, stripe.rows_wanted);
        codec_.encode(stripe.block.data(), stripe.k, parameters_.symbol_bytes, stripe.slot_row,
                      stripe.slots_filled, slot(stripe, 0));
        stripe.rows_wanted = static_cast<std::uint8_t>(stripe.rows_wanted - stripe.slots_filled);
    }
    const unsigned index = stripe.slots_sent++;
    return {slot(stripe, index), static_cast<std::uint8_t>(wire::kDataSymbolsMax + stripe.slot_row + index)};
}

void SymbolSource::ask(SentStripe& stripe, const wire::Nack& nack, double loss) const noexcept {
    unsigned missing = 0;
    std::array<std::uint64_t, 2> absent{};
    for (unsigned symbol = 0; symbol < stripe.k; ++symbol) {
        const std::uint64_t bit = std::uint64_t{1} << symbol % 64;
        if (nack.need != wire::kNeedUnknown && (nack.have[symbol / 64] & bit) != 0) continue;
        absent[symbol / 64] |= bit;
        ++missing;
    }
    if (missing == 0) return;  // it has all the data: nothing to repair, whatever the request says
    const unsigned need = std::min<unsigned>(nack.need, missing);
    stripe.resend = {};
    stripe.rows_wanted = 0;
    if (need > kParityRepairMax || missing > kParitySlots) {
        stripe.slots_sent = stripe.slots_filled;
        unsigned spare = missing - std::min(missing, with_margin(need, loss));
        for (unsigned half = 2; half-- > 0;) {
            for (; spare > 0 && absent[half] != 0; --spare)
                absent[half] &= ~std::bit_floor(absent[half]);
        }
        stripe.resend = absent;
        return;
    }
    const unsigned wanted = std::min(with_margin(need, loss), kParitySlots);
    const unsigned standing = stripe.slots_filled - stripe.slots_sent;
    stripe.rows_wanted = static_cast<std::uint8_t>(wanted > standing ? wanted - standing : 0);
}

}  // namespace longhaul::session
