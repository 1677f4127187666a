// Placing decoded stripes: head bytes gathered, payload to writes, trailer last.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/incoming_bundles.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace longhaul::session {
namespace {

// A trailer with a verdict for every entry of the largest manifest fits with room to spare; more is not
// believed.
constexpr std::size_t kTrailerBytesMax = 64 + wire::kEntriesMax * 16;

std::uint64_t stripes_for(std::uint64_t bytes, std::uint64_t stripe_bytes) {
    return (bytes + stripe_bytes - 1) / stripe_bytes;
}

}  // namespace

IncomingBundles::IncomingBundles(const Parameters& parameters, StripeTable& stripes, BlockPool& pool,
                                 std::size_t open_max)
    : parameters_(parameters),
      stripes_(stripes),
      ring_(open_max),
      writes_(pool.total()),
      place_of_block_(pool.total(), kNoPlace) {
    LH_ASSERT(open_max >= 1);
}

IncomingBundle* IncomingBundles::find(std::uint32_t handle) noexcept {
    if (!accepts(handle)) return nullptr;
    IncomingBundle& bundle = at(handle);
    return bundle.state != IncomingBundle::State::unseen && bundle.handle == handle ? &bundle : nullptr;
}

void IncomingBundles::touch(std::uint32_t handle) noexcept {
    LH_ASSERT(accepts(handle));
    IncomingBundle& bundle = at(handle);
    if (bundle.state != IncomingBundle::State::unseen) return;
    bundle.state = IncomingBundle::State::heading;
    bundle.handle = handle;
    top_ = std::max(top_, handle + 1);
    ++seen_;
}

void IncomingBundles::place_decoded(std::uint32_t place_index) {
    const std::uint32_t handle = stripes_.at(place_index).bundle;
    IncomingBundle* bundle = find(handle);
    if (bundle == nullptr) {
        stripes_.release(place_index);
        return;
    }
    if (!place(*bundle, place_index)) hold(*bundle, place_index);
    if (stripes_.at(place_index).first) retry_held(*bundle);
    find_trailer_start(*bundle);
    finish_if_all(*bundle);
}

// True when the stripe has found its place (or its end); false when it has to wait.
bool IncomingBundles::place(IncomingBundle& bundle, std::uint32_t place_index) {
    OpenStripe& stripe = stripes_.at(place_index);
    bool taken = false;
    if (bundle.state != IncomingBundle::State::refused) {
        if (!bundle.prefix_known && !(stripe.first && read_prefix(bundle, stripe))) {
            if (bundle.state != IncomingBundle::State::refused) return false;
        }
    }
    if (bundle.state != IncomingBundle::State::refused) {
        switch (stripe.section) {
            case wire::Section::head:
                taken = place_head(bundle, stripe);
                break;
            case wire::Section::payload:
                return place_payload(bundle, place_index);  // keeps its block
            case wire::Section::trailer:
                taken = place_trailer(bundle, stripe);
                break;
            default:
                violated(bundle);
        }
    }
    if (bundle.state == IncomingBundle::State::refused) taken = true;
    if (taken) stripes_.release(place_index);
    return taken;
}

bool IncomingBundles::read_prefix(IncomingBundle& bundle, const OpenStripe& stripe) {
    const std::size_t here = std::size_t{stripe.k} * parameters_.symbol_bytes;
    const auto prefix = wire::parse_head_prefix({stripe.block.data(), here});
    const bool good = stripe.section == wire::Section::head && prefix.ok() &&
                      prefix.value().head_bytes >= wire::kHeadPrefixBytes &&
                      prefix.value().head_bytes <= wire::kHeadBytesMax &&
                      prefix.value().payload_bytes <= wire::kPayloadBytesMax;
    if (!good) {
        violated(bundle);
        return false;
    }
    bundle.prefix_known = true;
    bundle.first = stripe.number;
    bundle.payload_bytes = prefix.value().payload_bytes;
    bundle.head_stripes = stripes_for(prefix.value().head_bytes, parameters_.stripe_bytes());
    bundle.payload_stripes = stripes_for(bundle.payload_bytes, parameters_.stripe_bytes());
    bundle.head.resize(prefix.value().head_bytes);
    return true;
}

bool IncomingBundles::place_head(IncomingBundle& bundle, const OpenStripe& stripe) {
    const std::uint64_t index = stripe.number - bundle.first;
    if (stripe.number < bundle.first || index >= bundle.head_stripes) {
        violated(bundle);
        return true;
    }
    const std::size_t offset = index * parameters_.stripe_bytes();
    const std::size_t bytes = std::min(bundle.head.size() - offset, parameters_.stripe_bytes());
    if (bytes > std::size_t{stripe.k} * parameters_.symbol_bytes) {
        violated(bundle);
        return true;
    }
    std::memcpy(bundle.head.data() + offset, stripe.block.data(), bytes);
    if (++bundle.head_here == bundle.head_stripes) {
        bundle.head_ready = true;
        ++heads_ready_;
    }
    return true;
}

