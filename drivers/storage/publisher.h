// The thread for the blocking steps of publishing: a journal commit, or the removal of a large file. Bundles of one worker are
// published in the order in which they became flushed. Bundles of many small files come unflushed: one syncfs
// serves all that wait when it begins, where a thousand fdatasyncs would ask the disk a thousand times.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "drivers/storage/helper_thread.h"
#include "drivers/storage/publish.h"

namespace longhaul::storage {

// Whether the bundle's staged files are left to the publisher to flush; counts the bundle when such flushes are avoided.
bool may_flush_together(const wire::Manifest& manifest, const Store& store) noexcept;

class Publisher final : public HelperThread<PublishJob> {
  public:
    explicit Publisher(Helping how) : HelperThread(how, "lh-publish") {}
    ~Publisher() { end(); }

  private:
    void chosen(const std::shared_ptr<PublishJob>& first, const Jobs& waiting) override;
    void work(PublishJob& job) override;

    std::vector<std::shared_ptr<PublishJob>> flushed_together_;  // of the job that is worked on
};

}  // namespace longhaul::storage
