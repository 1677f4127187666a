// Where a worker's busy cycles go, stage by stage. Two readings of the time-stamp counter a stage and turn, not a packet:
// cheap enough to be always on. Owned by one worker.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_cycles.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace longhaul::worker {

enum class Stage : std::uint8_t {
    commands,  // from the main thread
    receive,   // frames from the ports, headers, places for the plaintext
    open,      // AEAD
    deliver,   // stripes, decoding, feedback taken in
    storage,   // completions
    bundles,   // readers and writers
    symbols,   // what leaves next: stripes, parity, pacing
    seal,      // AEAD
    frames,    // packet headers, checksums, to the ports
    report,    // figures and events to the main thread
};
inline constexpr std::size_t kStages = 10;
inline constexpr std::array<const char*, kStages> kStageNames = {
    "commands", "receive", "open", "deliver", "storage", "bundles", "symbols", "seal", "frames", "report"};
using StageCycles = std::array<std::uint64_t, kStages>;

class StageClock {
  public:
    void begin_turn() noexcept {
        turn_ = {};
        since_ = rte_rdtsc();
        stage_ = Stage::commands;
    }
    // What follows belongs to `stage`; returns the stage that was interrupted.
    Stage enter(Stage stage) noexcept {
        const std::uint64_t now = rte_rdtsc();
        turn_[static_cast<std::size_t>(stage_)] += now - since_;
        since_ = now;
        const Stage before = stage_;
        stage_ = stage;
        return before;
    }
    // Turns that found nothing to do cost nobody anything: they are not counted.
    void end_turn(bool busy) noexcept {
        enter(Stage::commands);
        if (!busy) return;
        for (std::size_t i = 0; i < kStages; ++i)
            busy_[i] += turn_[i];
    }
    const StageCycles& busy_cycles() const noexcept { return busy_; }

  private:
    StageCycles busy_{}, turn_{};
    std::uint64_t since_ = 0;
    Stage stage_ = Stage::commands;
};

}  // namespace longhaul::worker
