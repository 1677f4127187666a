// The thread that makes bundles of many small files durable before they are published: metadata, then one syncfs for all
// bundles that wait when it begins, where a thousand fdatasyncs would ask the disk a thousand times. Another
// thread than the publisher's, so that one bundle is renamed while the next is flushed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/wire/manifest.h"
#include "drivers/storage/helper_thread.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

// Whether the bundle's staged files are left to the flusher; counts the bundle when such flushes are avoided.
bool may_flush_together(const wire::Manifest& manifest, const Store& store) noexcept;

struct FlushJob {
    std::shared_ptr<const Store> store;
    std::shared_ptr<const wire::Manifest> manifest;
    // One per entry: the staged file (empty: none) and the reason why the entry is dropped (none: it is flushed).
    std::vector<std::string> staged;
    std::vector<wire::FailReason> reasons;  // in and out
    std::uint64_t flush_failures = 0;       // of the store, when the bundle's writer was made

    std::uint64_t file_system_flushes = 0;
    std::atomic<bool> cancelled{false};   // set by the owner: nobody waits for it
    std::function<void(FlushJob&)> done;  // owner thread only; cleared when the writer is gone
    bool flushed = false;                 // with an earlier job; the flusher's own
};

class Flusher final : public HelperThread<FlushJob> {
  public:
    explicit Flusher(Helping how) : HelperThread(how, "lh-flush") {}
    ~Flusher() { end(); }

  private:
    void chosen(const std::shared_ptr<FlushJob>& first, const Jobs& waiting) override;
    void work(FlushJob& job) override;

    std::vector<std::shared_ptr<FlushJob>> together_;  // with the job that is worked on
};

}  // namespace longhaul::storage
