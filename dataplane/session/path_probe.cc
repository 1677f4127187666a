// Rounds of asks, and what their answers mean.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/path_probe.h"

#include <algorithm>

#include "dataplane/base/assert.h"
#include "dataplane/wire/frame.h"

namespace longhaul::session {
namespace {

// Jumbo networks and cloud interconnects, Ethernet, tunnels over it, and the least that IPv6 and IPv4 ask of a link.
constexpr std::array<std::uint16_t, 14> kMtus = {9216, 9000, 8896, 4470, 3500, 1500, 1460,
                                                 1440, 1400, 1360, 1280, 1200, 1024, 576};

}  // namespace

PathProbe::PathProbe(const PathProbeConfig& config, TimeNs now) noexcept : config_(config), moved_(now) {
    LH_ASSERT(config.lanes >= 1 && config.symbol_bytes >= wire::kProbeBytes);
    LH_ASSERT(config.symbol_bytes <= config.symbol_bytes_max);
    for (const std::uint16_t mtu : kMtus) {
        const std::uint16_t size = wire::symbol_bytes_for_mtu(mtu, config.v6);
        const bool known = table_size_ > 0 && table_[table_size_ - 1] == size;
        if (size != 0 && size < config.symbol_bytes_max && !known) table_[table_size_++] = size;
    }
    if (config.symbol_bytes < config.symbol_bytes_max) raise_at_ = now + kRaiseInterval;
    begin(State::checking, now);
}

void PathProbe::begin(State state, TimeNs now) noexcept {
    state_ = state;
    round_ = 0;
    answered_ = 0;
    rounds_answered_ = 0;
    first_token_ = next_token_;
    begin_round(now);
}

void PathProbe::add(std::uint16_t symbol_bytes) noexcept {
    LH_ASSERT(due_count_ < due_.size());
    due_[due_count_++] = symbol_bytes;
}

void PathProbe::begin_round(TimeNs now) noexcept {
    due_count_ = 0;
    round_answered_ = false;
    round_ends_ = now + timeout_;
    if (state_ == State::checking) {
        add(config_.symbol_bytes);
        if (round_ == 0) return;
        for (std::size_t i = 0; i < table_size_; ++i)
            if (table_[i] < config_.symbol_bytes) add(table_[i]);
        return;
    }
    add(config_.symbol_bytes_max);
    for (std::size_t i = 0; i < table_size_; ++i)
        if (table_[i] > config_.symbol_bytes) add(table_[i]);
}

void PathProbe::end_round(TimeNs now) noexcept {
    rounds_answered_ += round_answered_ ? 1 : 0;
    if (++round_ < kRounds) return begin_round(now);
    // Little or nothing came back: the path is dead or bad, which others find out. If data still stalls later: again.
    const unsigned needed = state_ == State::checking ? kRoundsAnswered : 1;
    if (rounds_answered_ >= needed) verdict_ = answered_;
    if (state_ == State::raising) raise_at_ = now + kRaiseInterval;
    state_ = State::confirmed;
    round_ends_ = kNever;
    due_count_ = 0;
    moved_ = now;
}

void PathProbe::observe(bool waiting, std::uint64_t completed, TimeNs timeout, TimeNs now) noexcept {
    timeout_ = std::clamp(timeout, kTimeoutMin, kTimeoutMax);
    if (!waiting || completed != completed_) moved_ = now;
    completed_ = completed;
    if (verdict_) {
        // One to grow waits for a quiet moment; that must not hide a path that shrinks meanwhile.
        if (*verdict_ < config_.symbol_bytes || now - moved_ < kStalled) return;
        verdict_.reset();
    }
    if (state_ != State::confirmed) {
        if (now >= round_ends_) end_round(now);
    } else if (now - moved_ >= kStalled) {
        begin(State::checking, now);
    } else if (now >= raise_at_) {
        begin(State::raising, now);
    }
}

std::optional<PathProbe::Ask> PathProbe::next() noexcept {
    if (due_count_ == 0 || verdict_) return std::nullopt;
    Ask ask;
    ask.probe.symbol_bytes = due_[--due_count_];
    ask.probe.token = next_token_++;
    ask.lane = static_cast<std::uint8_t>(ask.probe.token % config_.lanes);
    return ask;
}

void PathProbe::on_answer(const wire::Probe& answer, TimeNs now) noexcept {
    const std::uint32_t age = answer.token - first_token_;
    if (state_ == State::confirmed || age >= next_token_ - first_token_) return;
    round_answered_ = true;
    answered_ = std::max(answered_, std::min(answer.symbol_bytes, config_.symbol_bytes_max));
    if (state_ != State::checking || answered_ < config_.symbol_bytes) return;
    state_ = State::confirmed;
    round_ends_ = kNever;
    due_count_ = 0;
    moved_ = now;
}

TimeNs PathProbe::next_wake() const noexcept {
    return verdict_ ? kNever : std::min(round_ends_, raise_at_);
}

}  // namespace longhaul::session
