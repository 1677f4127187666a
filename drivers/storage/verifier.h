// Reads what both ends compare: stretches of published files, from the disk and not from memory, and what objects are beside
// their bytes. The target may read long
// after the write, so that what the disk made of it since is seen.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dataplane/wire/manifest.h"
#include "drivers/storage/helper_thread.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

struct VerifyJob {
    std::shared_ptr<const Store> store;
    std::shared_ptr<const wire::Manifest> manifest;
    // One per entry. In: a reason spares the read. Out, of `verify` entries: the CRC32C with `none` or a reason of metadata,
    // or why it could not be read.
    std::vector<wire::EntryVerdict> verdicts;
    std::uint64_t serial = 0;  // of the writer: for names in staging
    std::uint64_t bytes_read = 0;
    std::atomic<bool> cancelled{false};    // set by the owner: nobody waits for the rest
    std::function<void(VerifyJob&)> done;  // owner thread only; cleared when the bundle is gone
};

class Verifier final : public HelperThread<VerifyJob> {
  public:
    explicit Verifier(Helping how) : HelperThread(how, "lh-verify") {}
    ~Verifier() { end(); }

  private:
    void work(VerifyJob& job) override;
};

}  // namespace longhaul::storage
