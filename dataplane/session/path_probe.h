// Which symbol size the path carries: datagram packetisation layer path MTU discovery (RFC 8899) with a table of the
// MTUs that exist instead of a search. Sans-I/O: the worker sends what next() says and hands in the answers.
//
//   checking --(answer at the session's size)--> confirmed --(stalled for a while)--> checking
//   checking --(no answer, four times)---------> shrink (verdict: the largest smaller size that was answered)
//   confirmed --(every ten minutes, if the port could do more)--> raising --(answer)--> grow (verdict)
//
// A session's size is fixed: a verdict ends the session, and the next one begins with the new size. Losses alone never
// lead here: data must have stalled while small packets pass, and the session's own size is asked again on other lanes
// before it is given up (a burst of loss looks like a black hole, too).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/base/time.h"
#include "dataplane/wire/probe.h"

namespace longhaul::session {

struct PathProbeConfig {
    std::uint16_t symbol_bytes = 1408;      // of the session
    std::uint16_t symbol_bytes_max = 1408;  // that the ports at hand could do
    bool v6 = false;
    unsigned lanes = 1;
};

class PathProbe {
  public:
    PathProbe(const PathProbeConfig& config, TimeNs now) noexcept;

    // Now and then (tens of milliseconds): is something sent and not complete; a count that rises with everything that
    // the far side has completed; how long an answer may take (the retransmission timeout).
    void observe(bool waiting, std::uint64_t completed, TimeNs timeout, TimeNs now) noexcept;

    struct Ask {
        wire::Probe probe;
        std::uint8_t lane = 0;
    };
    std::optional<Ask> next() noexcept;  // until nothing more is due
    void on_answer(const wire::Probe& answer, TimeNs now) noexcept;
    TimeNs next_wake() const noexcept;

    // The symbol size that a new session should have; nullopt: this one's.
    std::optional<std::uint16_t> verdict() const noexcept { return verdict_; }

  private:
    static constexpr std::size_t kSizesMax = 16;
    static constexpr unsigned kRounds = 4;          // at the session's size; the first asks for nothing else
    static constexpr unsigned kRoundsAnswered = 3;  // with smaller ones answered in so many of them
    static constexpr TimeNs kStalled = 500 * kMillisecond;
    static constexpr TimeNs kTimeoutMin = 50 * kMillisecond, kTimeoutMax = kSecond;
    static constexpr TimeNs kRaiseInterval = 600 * kSecond;  // RFC 8899 PMTU_RAISE_TIMER

    enum class State : std::uint8_t { confirmed, checking, raising };
    void begin(State state, TimeNs now) noexcept;
    void begin_round(TimeNs now) noexcept;
    void end_round(TimeNs now) noexcept;
    void add(std::uint16_t symbol_bytes) noexcept;

    PathProbeConfig config_;
    std::array<std::uint16_t, kSizesMax> table_{};  // descending; sizes a path may carry
    std::size_t table_size_ = 0;
    State state_ = State::confirmed;
    unsigned round_ = 0;
    TimeNs round_ends_ = kNever, raise_at_ = kNever;
    std::array<std::uint16_t, kSizesMax> due_{};  // asks of this round that have not left
    std::size_t due_count_ = 0;
    std::uint32_t first_token_ = 1, next_token_ = 1;  // answers to older tokens are void
    std::uint16_t answered_ = 0;                      // the largest size answered since begin()
    unsigned rounds_answered_ = 0;
    bool round_answered_ = false;
    TimeNs timeout_ = kTimeoutMax / 4;
    std::uint64_t completed_ = 0;
    TimeNs moved_ = 0;  // when something was completed last, or nothing was waited for
    std::optional<std::uint16_t> verdict_;
};

}  // namespace longhaul::session