bool IncomingBundles::place_payload(IncomingBundle& bundle, std::uint32_t place_index) {
    const OpenStripe& stripe = stripes_.at(place_index);
    if (bundle.state != IncomingBundle::State::opened) return false;
    const std::uint64_t begin = bundle.first + bundle.head_stripes;
    const std::uint64_t index = stripe.number - begin;
    const bool inside = stripe.number >= begin && index < bundle.payload_stripes;
    const std::uint64_t rest = inside ? bundle.payload_bytes - index * parameters_.stripe_bytes() : 0;
    const std::uint64_t bytes = std::min<std::uint64_t>(rest, parameters_.stripe_bytes());
    if (!inside || stripes_for(bytes, parameters_.symbol_bytes) != stripe.k) {
        violated(bundle);
        stripes_.release(place_index);
        return true;
    }
    ++bundle.payload_here;
    ++bundle.writes_open;
    writes_.push(place_index);
    return true;
}

bool IncomingBundles::place_trailer(IncomingBundle& bundle, const OpenStripe& stripe) {
    if (bundle.trailer_stripes == 0) {
        bundle.trailer_lowest = std::min(bundle.trailer_lowest, stripe.number);
        return false;
    }
    const std::uint64_t index = stripe.number - bundle.trailer_lowest;
    if (stripe.number < bundle.trailer_lowest || index >= bundle.trailer_stripes) {
        violated(bundle);
        return true;
    }
    const std::size_t offset = index * parameters_.stripe_bytes();
    const std::size_t bytes = std::min(bundle.trailer.size() - offset, parameters_.stripe_bytes());
    if (bytes > std::size_t{stripe.k} * parameters_.symbol_bytes) {
        violated(bundle);
        return true;
    }
    std::memcpy(bundle.trailer.data() + offset, stripe.block.data(), bytes);
    ++bundle.trailer_here;
    return true;
}

// See the head of the header: the count of payload stripes proves which trailer stripe is the first.
void IncomingBundles::find_trailer_start(IncomingBundle& bundle) {
    if (bundle.state != IncomingBundle::State::opened || bundle.trailer_stripes > 0) return;
    if (bundle.trailer_lowest != bundle.first + bundle.head_stripes + bundle.payload_here) return;
    std::uint32_t place_index = bundle.held;
    while (place_index != kNoPlace && stripes_.at(place_index).number != bundle.trailer_lowest)
        place_index = stripes_.at(place_index).next_held;
    LH_ASSERT(place_index != kNoPlace);
    const OpenStripe& stripe = stripes_.at(place_index);
    const std::size_t here = std::size_t{stripe.k} * parameters_.symbol_bytes;
    const auto total = wire::parse_trailer_bytes({stripe.block.data(), here});
    // A trailer that does not parse is handed on as it is: the store refuses it and says so.
    std::size_t bytes = total.ok() ? total.value() : here;
    if (bytes < wire::kTrailerPrefixBytes || bytes > kTrailerBytesMax) bytes = here;
    bundle.trailer.resize(bytes);
    bundle.trailer_stripes = stripes_for(bytes, parameters_.stripe_bytes());
    retry_held(bundle);
}

void IncomingBundles::finish_if_all(IncomingBundle& bundle) {
    if (bundle.state != IncomingBundle::State::opened || bundle.trailer_stripes == 0) return;
    if (bundle.trailer_here < bundle.trailer_stripes) return;
    if (!bundle.all_decoded) {
        bundle.all_decoded = true;
        wire::BundleStatus complete;
        complete.stage = wire::Stage::complete;
        set_stage(bundle.handle, complete);
        bundle.trailer_ready = true;
        ++trailers_ready_;
    }
}

void IncomingBundles::hold(IncomingBundle& bundle, std::uint32_t place_index) noexcept {
    stripes_.at(place_index).next_held = bundle.held;
    bundle.held = place_index;
}

void IncomingBundles::retry_held(IncomingBundle& bundle) {
    std::uint32_t place_index = std::exchange(bundle.held, kNoPlace);
    while (place_index != kNoPlace) {
        const std::uint32_t next = std::exchange(stripes_.at(place_index).next_held, kNoPlace);
        if (!place(bundle, place_index)) hold(bundle, place_index);
        place_index = next;
    }
}

// The peer is authentic but contradicts itself: its bundle fails, the session goes on.
void IncomingBundles::violated(IncomingBundle& bundle) {
    if (bundle.state == IncomingBundle::State::refused) return;
    wire::BundleStatus status;
    status.stage = wire::Stage::failed;
    status.reason = wire::FailReason::manifest_malformed;
    bundle.state = IncomingBundle::State::refused;
    set_stage(bundle.handle, status);
}

