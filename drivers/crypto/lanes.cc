// Packet numbers, key phases and replay of the two lane ends; see lanes.h.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/crypto/lanes.h"

#include <limits>

#include "dataplane/base/assert.h"
#include "dataplane/base/bytes.h"
#include "dataplane/wire/packet.h"

namespace longhaul::crypto {
namespace {

constexpr std::size_t kFlagsOffset = 1, kSpiOffset = 4, kNumberOffset = 8;

Result<void> reserve(KeyBudget& budget, unsigned keys) {
    if (keys > budget.most - budget.taken)
        return Error{ErrorCode::exhausted,
                     "crypto: all " + std::to_string(budget.most) +
                         " lane keys of this worker are taken: use fewer lanes or links, or "
                         "more workers"};
    budget.taken += keys;
    return {};
}

}  // namespace

Result<std::unique_ptr<SealingLane>> SealingLane::make(GcmQueue& queue, KeyBudget& budget,
                                                       const AeadConfig& limits, const LaneSecret& secret,
                                                       std::uint32_t spi) {
    if (auto reserved = reserve(budget, KeyBudget::kSealer); !reserved.ok()) return reserved.error();
    std::unique_ptr<SealingLane> lane(new SealingLane(queue, budget, limits, spi));
    auto key = queue.load_key(secret, /*sealing=*/true);
    if (!key.ok()) return key.error();
    lane->current_ = std::move(key).value();
    lane->next_secret_ = secret;
    if (auto loaded = lane->load_next(); !loaded.ok()) return loaded.error();
    return lane;
}

SealingLane::~SealingLane() {
    budget_.taken -= KeyBudget::kSealer;
}

Result<void> SealingLane::load_next() {
    auto secret = next_phase(next_secret_);
    if (!secret.ok()) return secret.error();
    next_secret_ = secret.value();
    auto key = queue_.load_key(next_secret_, /*sealing=*/true);
    if (!key.ok()) return key.error();
    next_ = std::move(key).value();
    return {};
}

bool SealingLane::must_turn(std::uint32_t bytes) const noexcept {
    return phase_packets_ >= packets_max_ || bytes > bytes_max_ - phase_bytes_;
}

void SealingLane::turn() {
    current_ = std::move(next_);  // frees the old key's place, which load_next takes
    ++phase_;
    phase_packets_ = 0;
    phase_bytes_ = 0;
    LH_ASSERT(
        load_next()
            .ok());  // only memory exhaustion within OpenSSL fails here; going on with an old key is worse
}

void SealingLane::stamp(const SealJob& job, GcmOperation& operation) noexcept {
    LH_ASSERT(next_number_ < std::numeric_limits<std::uint64_t>::max());
    const std::uint64_t number = next_number_++;
    ++phase_packets_;
    phase_bytes_ += job.bytes;

    std::uint8_t& flags = job.header[kFlagsOffset];
    flags = static_cast<std::uint8_t>((flags & ~wire::Flags::key_phase) |
                                      ((phase_ & 1) ? wire::Flags::key_phase : 0));
    ByteWriter writer(MutableByteView(job.header + kSpiOffset, 12));
    writer.u32(spi_);
    writer.u64(number);
    operation.key = &current_;
    operation.packet_number = number;
}

Result<std::unique_ptr<OpeningLane>> OpeningLane::make(GcmQueue& queue, KeyBudget& budget,
                                                       const AeadConfig& limits, const LaneSecret& secret) {
    if (auto reserved = reserve(budget, KeyBudget::kOpener); !reserved.ok()) return reserved.error();
    std::unique_ptr<OpeningLane> lane(new OpeningLane(queue, budget, limits));
    auto key = queue.load_key(secret, /*sealing=*/false);
    if (!key.ok()) return key.error();
    lane->current_ = std::move(key).value();
    lane->next_secret_ = secret;
    if (auto loaded = lane->load_next(); !loaded.ok()) return loaded.error();
    return lane;
}

OpeningLane::~OpeningLane() {
    budget_.taken -= KeyBudget::kOpener;
}

Result<void> OpeningLane::load_next() {
    auto secret = next_phase(next_secret_);
    if (!secret.ok()) return secret.error();
    next_secret_ = secret.value();
    auto key = queue_.load_key(next_secret_, /*sealing=*/false);
    if (!key.ok()) return key.error();
    next_ = std::move(key).value();
    return {};
}

wire::DropReason OpeningLane::admit(const OpenJob& job, GcmOperation& operation,
                                    std::uint32_t& phase) noexcept {
    if (exhausted()) return wire::DropReason::tag_bad;
    const std::uint64_t number = ByteReader(ByteView(job.header + kNumberOffset, 8)).u64();
    if (!window_.is_fresh(number)) return wire::DropReason::replayed;

    const unsigned flag = (job.header[kFlagsOffset] & wire::Flags::key_phase) != 0 ? 1 : 0;
    if (flag == (phase_ & 1)) {
        operation.key = &current_;
        phase = phase_;
    } else if (window_.is_above_all(number)) {
        operation.key = &next_;
        phase = phase_ + 1;
    } else if (previous_.loaded()) {
        operation.key = &previous_;
        phase = phase_ - 1;
    } else {
        ++tags_bad_;  // below what phase 0 has shown, yet not of phase 0: nobody of ours sealed it
        return wire::DropReason::tag_bad;
    }
    operation.packet_number = number;
    return wire::DropReason::none;
}

wire::DropReason OpeningLane::settle(const GcmOperation& operation, std::uint32_t phase) {
    if (operation.outcome == GcmOutcome::tag_bad) {
        ++tags_bad_;
        return wire::DropReason::tag_bad;
    }
    if (operation.outcome != GcmOutcome::good) return wire::DropReason::tag_bad;
    if (!window_.is_fresh(operation.packet_number))
        return wire::DropReason::replayed;  // by its twin in this burst
    if (phase == phase_ + 1) turn();
    window_.note(operation.packet_number);
    ++packets_opened_;
    return wire::DropReason::none;
}

void OpeningLane::turn() {
    previous_ = GcmKey();  // its place is the new key's
    previous_ = std::move(current_);
    current_ = std::move(next_);
    ++phase_;
    LH_ASSERT(load_next().ok());  // as in SealingLane::turn
}

}  // namespace longhaul::crypto
