// The sender's front: offers, reads, trailers, settings and figures; the rest is in sender_*.cc.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/sender.h"

#include <algorithm>

#include "dataplane/session/sender_state.h"

namespace longhaul::session {
namespace {

constexpr std::size_t kDepthMax = 512;
constexpr std::uint64_t kCreditInitial = 8;  // stripes, until the first feedback
constexpr TimeNs kRttAssumed = 100 * kMillisecond;

}  // namespace

Sender::State::State(const SenderConfig& settings, const fec::Codec& codec, BlockPool& blocks,
                     std::unique_ptr<congestion::Controller> control, TimeNs now)
    : config(settings),
      pool(blocks),
      controller(std::move(control)),
      pacer(settings.pacing_catch_up),
      bundles(settings.bundles_open_max),
      reads(blocks, settings.read_ahead_blocks),
      window(blocks.total()),
      symbols(settings.parameters, codec),
      repairs(window.room()),
      lanes(settings.parameters.lanes, settings.parameters.frame_overhead_bytes),
      rtt(kRttAssumed),
      meter(now),
      parity(settings.goal, settings.fixed_parity, settings.parameters.stripe_symbols),
      pings(settings.parameters.lanes, settings.ping_interval, now),
      liveness(now),
      stripe_limit(kCreditInitial),
      last_heard(now),
      last_feedback(now),
      waiting_since(now) {
    passing.reserve(2 * kDepthMax);
}

Sender::Sender(const SenderConfig& config, const fec::Codec& codec, BlockPool& pool,
               std::unique_ptr<congestion::Controller> controller, TimeNs now) {
    const Parameters& parameters = config.parameters;
    LH_ASSERT(controller != nullptr);
    LH_ASSERT(parameters.symbol_bytes > 0 && parameters.symbol_bytes % 64 == 0);
    LH_ASSERT(parameters.stripe_symbols >= 1 && parameters.stripe_symbols <= wire::kDataSymbolsMax);
    LH_ASSERT(pool.stride() >=
              BlockPool::stride_for(parameters.stripe_symbols, parameters.symbol_bytes, kParitySlots));
    LH_ASSERT(pool.total() > ReadAhead::kReserveBlocks);
    state_ = std::make_unique<State>(config, codec, pool, std::move(controller), now);
}

Sender::~Sender() = default;

std::optional<std::uint32_t> Sender::offer(BundleOffer offer, TimeNs) {
    const OutgoingBundle* bundle = state_->bundles.offer(std::move(offer));
    if (bundle == nullptr) return std::nullopt;
    return bundle->handle;
}

void Sender::cancel(const wire::BundleId& id, TimeNs) {
    OutgoingBundle* bundle = state_->bundles.find(id);
    if (bundle == nullptr) return;
    if (bundle->started()) {
        state_->end_bundle_early(*bundle);
        return;
    }
    state_->reads.abandon(bundle->handle);
    wire::BundleStatus status;
    status.stage = wire::Stage::failed;
    status.reason = wire::FailReason::cancelled;
    state_->bundles.report(*bundle, status);
    state_->settle();
}

std::optional<BundleResult> Sender::next_result() {
    return state_->bundles.next_result();
}

std::optional<ReadRequest> Sender::next_read(TimeNs) {
    OutgoingBundle* bundle = state_->bundles.reading();
    if (bundle == nullptr || !state_->reads.can_start()) return std::nullopt;
    ReadRequest request;
    request.bundle = bundle->handle;
    request.payload_offset = bundle->payload_requested;
    request.bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        bundle->payload_bytes - bundle->payload_requested, state_->config.parameters.stripe_bytes()));
    request.block = state_->reads.start(bundle->handle, request.bytes);
    request.into = state_->reads.data(request.block);
    bundle->payload_requested += request.bytes;
    return request;
}

std::uint32_t Sender::read_done(std::uint32_t block, TimeNs) {
    const ReadAhead::Done done = state_->reads.done(block);
    if (!done.wanted) return done.bundle;
    OutgoingBundle* bundle = state_->bundles.find(done.bundle);
    LH_ASSERT(bundle != nullptr);
    bundle->payload_read += done.bytes;
    state_->bundles.ask_trailer_if_read(*bundle);
    return done.bundle;
}

