// Bundles that are flushed together; they go on one by one, in their turn.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/flusher.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "drivers/storage/errors.h"
#include "drivers/storage/metadata.h"

namespace longhaul::storage {

namespace {

// A file system that takes longer is full of others' unwritten data: bundles flush their own for a while.
constexpr std::chrono::seconds kFlushLong{1};
constexpr unsigned kBundlesSingly = 64;

// Fewer files than these share a journal commit or two anyway, and wait for nobody else's data.
constexpr std::ptrdiff_t kFilesTogetherMin = 32;

// Before the flush, so that it is as durable as the bytes.
void make_ready(FlushJob& job) {
    const Store& store = *job.store;
    for (std::size_t i = 0; i < job.reasons.size(); ++i) {
        if (job.staged[i].empty() || job.reasons[i] != wire::FailReason::none) continue;
        if (job.cancelled.load(std::memory_order_relaxed)) return;
        job.reasons[i] = staged_reason(make_staged_file_ready(
            store.disk, store.staging.get(), job.staged[i].c_str(), job.manifest->entries[i]));
    }
}

// All or none: an error says that something of this file system was lost, not what, and says so once.
void flush_together(const std::vector<std::shared_ptr<FlushJob>>& jobs) {
    const Store& store = *jobs.front()->store;
    const auto begin = std::chrono::steady_clock::now();
    const int error = store.disk.syncfs(store.staging.get()) == 0 ? 0 : errno;
    if (std::chrono::steady_clock::now() - begin > kFlushLong)
        store.flush_singly.store(kBundlesSingly, std::memory_order_relaxed);
    ++jobs.front()->file_system_flushes;
    if (error != 0) ++store.flush_failures;
    for (const auto& job : jobs) {
        job->flushed = true;
        if (job->flush_failures == store.flush_failures) continue;
        for (wire::FailReason& reason : job->reasons)
            if (reason == wire::FailReason::none) reason = target_reason(error != 0 ? error : EIO);
    }
}

}  // namespace

bool may_flush_together(const wire::Manifest& manifest, const Store& store) noexcept {
    const auto files =
        std::count_if(manifest.entries.begin(), manifest.entries.end(),
                      [](const wire::Entry& entry) { return entry.kind == wire::EntryKind::file; });
    if (files < kFilesTogetherMin) return false;
    unsigned singly = store.flush_singly.load(std::memory_order_relaxed);
    while (singly > 0 &&
           !store.flush_singly.compare_exchange_weak(singly, singly - 1, std::memory_order_relaxed))
        continue;
    return singly == 0;
}

void Flusher::chosen(const std::shared_ptr<FlushJob>& first, const Jobs& waiting) {
    together_.clear();
    if (first->flushed) return;
    together_.push_back(first);
    for (const auto& job : waiting)
        if (!job->flushed && job->store == first->store) together_.push_back(job);
}

void Flusher::work(FlushJob&) {
    if (together_.empty()) return;
    for (const auto& job : together_)
        make_ready(*job);
    flush_together(together_);
}

}  // namespace longhaul::storage