void IncomingBundles::drop_rest(IncomingBundle& bundle) {
    bundle.state = IncomingBundle::State::refused;
    if (std::exchange(bundle.head_ready, false)) --heads_ready_;
    if (std::exchange(bundle.trailer_ready, false)) --trailers_ready_;
    bundle.head = {};
    bundle.trailer = {};
    retry_held(bundle);
}

std::optional<BundleHead> IncomingBundles::next_head() {
    if (heads_ready_ == 0) return std::nullopt;
    for (std::uint32_t handle = base_; handle != top_; ++handle) {
        IncomingBundle& bundle = at(handle);
        if (!bundle.head_ready) continue;
        bundle.head_ready = false;
        --heads_ready_;
        bundle.state = IncomingBundle::State::announced;
        return BundleHead{handle, std::move(bundle.head)};
    }
    return std::nullopt;
}

void IncomingBundles::open(std::uint32_t handle) {
    IncomingBundle* bundle = find(handle);
    if (bundle == nullptr || bundle->state != IncomingBundle::State::announced) return;
    bundle->state = IncomingBundle::State::opened;
    retry_held(*bundle);
    find_trailer_start(*bundle);
    finish_if_all(*bundle);
}

void IncomingBundles::refuse(std::uint32_t handle, wire::FailReason reason) {
    wire::BundleStatus status;
    status.stage = wire::Stage::failed;
    status.reason = reason;
    set_stage(handle, status);
}

void IncomingBundles::settle(std::uint32_t handle) {
    wire::BundleStatus status;
    status.stage = wire::Stage::published;
    set_stage(handle, status);
    if (IncomingBundle* bundle = find(handle); bundle != nullptr) drop_rest(*bundle);
}

std::optional<WriteRequest> IncomingBundles::next_write() {
    while (!writes_.empty()) {
        const std::uint32_t place_index = writes_.pop();
        const OpenStripe& stripe = stripes_.at(place_index);
        IncomingBundle* bundle = find(stripe.bundle);
        if (bundle == nullptr || bundle->state != IncomingBundle::State::opened) {
            if (bundle != nullptr) --bundle->writes_open;
            stripes_.release(place_index);
            continue;
        }
        WriteRequest request;
        request.bundle = stripe.bundle;
        request.payload_offset =
            (stripe.number - bundle->first - bundle->head_stripes) * parameters_.stripe_bytes();
        request.bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(
            bundle->payload_bytes - request.payload_offset, parameters_.stripe_bytes()));
        request.from = stripe.block.data();
        request.block = stripe.block.index();
        place_of_block_[request.block] = place_index;
        payload_bytes_ += request.bytes;
        return request;
    }
    return std::nullopt;
}

std::uint32_t IncomingBundles::write_done(std::uint32_t block) {
    LH_ASSERT(block < place_of_block_.size() && place_of_block_[block] != kNoPlace);
    const std::uint32_t place_index = std::exchange(place_of_block_[block], kNoPlace);
    const std::uint32_t handle = stripes_.at(place_index).bundle;
    if (IncomingBundle* bundle = find(handle); bundle != nullptr) --bundle->writes_open;
    stripes_.release(place_index);
    return handle;
}

std::optional<BundleTrailer> IncomingBundles::next_trailer() {
    if (trailers_ready_ == 0) return std::nullopt;
    for (std::uint32_t handle = base_; handle != top_; ++handle) {
        IncomingBundle& bundle = at(handle);
        if (!bundle.trailer_ready || bundle.writes_open > 0) continue;
        bundle.trailer_ready = false;
        --trailers_ready_;
        return BundleTrailer{handle, std::move(bundle.trailer)};
    }
    return std::nullopt;
}

void IncomingBundles::set_stage(std::uint32_t handle, const wire::BundleStatus& status) {
    IncomingBundle* bundle = find(handle);
    if (bundle == nullptr) return;
    if (bundle->status) {
        const wire::Stage known = bundle->status->stage;
        const bool final = known == wire::Stage::published || known == wire::Stage::failed;
        if (final || status.stage <= known) return;
    } else {
        ++statuses_;
    }
    bundle->status = status;
    bundle->status->bundle = handle;
    bundle->status_sent_at = 0;
    news_ = true;
    if (status.stage == wire::Stage::failed) drop_rest(*bundle);
}

void IncomingBundles::settle_below(std::uint32_t handle) {
    const std::uint32_t count =
        handle > base_ ? std::min<std::uint32_t>(handle - base_, static_cast<std::uint32_t>(ring_.size()))
                       : 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        IncomingBundle& bundle = at(base_ + i);
        if (bundle.state == IncomingBundle::State::unseen) continue;
        drop_rest(bundle);
        if (bundle.status) --statuses_;
        --seen_;
        bundle = IncomingBundle{};
    }
    base_ = std::max(base_, handle);
    top_ = std::max(top_, base_);
}

}  // namespace longhaul::session
