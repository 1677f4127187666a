// Does what stands there have the owner, mode, mtime, attributes and text that its `verify` entry names?
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/wire/manifest.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

class Comparison {
  public:
    // `probe`: a name in the target's staging directory that nobody else uses.
    Comparison(const Store& store, std::string probe)
        : store_(store), disk_(store.disk), probe_(std::move(probe)) {}

    // `fd` is open for reading or O_PATH, of something of the entry's kind. none, what differs first, or why that cannot be
    // told; of a source whatever differs is source_changed.
    wire::FailReason compare(int fd, const wire::Entry& entry);

  private:
    struct Traits {
        std::uint32_t uid = 0, gid = 0, mode = 0;
        std::int64_t mtime_ns = 0;
    };
    static Traits traits_of(const struct stat& found);
    static wire::FailReason difference(const wire::Entry& entry, const Traits& there, const Traits& wanted);
    Traits attainable(const wire::Entry& entry);
    int stage_probe(const wire::Entry& entry);
    wire::FailReason judge(int fd, const wire::Entry& entry);

    const Store& store_;
    Disk& disk_;
    const std::string probe_;
};

}  // namespace longhaul::storage
