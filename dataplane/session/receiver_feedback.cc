// Feedback out: lanes first (loss and round trips), then what is short, then bundle stages; what does not fit
// comes with the next one.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dataplane/session/receiver_state.h"

namespace longhaul::session {
namespace {

constexpr std::uint64_t kDecodedSpan = 64;  // below, what waits behind the oldest gap is not worth a list

}  // namespace

// A repair needs a round trip, the sender's next turn and the feedback interval on both sides. Requests that
// stay unanswered come less often: after an outage the sender may need a while to resend everything.
TimeNs Receiver::State::ask_again_after(unsigned epoch) const {
    const TimeNs once = rtt.smoothed() * 5 / 4 + 2 * schedule.interval(rtt.smallest()) + patience();
    return once << std::min((epoch - 1) / 2, 3u);
}

TimeNs Receiver::State::due_at() const {
    return copy_due ? 0 : schedule.due_at(rtt.smallest(), ask_at);
}

TimeNs Receiver::next_wake(TimeNs now) const {
    State& state = *state_;
    if (state.bundles.take_news()) state.schedule.somebody_waits();
    return std::max(now, state.due_at());
}

std::optional<std::uint8_t> Receiver::next_feedback(TimeNs now, std::vector<std::uint8_t>& out) {
    State& state = *state_;
    if (state.bundles.take_news()) state.schedule.somebody_waits();
    if (state.due_at() > now) return std::nullopt;
    state.compose(now);
    const std::size_t room = state.config.parameters.symbol_bytes;
    out.resize(room);
    const std::size_t bytes = wire::write_feedback(state.feedback, {out.data(), out.size()});
    LH_ASSERT(bytes > 0);
    out.resize(bytes);
    ++state.stats.feedbacks_sent;
    return static_cast<std::uint8_t>(state.lanes.next_lane(now));
}

void Receiver::State::compose(TimeNs now) {
    const bool copy = std::exchange(copy_due, false);
    ++feedback.sequence;
    feedback.complete_below = stripes.complete_below();
    feedback.stripe_limit = stripes.limit();
    feedback.loss_events = loss_runs.events();
    feedback.decoded.clear();
    std::size_t room = config.parameters.symbol_bytes - wire::kFeedbackFixedBytes;
    room -= add_lanes(now, room);
    if (copy) {
        feedback.bundles.clear();
        return;
    }
    schedule.sent(now);
    room -= add_nacks(now, room);
    room -= add_statuses(now, room);
    add_decoded(room);
    copy_due = !feedback.nacks.empty() && lanes.count() > 1;
    if (bundles.statuses_open()) schedule.repeat_at(now + status_repeat());
}

// At most a third of the packet, so that requests and stages always have room; the rest of the lanes come
// next time.
std::size_t Receiver::State::add_lanes(TimeNs now, std::size_t room) {
    const std::size_t most = std::max<std::size_t>(1, room / 3 / wire::kLaneReportBytes);
    feedback.lanes.clear();
    for (unsigned i = 0; i < lanes.count() && feedback.lanes.size() < most; ++i) {
        const unsigned lane = lane_rotation;
        lane_rotation = (lane_rotation + 1) % lanes.count();
        if (lanes.heard(lane)) feedback.lanes.push_back(lanes.report(lane, now));
    }
    return feedback.lanes.size() * wire::kLaneReportBytes;
}

std::size_t Receiver::State::add_nacks(TimeNs now, std::size_t room) {
    feedback.nacks.clear();
    if (ask_at > now) return 0;
    const std::size_t share = bundles.statuses_open() ? room * 3 / 4 : room;
    const std::size_t most = std::min(wire::kNacksMax, share / wire::kNackBytes);
    ask_at = kNever;
    for (std::uint32_t place = stripes.first_incomplete(); place != kNoPlace;
         place = stripes.at(place).next) {
        OpenStripe& stripe = stripes.at(place);
        if (!stripe.overtaken) break;  // the list ascends, and so does what has been overtaken
        if (stripe.ask_at <= now && !turns.passed_over(stripe)) {
            stripe.ask_at = now + patience();  // its turn may still come: looked at again then
        } else if (stripe.ask_at <= now && !stripe.claims() && feedback.nacks.size() < most) {
            if (++stripe.epoch == 0) stripe.epoch = 1;
            stripe.ask_at = now + ask_again_after(stripe.epoch);
            wire::Nack nack;
            nack.stripe = stripe.number;
            nack.need = stripe.described
                            ? static_cast<std::uint8_t>(stripe.k - stripe.data_here - stripe.parity_here)
                            : wire::kNeedUnknown;
            nack.epoch = stripe.epoch;
            nack.have = stripe.have;
            feedback.nacks.push_back(nack);
            ++stats.nacks_sent;
        }
        ask_at = std::min(ask_at, stripe.ask_at);
    }
    return feedback.nacks.size() * wire::kNackBytes;
}

std::size_t Receiver::State::add_statuses(TimeNs now, std::size_t room) {
    const std::size_t before = room;
    feedback.bundles.clear();
    bundles.collect_statuses(now, status_repeat(), feedback.bundles, [&](const wire::BundleStatus& status) {
        const std::size_t bytes = wire::kStatusFixedBytes + status.failures.size() * wire::kEntryFailureBytes;
        if (feedback.bundles.size() == wire::kStatusesMax || bytes > room) return false;
        room -= bytes;
        return true;
    });
    return before - room;
}

// What is decoded behind a stripe that is short, so that its sender can free it: in turns, from the base upwards.
void Receiver::State::add_decoded(std::size_t room) {
    const std::uint64_t begin = stripes.complete_below(), end = stripes.next_known();
    if (end - begin < kDecodedSpan) return;
    if (decoded_told < begin || decoded_told >= end) decoded_told = begin;
    feedback.decoded_from = decoded_told;
    const std::size_t most = std::min(wire::kDecodedWordsMax, room / wire::kDecodedWordBytes);
    for (; feedback.decoded.size() < most && decoded_told < end; decoded_told += 64)
        feedback.decoded.push_back(stripes.decoded_word(decoded_told));
}

}  // namespace longhaul::session
