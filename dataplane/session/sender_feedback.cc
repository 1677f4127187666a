// Feedback in: lanes, round trips, completion, credit, repair requests, bundle stages, a sample for the
// controller. Every part is idempotent and monotone, so that copies and reordered feedback do no harm.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <utility>

#include "dataplane/session/sender_state.h"

namespace longhaul::session {
namespace {

constexpr TimeNs kReorderMin = 2 * kMillisecond;
constexpr TimeNs kLossIntervalMin = 10 * kMillisecond;
constexpr unsigned kLumps = 3;
constexpr double kOwnLossesMax = 256;  // that have not been found missing yet

}  // namespace

TimeNs Sender::State::reorder_patience() const {
    return std::max(kReorderMin, rtt.smallest() / 8);
}

void Sender::on_authentic(const wire::Header& header, TimeNs now) {
    State& state = *state_;
    state.last_heard = now;
    if (header.lane >= state.config.parameters.lanes) return;
    State::Echo& echo = state.echoes[header.lane];
    if (echo.any && static_cast<std::int32_t>(header.tx_time_us - echo.tx_time_us) < 0) return;
    echo = {true, header.tx_time_us, now};
}

void Sender::on_feedback(const wire::Feedback& feedback, TimeNs now) {
    State& state = *state_;
    state.last_heard = now;
    state.backoff = 0;
    state.last_feedback = now;
    state.on_lanes(feedback, now);
    state.on_loss_events(feedback);
    state.on_complete(feedback);
    state.stripe_limit = std::max(state.stripe_limit, std::min(feedback.stripe_limit, wire::kStripeMax));
    for (const wire::Nack& nack : feedback.nacks)
        state.on_nack(nack, now);
    for (const wire::BundleStatus& status : feedback.bundles)
        state.on_status(status);
    state.settle();
    state.give_sample(now);
}

void Sender::State::on_complete(const wire::Feedback& feedback) {
    stats.stripes_complete += window.complete_below(std::min(feedback.complete_below, window.next()));
    std::uint64_t from = feedback.decoded_from;
    for (std::uint64_t word : feedback.decoded) {
        for (; word != 0; word &= word - 1)
            stats.stripes_complete +=
                window.complete(from + static_cast<unsigned>(std::countr_zero(word))) ? 1 : 0;
        from += 64;
    }
    // Over a short round trip a stripe can be complete before its parity has left: that is then not needed.
    for (std::size_t i = passing.size(); i-- > 0;)
        if (!window.waits(passing[i])) leave_first_pass(i);
}

// Feedback that comes late tells less than we know.
void Sender::State::on_loss_events(const wire::Feedback& feedback) {
    const auto newer = static_cast<std::int32_t>(feedback.sequence - feedback_sequence);
    const auto events = static_cast<std::int32_t>(feedback.loss_events - loss_events);
    if (newer <= 0) return;
    feedback_sequence = feedback.sequence;
    if (events <= 0) return;
    loss_events = feedback.loss_events;
    loss.add_events(static_cast<std::uint32_t>(events));
}

// Nothing that was sent came through for longer than any queue explains: the path was dead, not congested.
// What is found lost within the next round trip belongs to that.
void Sender::State::note_progress(TimeNs now) {
    const TimeNs quiet_since = std::max(last_progress, flight_since);
    if (lanes.inflight_bytes() > 0 && now > quiet_since + 2 * rtt.timeout()) {
        lanes.excuse_until(now + rtt.smoothed() + 3 * reorder_patience());
        meter.restart(now);
    }
    last_progress = now;
}

void Sender::State::on_lanes(const wire::Feedback& feedback, TimeNs now) {
    for (const wire::LaneReport& report : feedback.lanes) {
        if (!lanes.news(report)) continue;
        note_progress(now);
        liveness.answered(now);
        break;
    }
    TimeNs queue_min = kNever;
    for (const wire::LaneReport& report : feedback.lanes) {
        const LaneLedger::Lesson lesson = lanes.report(report, now, reorder_patience());
        if (lesson.progressed) {
            rtt.sample_echo(now, report.echo_tx_time_us, report.hold_us);
            const std::int32_t rise_us = std::max(report.owd_rise_us, 0);
            queue_min = std::min(queue_min, TimeNs{static_cast<std::uint32_t>(rise_us)} * kMicrosecond);
        }
        meter.add(lesson);
        // What an outage took says nothing about the loss to prepare for.
        const std::uint64_t lost_here = lesson.excused ? 0 : lesson.lost_packets;
        loss_delivered += lesson.delivered_packets;
        loss_lost += lost_here;
        if (lesson.excused) loss.add_excused(lesson.lost_packets);
        stats.lost_packets += lesson.lost_packets;
    }
    if (queue_min != kNever) queue_delay = queue_min;
    learn_loss(now);
    lanes.judge(now, rtt.smoothed());
}

// Losses are confirmed in lumps, a patience apart, while what is delivered comes steadily: a share is taken of several
// lumps at once.
void Sender::State::learn_loss(TimeNs now) {
    if (now - loss_since < std::max(kLossIntervalMin, kLumps * reorder_patience())) return;
    loss_since = now;
    const std::uint64_t lost = loss_of_path(std::exchange(loss_lost, 0));
    loss.add(std::exchange(loss_delivered, 0), lost);
    parity.learn(loss.estimate(), lost, now);
}

// What the controller has dropped on purpose is no reason for parity.
std::uint64_t Sender::State::loss_of_path(std::uint64_t lost) {
    const double own = controller->own_loss();
    own_losses = own == 0 ? 0 : own_losses + own * static_cast<double>(loss_delivered + lost);
    const std::uint64_t taken = std::min(lost, static_cast<std::uint64_t>(own_losses));
    own_losses = own == 1 ? 0 : std::min(own_losses - static_cast<double>(taken), kOwnLossesMax);
    if (taken > 0) loss.add_excused(taken);
    return lost - taken;
}

void Sender::State::on_nack(const wire::Nack& nack, TimeNs now) {
    if (!window.waits(nack.stripe)) return;
    SentStripe& stripe = window.at(nack.stripe);
    if (!stripe.sent()) return;
    const bool newer = stripe.epoch == 0 || static_cast<std::int8_t>(nack.epoch - stripe.epoch) > 0;
    if (!newer) return;
    // A request cannot know of repairs that left less than a round trip ago.
    const bool under_way = stripe.repaired_at != 0 && now - stripe.repaired_at < rtt.smallest();
    if (under_way && !stripe.repair_pending()) return;
    // A spare symbol saves a second round; where throughput is the goal the round costs less than the symbol.
    const bool thrifty = parity.goal() == fec::Goal::throughput && stripe.m == 0;
    symbols.ask(stripe, nack, thrifty ? 0 : parity.repair_loss());
    stripe.epoch = nack.epoch;
    ++stats.nacks;
    if (!stripe.queued && stripe.repair_pending() && !repairs.full()) {
        stripe.queued = true;
        repairs.push(stripe.number);
    }
}

void Sender::State::on_status(const wire::BundleStatus& status) {
    OutgoingBundle* bundle = bundles.find(status.bundle);
    if (bundle == nullptr || !bundle->started() || bundle->settled) return;
    // Nothing can be complete of which we have not sent all, but for what came to its end by another link before.
    const bool final = status.stage == wire::Stage::failed || status.stage == wire::Stage::published;
    if (!final && !bundle->all_cut()) return;
    bundles.report(*bundle, status);
    // The target will not take the rest, so it is not sent either.
    if (final) end_bundle_early(*bundle);
}

void Sender::State::settle() {
    if (bundles.advance_settled(window.base())) pings.news();
}

void Sender::State::give_sample(TimeNs now) {
    auto sample = meter.take(now, rtt.smoothed());
    if (!sample) return;
    sample->rtt = rtt.latest();
    sample->rtt_min = rtt.known() ? rtt.smallest() : 0;
    sample->queue_delay = queue_delay;
    sample->inflight_bytes = lanes.inflight_bytes();
    stats.delivered_bps = static_cast<std::uint64_t>(static_cast<double>(sample->delivered_bytes) * 8e9 /
                                                     static_cast<double>(sample->interval));
    delivered_limited = sample->application_limited;
    controller->on_sample(*sample);
    if (controller->brakes() == brakes_seen) return loss_recall.note(loss);
    brakes_seen = controller->brakes();
    loss = loss_recall.before();
    loss_recall.begin_again(loss);
    parity.forget(loss.estimate(), now);
}

}  // namespace longhaul::session
