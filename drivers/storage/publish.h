// The last steps of a bundle whose bytes are flushed: metadata, renames, removals, directory fsyncs.
// Blocking system calls in manifest order; runs on the publisher's thread and touches nothing but its job.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/wire/manifest.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

struct PublishJob {
    std::shared_ptr<const Store> store;
    std::shared_ptr<const wire::Manifest> manifest;
    std::uint64_t serial = 0;  // of this writer: names its staged symlinks
    // One per entry: the staged b-* file (empty: none) and the reason why the entry is dropped (none: publish
    // it).
    std::vector<std::string> staged;
    std::vector<wire::FailReason> reasons;  // in and out
    bool discard_only = false;              // abort: remove what is staged, publish nothing
    bool flushed_together = false;          // with others, and with their metadata (drivers/storage/flusher)

    std::atomic<bool> cancelled{false};  // set by the owner: no further entry is published
    std::uint64_t files_published = 0;
    std::uint64_t directory_fsyncs = 0;
    std::uint64_t file_system_flushes = 0;
    bool store_gone = false;                // out: its directory stands no more; nothing was published
    bool out_of_order = false;              // out: not the next of its order; nothing was published
    bool place_taken = false;               // out, in order: what follows it may be published
    std::function<void(PublishJob&)> done;  // owner thread only; cleared when the writer is gone
};

void publish(PublishJob& job);

}  // namespace longhaul::storage
