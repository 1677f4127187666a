// The sender's open bundles, in the order of their handles: how far each has been cut into stripes, whether
// its trailer has come, what the target has said about it. Handles are dense, so a handle is an index into a
// ring.
//
//   waiting -> head -> payload -> trailer -> sent           (what is cut into stripes next)
//   none -> complete -> durable -> published | failed       (what the target said; the last two settle it)
//
// Cut short (cancelled, or failed at the target): the head is finished, payload stops where it stands, and a
// trailer of our own that says `cancelled` for every entry takes the next stripe numbers. The receiver knows
// by the trailer's section at an early stripe number that no more payload comes. Once the bundle's own
// trailer has begun to be cut into stripes it is too late: the target's verdict stands.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/session/fixed_queue.h"
#include "dataplane/session/sender.h"

namespace longhaul::session {

struct OutgoingBundle {
    wire::BundleId id;
    std::uint32_t generation = 0;
    std::uint32_t handle = 0;
    std::vector<std::uint8_t> head, trailer;
    std::uint64_t payload_bytes = 0;      // to be sent: less than offered once cut short
    std::uint64_t payload_requested = 0;  // offset of the next read
    std::uint64_t payload_read = 0;       // bytes whose read is done
    std::uint64_t head_cut = 0, payload_cut = 0, trailer_cut = 0;  // bytes already in stripes
    bool trailer_asked = false, trailer_wanted = false, trailer_here = false, cut_short = false;
    std::uint64_t stripe_end = 0;                  // number behind its last stripe, once sent
    wire::Stage reported = wire::Stage::complete;  // the last stage given to the caller, if any_reported
    bool any_reported = false;
    bool settled = false;

    bool started() const noexcept { return head_cut > 0; }
    bool all_cut() const noexcept { return trailer_here && trailer_cut == trailer.size(); }
};

class OutgoingBundles {
  public:
    explicit OutgoingBundles(std::size_t open_max);

    // nullptr when open_max handles are not yet settled.
    OutgoingBundle* offer(BundleOffer&& offer);
    OutgoingBundle* find(std::uint32_t handle) noexcept;      // nullptr: unknown or long settled
    OutgoingBundle* find(const wire::BundleId& id) noexcept;  // the newest open one

    // The bundle whose stripes are cut now; nullptr when there is none. Skips those that ended before they
    // began.
    OutgoingBundle* current() noexcept;
    bool anything_behind(const OutgoingBundle& bundle) const noexcept;  // more to send after this one
    // The bundle whose payload is read next.
    OutgoingBundle* reading() noexcept;

    void ask_trailer_if_read(OutgoingBundle& bundle) noexcept;
    std::optional<std::uint32_t> next_trailer_wanted() noexcept;

    void cut_short(OutgoingBundle& bundle);

    // A status from the target, or our own verdict; every stage up to it becomes a result, each once.
    void report(OutgoingBundle& bundle, const wire::BundleStatus& status);
    std::optional<BundleResult> next_result();

    // Handles below are settled and all their stripes are complete. True when it moved.
    bool advance_settled(std::uint64_t stripes_complete_below) noexcept;
    std::uint32_t settled_below() const noexcept { return base_; }
    std::uint32_t open() const noexcept { return next_ - base_; }

  private:
    OutgoingBundle& at(std::uint32_t handle) noexcept { return ring_[handle % ring_.size()]; }
    void withdraw_trailer_wanted(OutgoingBundle& bundle) noexcept;
    void push_result(OutgoingBundle& bundle, const wire::BundleStatus& status);

    std::vector<OutgoingBundle> ring_;
    std::uint32_t base_ = 1, next_ = 1;  // handles in use: [base_, next_)
    std::uint32_t current_ = 1, reading_ = 1;
    std::uint32_t trailers_wanted_ = 0;  // open bundles with trailer_wanted
    FixedQueue<BundleResult> results_;
};

}  // namespace longhaul::session
