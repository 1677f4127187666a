// The receiver's bundles: where decoded stripes go. Knows from the first stripe's prefix how many head and
// payload stripes there are; the trailer tells its own length. Stripes that come before their turn are held,
// inside credit.
//
//   unseen -> heading -> announced (head given out) -> opened -> (payload, trailer) -> trailer given out
//                                   \-> refused: everything further is let through and dropped
//
// A bundle cut short by the sender has fewer payload stripes than its head promised. Since stripes are dense,
// the trailer begins exactly where every stripe between the head and it is a decoded payload stripe: the
// lowest trailer stripe at hand is the true first one as soon as the payload count fits. No flag, no guess.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/session/fixed_queue.h"
#include "dataplane/session/receiver.h"
#include "dataplane/session/stripe_table.h"

namespace longhaul::session {

struct IncomingBundle {
    enum class State : std::uint8_t { unseen, heading, announced, opened, refused };
    State state = State::unseen;
    std::uint32_t handle = 0;

    bool prefix_known = false;
    std::uint64_t first = 0;  // its first stripe; valid with prefix_known
    std::uint64_t payload_bytes = 0;
    std::uint64_t head_stripes = 0, payload_stripes = 0;  // as promised
    std::uint64_t head_here = 0, payload_here = 0, trailer_here = 0;
    std::vector<std::uint8_t> head, trailer;
    std::uint64_t trailer_lowest = ~std::uint64_t{0};  // of the trailer stripes decoded so far
    std::uint64_t trailer_stripes = 0;                 // 0: not known yet

    bool head_ready = false, trailer_ready = false;  // to be fetched by the caller
    bool all_decoded = false;
    std::uint32_t writes_open = 0;  // queued or with the storage
    std::uint32_t held = kNoPlace;  // decoded stripes that wait, linked by next_held

    std::optional<wire::BundleStatus> status;
    TimeNs status_sent_at = 0;  // 0: not since it changed
};

class IncomingBundles {
  public:
    IncomingBundles(const Parameters& parameters, StripeTable& stripes, BlockPool& pool,
                    std::size_t open_max);

    bool accepts(std::uint32_t handle) const noexcept { return handle - base_ < ring_.size(); }
    void touch(std::uint32_t handle) noexcept;  // an authentic packet named it
    void place_decoded(std::uint32_t place);    // a stripe of an accepted bundle

    std::optional<BundleHead> next_head();
    void open(std::uint32_t handle);
    void refuse(std::uint32_t handle, wire::FailReason reason);
    void settle(std::uint32_t handle);  // published already
    std::optional<WriteRequest> next_write();
    std::uint32_t write_done(std::uint32_t block);  // the bundle's handle
    std::optional<BundleTrailer> next_trailer();
    void set_stage(std::uint32_t handle, const wire::BundleStatus& status);
    void settle_below(std::uint32_t handle);  // the sender took note: forget

    // A stage changed since last asked.
    bool take_news() noexcept { return std::exchange(news_, false); }
    // Statuses to tell, oldest handle first from a rotating start; `fits` says whether one more has room.
    template <typename Fits>
    void collect_statuses(TimeNs now, TimeNs repeat, std::vector<wire::BundleStatus>& out, Fits fits);
    bool statuses_open() const noexcept { return statuses_ > 0; }

    std::uint32_t open_count() const noexcept { return seen_; }
    std::uint64_t payload_bytes() const noexcept { return payload_bytes_; }

  private:
    IncomingBundle& at(std::uint32_t handle) noexcept { return ring_[handle % ring_.size()]; }
    IncomingBundle* find(std::uint32_t handle) noexcept;      // seen and not settled
    bool place(IncomingBundle& bundle, std::uint32_t place);  // false: hold it
    bool place_head(IncomingBundle& bundle, const OpenStripe& stripe);
    bool place_payload(IncomingBundle& bundle, std::uint32_t place);
    bool place_trailer(IncomingBundle& bundle, const OpenStripe& stripe);
    bool read_prefix(IncomingBundle& bundle, const OpenStripe& stripe);
    void hold(IncomingBundle& bundle, std::uint32_t place) noexcept;
    void retry_held(IncomingBundle& bundle);
    void find_trailer_start(IncomingBundle& bundle);
    void finish_if_all(IncomingBundle& bundle);
    void drop_rest(IncomingBundle& bundle);
    void violated(IncomingBundle& bundle);

    Parameters parameters_;
    StripeTable& stripes_;
    std::vector<IncomingBundle> ring_;
    std::uint32_t base_ = 1;  // handles below are settled
    std::uint32_t top_ = 1;   // handles at or above are unseen
    std::uint32_t rotation_ = 1;
    std::uint32_t seen_ = 0, statuses_ = 0, heads_ready_ = 0, trailers_ready_ = 0;
    FixedQueue<std::uint32_t> writes_;  // places
    std::vector<std::uint32_t> place_of_block_;
    std::uint64_t payload_bytes_ = 0;
    bool news_ = false;
};

template <typename Fits>
void IncomingBundles::collect_statuses(TimeNs now, TimeNs repeat, std::vector<wire::BundleStatus>& out,
                                       Fits fits) {
    if (statuses_ == 0) return;
    if (rotation_ < base_ || rotation_ >= top_) rotation_ = base_;
    const std::uint32_t span = top_ - base_;
    for (std::uint32_t i = 0; i < span; ++i) {
        const std::uint32_t handle = base_ + (rotation_ - base_ + i) % span;
        IncomingBundle& bundle = at(handle);
        if (!bundle.status || (bundle.status_sent_at != 0 && now - bundle.status_sent_at < repeat)) continue;
        if (!fits(*bundle.status)) {
            rotation_ = handle;
            news_ = true;
            return;
        }
        out.push_back(*bundle.status);
        bundle.status_sent_at = now;
    }
}

}  // namespace longhaul::session
