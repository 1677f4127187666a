// Cutting bundles into stripes: head, payload, trailer, one bundle after the other, inside credit and memory.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "dataplane/session/sender_state.h"

namespace longhaul::session {
namespace {

constexpr std::uint64_t kTailStripesMin = 4;
constexpr std::size_t kBlocksPerDepth = 4;  // at most this share of the pool is in its first pass

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

std::uint64_t Sender::State::stripes_of_round_trip() const {
    const Parameters& parameters = config.parameters;
    const std::uint64_t stripe = parameters.stripe_symbols * parameters.wire_bytes(parameters.symbol_bytes);
    const auto bytes = static_cast<std::uint64_t>(static_cast<double>(controller->rate_bps()) / 8e9 *
                                                  static_cast<double>(rtt.smoothed()));
    return std::max(kTailStripesMin, bytes / stripe + 1);
}

// A stripe whose repair comes before the rest of the flow has left costs no time. So the tail is the last round trip's
// worth of what nobody follows; where latency is the goal, of every bundle, because each is waited for by itself.
std::uint64_t Sender::State::tail_stripes(const OutgoingBundle& bundle) const {
    if (bundles.anything_behind(bundle) && parity.goal() != fec::Goal::latency) return 0;
    const std::size_t full = config.parameters.stripe_bytes();
    const std::uint64_t round_trip = stripes_of_round_trip();
    const std::uint64_t left = (bundle.payload_bytes - bundle.payload_cut + full - 1) / full;
    if (left > round_trip) return 0;
    return std::min(round_trip, (bundle.payload_bytes + full - 1) / full);
}

unsigned Sender::State::depth_allowed() const {
    const auto share = static_cast<unsigned>(pool.total() / kBlocksPerDepth);
    return std::clamp(parity.depth(), 1u, std::max(share, 1u));
}

unsigned Sender::State::parity_rows(const OutgoingBundle& bundle, Next section, unsigned k) {
    const unsigned depth = depth_allowed();
    if (section != Next::payload) return parity.guarded(k, !bundles.anything_behind(bundle), depth);
    const std::uint64_t tail = tail_stripes(bundle);
    if (tail == 0) return parity.steady(k);
    // While reads are late few take turns, and a burst takes more of each.
    const std::size_t company = passing.size() + 1;
    const std::size_t turns = company < depth ? company + reads.ready_count(depth - company) : depth;
    return parity.tail(k, tail, static_cast<unsigned>(std::min<std::size_t>(turns, depth)));
}

// Taking turns helps stripes that have parity; those without are better hit by a burst one at a time. The last stripes
// of a tail join the group before them rather than to make a small one that a burst would cover.
unsigned Sender::State::depth_wanted() {
    const unsigned depth = depth_allowed();
    if (depth == 1) return 1;
    const OutgoingBundle* bundle = bundles.current();
    if (bundle == nullptr) return depth;
    const bool in_tail = tail_stripes(*bundle) > 0;
    if (!in_tail) return parity.steady(config.parameters.stripe_symbols) > 0 ? depth : 1;
    const std::uint64_t left =
        (bundle->payload_bytes - bundle->payload_cut) / config.parameters.stripe_bytes() + 2;
    const bool all_fit = passing.size() + left <= 2 * std::size_t{depth};
    return all_fit ? std::min(2 * depth, std::max(1u, static_cast<unsigned>(pool.total() / 2))) : depth;
}

bool Sender::State::cut_stripe() {
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
    parity.spread_over(lanes.usable());
    stripe.m = static_cast<std::uint8_t>(parity_rows(bundle, section, k));
    stripe.lane_turn = lanes.begin_stripe(k + stripe.m);
    turn = passing.size();  // its first symbol leaves at once
    passing.push_back(stripe.number);

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
