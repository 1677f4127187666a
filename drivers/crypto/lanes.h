// The two ends of a lane: which key and which packet number the sealer uses next, which key a received packet
// may be meant for and what its authentication changes.
//
//   sealer   phase n ──(packets or bytes at the limit)──▶ phase n+1        the packet number goes on
//   opener   previous, current, next: a packet whose phase flag differs from the current one is
//            tried with `next` when its number is above all seen, else with `previous`.
//            An authentic packet of `next` turns the phase; a failed one changes nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "drivers/crypto/aead.h"
#include "drivers/crypto/gcm_queue.h"
#include "drivers/crypto/replay_window.h"

namespace longhaul::crypto {

// Keys that the lanes of a device may hold at once: reserved when a lane is made, so that a turn never fails
// for want.
struct KeyBudget {
    unsigned taken = 0;
    unsigned most = 0;
    static constexpr unsigned kSealer = 2;
    static constexpr unsigned kOpener = 3;
};

class SealingLane final : public LaneSealer {
  public:
    static Result<std::unique_ptr<SealingLane>> make(GcmQueue& queue, KeyBudget& budget,
                                                     const AeadConfig& limits, const LaneSecret& secret,
                                                     std::uint32_t spi);
    ~SealingLane() override;

    std::uint64_t packets_sealed() const override { return next_number_; }
    std::uint32_t key_phases() const override { return phase_; }

    bool is_of(const GcmQueue& queue) const noexcept { return &queue_ == &queue; }
    bool must_turn(std::uint32_t bytes) const noexcept;
    void turn();  // no operation with the present key may be pending
    // Takes the next packet number: stamps the header and gives the operation its key and number.
    void stamp(const SealJob& job, GcmOperation& operation) noexcept;

  private:
    SealingLane(GcmQueue& queue, KeyBudget& budget, const AeadConfig& limits, std::uint32_t spi)
        : queue_(queue),
          budget_(budget),
          packets_max_(limits.phase_packets_max),
          bytes_max_(limits.phase_bytes_max),
          spi_(spi) {}
    Result<void> load_next();

    GcmQueue& queue_;
    KeyBudget& budget_;
    const std::uint64_t packets_max_, bytes_max_;
    const std::uint32_t spi_;
    LaneSecret next_secret_;  // of the phase whose key `next_` is; the present phase's secret is gone
    GcmKey current_, next_;
    std::uint32_t phase_ = 0;
    std::uint64_t next_number_ = 0;
    std::uint64_t phase_packets_ = 0, phase_bytes_ = 0;
};

class OpeningLane final : public LaneOpener {
  public:
    static Result<std::unique_ptr<OpeningLane>> make(GcmQueue& queue, KeyBudget& budget,
                                                     const AeadConfig& limits, const LaneSecret& secret);
    ~OpeningLane() override;

    std::uint64_t packets_opened() const override { return packets_opened_; }
    std::uint64_t tags_bad() const override { return tags_bad_; }
    bool exhausted() const override { return tags_bad_ >= forgeries_max_; }
    std::uint32_t key_phases() const override { return phase_; }

    bool is_of(const GcmQueue& queue) const noexcept { return &queue_ == &queue; }
    // Chooses the key. Anything but `none` is the packet's end; no state has changed but the count of bad
    // tags.
    wire::DropReason admit(const OpenJob& job, GcmOperation& operation, std::uint32_t& phase) noexcept;
    // After the device: `phase` as admit gave it.
    wire::DropReason settle(const GcmOperation& operation, std::uint32_t phase);

  private:
    OpeningLane(GcmQueue& queue, KeyBudget& budget, const AeadConfig& limits)
        : queue_(queue), budget_(budget), forgeries_max_(limits.forgeries_max) {}
    void turn();
    Result<void> load_next();

    GcmQueue& queue_;
    KeyBudget& budget_;
    const std::uint64_t forgeries_max_;
    LaneSecret next_secret_;
    GcmKey previous_, current_, next_;
    std::uint32_t phase_ = 0;
    ReplayWindow window_;
    std::uint64_t packets_opened_ = 0, tags_bad_ = 0;
};

}  // namespace longhaul::crypto
