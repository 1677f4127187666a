// Order, progress and settlement of offered bundles.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/outgoing_bundles.h"

#include <algorithm>

namespace longhaul::session {
namespace {

constexpr std::size_t kStages =
    3;  // results of one bundle at most: complete, durable, and one that settles it

std::vector<std::uint8_t> cancelled_trailer(const OutgoingBundle& bundle) {
    wire::Trailer trailer;
    trailer.id = bundle.id;
    trailer.generation = bundle.generation;
    if (const auto manifest = wire::parse_manifest(bundle.head); manifest.ok())
        trailer.verdicts.assign(manifest.value().entries.size(), {wire::FailReason::cancelled, 0});
    return wire::write_trailer(trailer);
}

}  // namespace

OutgoingBundles::OutgoingBundles(std::size_t open_max) : ring_(open_max), results_(open_max * kStages) {
    LH_ASSERT(open_max >= 1);
}

OutgoingBundle* OutgoingBundles::offer(BundleOffer&& offer) {
    LH_ASSERT(offer.head.size() >= wire::kHeadPrefixBytes);
    // Results that nobody fetched hold their place, so that the queue of results can never overflow.
    if (open() == ring_.size() || results_.size() + (open() + 1) * kStages > ring_.size() * kStages)
        return nullptr;
    OutgoingBundle& bundle = at(next_);
    bundle = OutgoingBundle{};
    bundle.id = offer.id;
    bundle.generation = offer.generation;
    bundle.handle = next_++;
    bundle.head = std::move(offer.head);
    bundle.payload_bytes = offer.payload_bytes;
    ask_trailer_if_read(bundle);
    return &bundle;
}

OutgoingBundle* OutgoingBundles::find(std::uint32_t handle) noexcept {
    return handle - base_ < open() ? &at(handle) : nullptr;
}

OutgoingBundle* OutgoingBundles::find(const wire::BundleId& id) noexcept {
    for (std::uint32_t handle = next_; handle-- != base_;)
        if (at(handle).id == id && !at(handle).settled) return &at(handle);
    return nullptr;
}

OutgoingBundle* OutgoingBundles::current() noexcept {
    for (; current_ != next_; ++current_) {
        OutgoingBundle& bundle = at(current_);
        if (!bundle.all_cut() && (bundle.started() || !bundle.settled)) return &bundle;
    }
    return nullptr;
}

bool OutgoingBundles::anything_behind(const OutgoingBundle& bundle) const noexcept {
    return bundle.handle + 1 != next_;
}

OutgoingBundle* OutgoingBundles::reading() noexcept {
    for (; reading_ != next_; ++reading_) {
        OutgoingBundle& bundle = at(reading_);
        if (!bundle.settled && !bundle.cut_short && bundle.payload_requested < bundle.payload_bytes)
            return &bundle;
    }
    return nullptr;
}

void OutgoingBundles::ask_trailer_if_read(OutgoingBundle& bundle) noexcept {
    if (bundle.trailer_asked || bundle.cut_short || bundle.payload_read < bundle.payload_bytes) return;
    bundle.trailer_asked = bundle.trailer_wanted = true;
    ++trailers_wanted_;
}

std::optional<std::uint32_t> OutgoingBundles::next_trailer_wanted() noexcept {
    if (trailers_wanted_ == 0) return std::nullopt;
    for (std::uint32_t handle = base_; handle != next_; ++handle) {
        OutgoingBundle& bundle = at(handle);
        if (!bundle.trailer_wanted) continue;
        withdraw_trailer_wanted(bundle);
        return handle;
    }
    return std::nullopt;
}

void OutgoingBundles::withdraw_trailer_wanted(OutgoingBundle& bundle) noexcept {
    if (!bundle.trailer_wanted) return;
    bundle.trailer_wanted = false;
    --trailers_wanted_;
}

void OutgoingBundles::cut_short(OutgoingBundle& bundle) {
    LH_ASSERT(bundle.started() && bundle.trailer_cut == 0);
    withdraw_trailer_wanted(bundle);
    bundle.cut_short = true;
    bundle.payload_bytes = bundle.payload_cut;
    bundle.trailer = cancelled_trailer(bundle);
    bundle.trailer_here = true;
}

void OutgoingBundles::push_result(OutgoingBundle& bundle, const wire::BundleStatus& status) {
    results_.push({bundle.id, bundle.generation, bundle.handle, status});
    bundle.any_reported = true;
    bundle.reported = status.stage;
}

void OutgoingBundles::report(OutgoingBundle& bundle, const wire::BundleStatus& status) {
    if (bundle.settled) return;
    if (status.stage != wire::Stage::failed) {
        // What is published was durable and complete before, even if those words were lost on the way.
        for (const auto stage : {wire::Stage::complete, wire::Stage::durable, wire::Stage::published}) {
            if (stage > status.stage || (bundle.any_reported && stage <= bundle.reported)) continue;
            wire::BundleStatus passed = status;
            passed.stage = stage;
            passed.bundle = bundle.handle;
            push_result(bundle, passed);
        }
    } else {
        wire::BundleStatus failed = status;
        failed.bundle = bundle.handle;
        push_result(bundle, failed);
    }
    bundle.settled = status.stage == wire::Stage::published || status.stage == wire::Stage::failed;
    if (bundle.settled) withdraw_trailer_wanted(bundle);
}

std::optional<BundleResult> OutgoingBundles::next_result() {
    if (results_.empty()) return std::nullopt;
    return results_.pop();
}

bool OutgoingBundles::advance_settled(std::uint64_t stripes_complete_below) noexcept {
    const std::uint32_t before = base_;
    while (base_ != next_) {
        OutgoingBundle& bundle = at(base_);
        if (!bundle.settled) break;
        if (bundle.started() && (!bundle.all_cut() || bundle.stripe_end > stripes_complete_below)) break;
        bundle = OutgoingBundle{};
        if (current_ == base_) ++current_;
        if (reading_ == base_) ++reading_;
        ++base_;
    }
    return base_ != before;
}

}  // namespace longhaul::session