std::optional<std::uint32_t> Sender::next_trailer_wanted() {
    return state_->bundles.next_trailer_wanted();
}

void Sender::trailer(std::uint32_t handle, std::vector<std::uint8_t> bytes, TimeNs) {
    LH_ASSERT(bytes.size() >= wire::kTrailerPrefixBytes);
    OutgoingBundle* bundle = state_->bundles.find(handle);
    // Cut short or settled while the trailer was made: ours is on its way instead, or none is needed.
    if (bundle == nullptr || bundle->trailer_here || bundle->settled) return;
    bundle->trailer = std::move(bytes);
    bundle->trailer_here = true;
}

TimeNs Sender::answer_timeout() const {
    return state_->rtt.timeout();
}

bool Sender::silent(TimeNs now) const {
    return now - state_->last_heard > state_->config.silence_max;
}

bool Sender::sending() const {
    return state_->busy;
}

bool Sender::answering(TimeNs now) {
    state_->liveness.look(now, state_->rtt.known() ? state_->rtt.smoothed() : 0);
    return state_->liveness.answering();
}

void Sender::set_rate_cap(std::uint64_t cap_bps, double share) {
    state_->controller->set_cap(cap_bps, share);
}

void Sender::set_mode(congestion::Mode mode, std::uint64_t cap_bps, double share) {
    State& state = *state_;
    if (state.controller->figures().mode == mode) return;
    congestion::ControllerConfig config;
    config.cap_bps = cap_bps;
    config.share_of_cap = share;
    config.rtt_assumed = state.rtt.smallest();
    config.seed = state.stats.packets + 1;
    // A sender that had little to send delivered little: that says nothing about the path.
    const std::uint64_t rate = state.controller->rate_bps();
    config.start_bps = std::max<std::uint64_t>(
        1, state.delivered_limited ? rate : std::min(rate, state.stats.delivered_bps));
    state.brakes_before += state.controller->brakes();
    state.controller = congestion::make(mode, config);
    state.brakes_seen = state.controller->brakes();
}

void Sender::set_redundancy(fec::Goal goal, std::optional<unsigned> fixed_parity) {
    state_->parity.set(goal, fixed_parity);
}

LaneFigures Sender::lane_figures(unsigned lane) const {
    return state_->lanes.figures(lane);
}

std::optional<unsigned> Sender::next_rehash(TimeNs now) {
    const TimeNs rtt = state_->rtt.smoothed();
    const auto lane = state_->lanes.next_rehash(now, rtt);
    if (lane) state_->lanes.rehashed(*lane, now, 2 * rtt + 3 * state_->reorder_patience());
    return lane;
}

const SenderStats& Sender::stats() const {
    SenderStats& stats = state_->stats;
    stats.inflight_bytes = state_->lanes.inflight_bytes();
    stats.rate_bps = state_->controller->rate_bps();
    stats.inflight_cap_bytes = state_->controller->inflight_cap_bytes();
    stats.brakes = state_->brakes_before + state_->controller->brakes();
    stats.congestion = state_->controller->figures();
    stats.rtt = state_->rtt.known() ? state_->rtt.smoothed() : 0;
    stats.rtt_min = state_->rtt.known() ? state_->rtt.smallest() : 0;
    stats.queue_delay = state_->queue_delay;
    stats.loss = state_->loss.estimate().share;
    const ParityChoice& parity = state_->parity;
    stats.loss_upper = parity.decided_from().upper;
    stats.loss_burst = parity.decided_from().burst;
    stats.parity_steady = parity.steady(state_->config.parameters.stripe_symbols);
    stats.parity_tail = parity.tail_rows();
    stats.interleave_depth = parity.depth();
    stats.redundancy_off = parity.off();
    stats.bundles_open = state_->bundles.open();
    stats.blocks_in_use = state_->pool.total() - state_->pool.free_count();
    return stats;
}

}  // namespace longhaul::session
