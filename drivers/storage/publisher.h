// The thread for the blocking steps of publishing: renames, a journal commit, or the removal of a large file. Bundles of
// one worker are published in the order in which they became flushed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "drivers/storage/helper_thread.h"
#include "drivers/storage/publish.h"

namespace longhaul::storage {

class Publisher final : public HelperThread<PublishJob> {
  public:
    explicit Publisher(Helping how) : HelperThread(how, "lh-publish") {}
    ~Publisher() { end(); }

  private:
    void work(PublishJob& job) override { publish(job); }
};

}  // namespace longhaul::storage
