// AeadDevice: jobs of many lanes become bursts of one queue, and their outcomes become drop reasons.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/crypto/aead.h"

#include <rte_prefetch.h>

#include <algorithm>
#include <vector>

#include "dataplane/base/assert.h"
#include "dataplane/base/prefetch.h"
#include "dataplane/wire/packet.h"
#include "drivers/crypto/gcm_queue.h"
#include "drivers/crypto/lanes.h"

namespace longhaul::crypto {
namespace {

constexpr std::size_t kSealsAtOnce = 4;
constexpr std::uint32_t kFetchBytes = 1536;  // of a packet: the rest streams by itself

class QueueDevice final : public AeadDevice {
  public:
    QueueDevice(const AeadConfig& config, std::unique_ptr<GcmQueue> queue)
        : config_(config),
          queue_(std::move(queue)),
          pending_(queue_->burst()),
          seal_jobs_(queue_->burst()),
          open_jobs_(queue_->burst()),
          phases_(queue_->burst()) {
        budget_.most = config.lane_keys_max;
    }
    ~QueueDevice() override { LH_ASSERT(budget_.taken == 0); }  // a lane outlives its device

    Result<std::unique_ptr<LaneSealer>> make_sealer(const LaneSecret& secret, std::uint32_t spi) override {
        auto lane = SealingLane::make(*queue_, budget_, config_, secret, spi);
        if (!lane.ok()) return lane.error();
        return std::unique_ptr<LaneSealer>(std::move(lane).value());
    }
    // The SPI is the caller's: it found the lane by it. A header with another one fails its tag.
    Result<std::unique_ptr<LaneOpener>> make_opener(const LaneSecret& secret, std::uint32_t) override {
        auto lane = OpeningLane::make(*queue_, budget_, config_, secret);
        if (!lane.ok()) return lane.error();
        return std::unique_ptr<LaneOpener>(std::move(lane).value());
    }

    void seal(std::span<SealJob> jobs) override;
    void open(std::span<OpenJob> jobs) override;
    const std::string& name() const override { return queue_->name(); }
    std::uint64_t device_errors() const override { return device_errors_; }

  private:
    void run_seals(std::size_t count);
    void fetch_sources(std::size_t from, std::size_t to) const noexcept;
    void run_opens(std::size_t count);

    const AeadConfig config_;
    std::unique_ptr<GcmQueue> queue_;
    KeyBudget budget_;
    std::vector<GcmOperation> pending_;  // of the burst being filled, with their jobs beside them
    std::vector<SealJob*> seal_jobs_;
    std::vector<OpenJob*> open_jobs_;
    std::vector<std::uint32_t> phases_;
    std::uint64_t device_errors_ = 0;
};

void QueueDevice::seal(std::span<SealJob> jobs) {
    std::size_t count = 0;
    for (SealJob& job : jobs) {
        auto* const lane = static_cast<SealingLane*>(job.lane);
        LH_ASSERT(lane != nullptr && lane->is_of(*queue_) && job.bytes <= kAeadBytesMax);
        if (lane->must_turn(job.bytes)) {
            run_seals(count);  // packets of the ending phase still need its key
            count = 0;
            lane->turn();
        }
        GcmOperation& operation = pending_[count];
        operation = GcmOperation{};
        lane->stamp(job, operation);
        operation.associated = job.header;
        operation.source = job.plaintext;
        operation.destination = job.sealed;
        operation.tag = job.sealed + job.bytes;
        operation.bytes = job.bytes;
        seal_jobs_[count] = &job;
        if (++count < pending_.size()) continue;
        run_seals(count);
        count = 0;
    }
    run_seals(count);
}

// A device that computes on this core gets a few packets at a time, while those after them come from memory.
void QueueDevice::run_seals(std::size_t count) {
    const std::size_t part = queue_->computes_here() ? kSealsAtOnce : std::max<std::size_t>(count, 1);
    for (std::size_t at = 0; at < count; at += part) {
        if (queue_->computes_here()) fetch_sources(at + part, std::min(count, at + 2 * part));
        queue_->run(std::span(pending_).subspan(at, std::min(part, count - at)));
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (pending_[i].outcome == GcmOutcome::good) continue;
        ++device_errors_;
        std::fill_n(seal_jobs_[i]->sealed, seal_jobs_[i]->bytes + wire::kTagBytes, std::uint8_t{0});
    }
}

// Blocks that a disk has filled, or that were sent before, are in no cache.
void QueueDevice::fetch_sources(std::size_t from, std::size_t to) const noexcept {
    for (; from < to; ++from) {
        const std::size_t most = std::min(pending_[from].bytes, kFetchBytes);
        for (std::size_t at = 0; at < most; at += kCacheLineBytes)
            rte_prefetch1(pending_[from].source + at);
    }
}

void QueueDevice::open(std::span<OpenJob> jobs) {
    std::size_t count = 0;
    for (OpenJob& job : jobs) {
        auto* const lane = static_cast<OpeningLane*>(job.lane);
        LH_ASSERT(lane != nullptr && lane->is_of(*queue_) && job.bytes <= kAeadBytesMax);
        GcmOperation& operation = pending_[count];
        operation = GcmOperation{};
        job.result = lane->admit(job, operation, phases_[count]);
        if (job.result != wire::DropReason::none) continue;
        operation.associated = job.header;
        operation.source = job.sealed;
        operation.destination = job.plaintext;
        operation.tag = const_cast<std::uint8_t*>(job.sealed + job.bytes);  // only read when opening
        operation.bytes = job.bytes;
        open_jobs_[count] = &job;
        if (++count < pending_.size()) continue;
        run_opens(count);
        count = 0;
    }
    run_opens(count);
}

void QueueDevice::run_opens(std::size_t count) {
    if (count == 0) return;
    queue_->run(std::span(pending_).first(count));
    for (std::size_t i = 0; i < count; ++i) {
        if (pending_[i].outcome == GcmOutcome::device_error) ++device_errors_;
        auto* const lane = static_cast<OpeningLane*>(open_jobs_[i]->lane);
        open_jobs_[i]->result = lane->settle(pending_[i], phases_[i]);
    }
}

}  // namespace

Result<std::unique_ptr<AeadDevice>> AeadDevice::create(const AeadConfig& config) {
    if (config.phase_packets_max < 1 || config.phase_bytes_max < kAeadBytesMax)
        return Error{ErrorCode::invalid_argument, "crypto: a key phase must hold at least one packet"};
    if (config.phase_packets_max > kPhasePacketsMax || config.phase_bytes_max > kPhaseBytesMax ||
        config.forgeries_max > kForgeriesMax)
        return Error{ErrorCode::invalid_argument, "crypto: limits above those of RFC 9001 are not safe"};
    auto queue = GcmQueue::open(config);
    if (!queue.ok()) return queue.error();
    return std::unique_ptr<AeadDevice>(std::make_unique<QueueDevice>(config, std::move(queue).value()));
}

}  // namespace longhaul::crypto
