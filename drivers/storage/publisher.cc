// Bundles that are flushed together, and then published one by one.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/publisher.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "drivers/storage/errors.h"

namespace longhaul::storage {

namespace {

// A file system that takes longer is full of others' unwritten data: bundles flush their own for a while.
constexpr std::chrono::seconds kFlushLong{1};
constexpr unsigned kBundlesSingly = 64;

// Fewer files than these share a journal commit or two anyway, and wait for nobody else's data.
constexpr std::ptrdiff_t kFilesTogetherMin = 32;

// All or none: an error says that something of this file system was lost, not what, and says so once.
void flush_together(const std::vector<std::shared_ptr<PublishJob>>& jobs) {
    const Store& store = *jobs.front()->store;
    const auto begin = std::chrono::steady_clock::now();
    const int error = store.disk.syncfs(store.staging.get()) == 0 ? 0 : errno;
    if (std::chrono::steady_clock::now() - begin > kFlushLong)
        store.flush_singly.store(kBundlesSingly, std::memory_order_relaxed);
    ++jobs.front()->file_system_flushes;
    if (error != 0) ++store.flush_failures;
    for (const auto& job : jobs) {
        job->unflushed = false;
        job->flushed_together = true;
        if (job->flush_failures == store.flush_failures) continue;
        for (wire::FailReason& reason : job->reasons)
            if (reason == wire::FailReason::none) reason = target_reason(error != 0 ? error : EIO);
    }
}

}  // namespace

bool may_flush_together(const wire::Manifest& manifest, const Store& store) noexcept {
    if (manifest.publish == wire::PublishRule::in_order)
        return false;  // is said to be staged once it is flushed
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

void Publisher::chosen(const std::shared_ptr<PublishJob>& first, const Jobs& waiting) {
    flushed_together_.clear();
    if (!first->unflushed) return;
    flushed_together_.push_back(first);
    for (const auto& job : waiting)
        if (job->unflushed && job->store == first->store) flushed_together_.push_back(job);
}

void Publisher::work(PublishJob& job) {
    if (!flushed_together_.empty()) flush_together(flushed_together_);
    publish(job);
}

}  // namespace longhaul::storage
