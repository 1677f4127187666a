// What a receiver is made of: stripes and their blocks, bundles and their sections, lanes and their counters,
// and the feedback that tells of all three.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/session/feedback_schedule.h"
#include "dataplane/session/incoming_bundles.h"
#include "dataplane/session/lane_accounts.h"
#include "dataplane/session/loss_runs.h"
#include "dataplane/session/receiver.h"
#include "dataplane/session/rtt_estimator.h"
#include "dataplane/session/stripe_table.h"
#include "dataplane/session/turn_meter.h"

namespace longhaul::session {

struct Receiver::State {
    State(const ReceiverConfig& config, const fec::Codec& codec, BlockPool& pool, TimeNs now);

    // --- stripes (receiver.cc)
    void decode_if_enough(std::uint32_t place);
    void restore_data(OpenStripe& stripe);
    void overtake_below(std::uint64_t number, TimeNs now);
    void expect_more(OpenStripe& stripe, bool first_pass, TimeNs now);
    void first_pass_over_below(std::uint64_t number, TimeNs now);
    void ask_not_before(OpenStripe& stripe, TimeNs at);

    // --- feedback (receiver_feedback.cc)
    TimeNs patience() const { return std::max(kPatienceMin, rtt.smallest() / 8); }
    TimeNs ask_again_after(unsigned epoch) const;
    TimeNs status_repeat() const { return std::max(kStatusRepeatMin, rtt.smallest() / 2); }
    TimeNs due_at() const;
    void compose(TimeNs now);
    std::size_t add_lanes(TimeNs now, std::size_t room);
    std::size_t add_nacks(TimeNs now, std::size_t room);
    std::size_t add_statuses(TimeNs now, std::size_t room);
    void add_decoded(std::size_t room);

    static constexpr TimeNs kPatienceMin = 2 * kMillisecond;
    static constexpr TimeNs kStatusRepeatMin = 5 * kMillisecond;

    ReceiverConfig config;
    const fec::Codec& codec;
    StripeTable stripes;
    IncomingBundles bundles;
    LaneAccounts lanes;
    LossRuns loss_runs;
    RttEstimator rtt;
    FeedbackSchedule schedule;

    std::uint64_t overtaken_below = 0;  // the sender has moved past every stripe below
    TurnMeter turns;
    std::uint64_t decoded_told = 0;  // where the next list of decoded stripes begins
    TimeNs ask_at = kNever;          // no incomplete stripe is to be asked for before this
    wire::Feedback feedback;         // reused; keeps the last one for its second copy
    bool copy_due = false;
    unsigned lane_rotation = 0;
    mutable ReceiverStats stats;
};

}  // namespace longhaul::session
