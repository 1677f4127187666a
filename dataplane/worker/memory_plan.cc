// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/memory_plan.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/session/block_pool.h"
#include "dataplane/session/parameters.h"

namespace longhaul::worker {

namespace {
constexpr std::uint64_t kReadAheadCheap = 32u << 20;
}  // namespace

MemoryPlan plan_memory(std::uint64_t rate_bps, unsigned rtt_ms, unsigned links, unsigned stripe_symbols,
                       std::size_t symbol_bytes, unsigned workers) {
    MemoryPlan plan;
    plan.stripe_bytes = stripe_symbols * symbol_bytes;
    plan.block_stride = session::BlockPool::stride_for(stripe_symbols, symbol_bytes, session::kParitySlots);
    const std::uint64_t bdp_bytes = rate_bps / 8 * rtt_ms / 1000;
    const auto blocks = [&](std::uint64_t bytes) {
        return static_cast<std::uint32_t>(bytes / workers / plan.stripe_bytes + 1);
    };
    // Read-ahead covers 20 ms of disk latency at the link's rate, and where that costs little the 200 ms for which a disk
    // that others write to (journal, flushes) may stand still. A stripe may wait two repair rounds for its ack.
    const std::uint64_t bytes_per_s = rate_bps / 8;
    plan.read_ahead_blocks =
        blocks(std::max(bytes_per_s / 50, std::min(bytes_per_s / 5, kReadAheadCheap))) + 32;
    plan.send_blocks = blocks(bdp_bytes * 5 / 2) + plan.read_ahead_blocks;
    // The receiver also holds blocks while they are written: 100 ms of disk at the link's rate.
    plan.receive_blocks = blocks(bdp_bytes * 2) + blocks(rate_bps / 8 / 10) + 32;
    plan.links = links;
    plan.workers = workers;
    plan.arena_bytes = plan.block_stride * (std::uint64_t{plan.send_blocks} + plan.receive_blocks) * links;
    return plan;
}

std::string MemoryPlan::text() const {
    const auto mib = [](std::uint64_t bytes) {
        return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB";
    };
    return "memory plan: " + std::to_string(workers) + " workers x " + std::to_string(links) + " links x (" +
           std::to_string(send_blocks) + " send + " + std::to_string(receive_blocks) +
           " receive blocks) of " + std::to_string(block_stride) + " bytes = " + mib(arena_bytes * workers) +
           "; a full stripe carries " + std::to_string(stripe_bytes) + " bytes";
}

Result<Arena> Arena::map(std::uint64_t bytes, bool hugepages) {
    constexpr std::size_t kHuge = 2u << 20;
    const std::size_t size = (bytes + kHuge - 1) / kHuge * kHuge;
    constexpr int kProtection = PROT_READ | PROT_WRITE;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (hugepages) {
        void* mapped = ::mmap(nullptr, size, kProtection, kFlags | MAP_HUGETLB | MAP_POPULATE, -1, 0);
        if (mapped != MAP_FAILED) return Arena(static_cast<std::uint8_t*>(mapped), size, true);
    }
    void* mapped = ::mmap(nullptr, size, kProtection, kFlags, -1, 0);
    if (mapped == MAP_FAILED)
        return Error{ErrorCode::exhausted, "cannot map " + std::to_string(size >> 20) + " MiB for stripes (" +
                                               std::strerror(errno) +
                                               "): lower plan_rate, plan_rtt_ms or links_max, or add memory"};
    ::madvise(mapped, size, MADV_HUGEPAGE);  // advice only: ordinary pages do as well
    return Arena(static_cast<std::uint8_t*>(mapped), size, false);
}

Arena::Arena(Arena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      hugepages_(other.hugepages_) {}

Arena& Arena::operator=(Arena&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(hugepages_, other.hugepages_);
    return *this;
}

Arena::~Arena() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace longhaul::worker
