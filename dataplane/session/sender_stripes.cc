// Cutting bundles into stripes: head, payload, trailer, one bundle after the other, inside credit and memory.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "dataplane/session/sender_state.h"

namespace longhaul::session {
namespace {

constexpr std::uint64_t kTailStripes = 4;  // the end of a flow that nobody follows gets the tail's redundancy

}  // namespace

Sender::State::Next Sender::State::next_section(const OutgoingBundle& bundle) {
    if (bundle.head_cut < bundle.head.size()) return pool.free_count() > 0 ? Next::head : Next::none;
    if (bundle.payload_cut < bundle.payload_bytes)
        return reads.ready(bundle.handle) ? Next::payload : Next::none;
    if (bundle.trailer_here) return pool.free_count() > 0 ? Next::trailer : Next::none;
    return Next::none;
}

bool Sender::State::can_cut() {
    if (window.full() || window.next() >= stripe_limit) return false;
    const OutgoingBundle* bundle = bundles.current();
    return bundle != nullptr && next_section(*bundle) != Next::none;
}

Block Sender::State::copy_section(const std::vector<std::uint8_t>& bytes, std::uint64_t offset,
                                  std::uint32_t& taken) {
    Block block = pool.take();
    LH_ASSERT(block);
    taken = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(bytes.size() - offset, config.parameters.stripe_bytes()));
    std::memcpy(block.data(), bytes.data() + offset, taken);
    return block;
}

unsigned Sender::State::parity_rows(const OutgoingBundle& bundle, Next section, unsigned k, TimeNs now) {
    const bool last = !bundles.anything_behind(bundle);
    if (section != Next::payload) return parity.guarded(k, loss.value(), last, now);
    const std::uint64_t left = bundle.payload_bytes - bundle.payload_cut;  // this stripe included
    if (last && left <= kTailStripes * config.parameters.stripe_bytes())
        return parity.guarded(k, loss.value(), true, now);
    return parity.steady(k, loss.value(), now);
}

bool Sender::State::cut_stripe(TimeNs now) {
    if (!can_cut()) return false;
    OutgoingBundle& bundle = *bundles.current();
    const Next section = next_section(bundle);
    const bool first = !bundle.started();
    Block block;
    std::uint32_t bytes = 0;
    if (section == Next::payload)
        block = reads.take(bytes);
    else if (section == Next::head)
        block = copy_section(bundle.head, bundle.head_cut, bytes);
    else
        block = copy_section(bundle.trailer, bundle.trailer_cut, bytes);

    const std::size_t symbol_bytes = config.parameters.symbol_bytes;
    const auto k = static_cast<unsigned>((bytes + symbol_bytes - 1) / symbol_bytes);
    std::memset(block.data() + bytes, 0, k * symbol_bytes - bytes);

    SentStripe& stripe = window.append();
    stripe.block = std::move(block);
    stripe.bundle = bundle.handle;
    stripe.first = first;
    stripe.k = static_cast<std::uint8_t>(k);
    stripe.m = static_cast<std::uint8_t>(parity_rows(bundle, section, k, now));
    sending = stripe.number;

    switch (section) {
        case Next::head:
            stripe.section = wire::Section::head;
            bundle.head_cut += bytes;
            break;
        case Next::payload:
            stripe.section = wire::Section::payload;
            bundle.payload_cut += bytes;
            stats.payload_bytes += bytes;
            break;
        case Next::trailer:
            stripe.section = wire::Section::trailer;
            bundle.trailer_cut += bytes;
            if (bundle.all_cut()) bundle.stripe_end = window.next();
            break;
        case Next::none:
            LH_ASSERT(false);
    }
    return true;
}

void Sender::State::end_bundle_early(OutgoingBundle& bundle) {
    if (!bundle.started() || bundle.trailer_cut > 0 || bundle.cut_short) return;
    reads.abandon(bundle.handle);
    bundles.cut_short(bundle);
}

}  // namespace longhaul::session
