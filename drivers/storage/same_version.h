// Is an open file at the source still the one that the walk saw?
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/manifest.h"
#include "drivers/storage/disk.h"

namespace longhaul::storage {

// By size, mtime and ctime: source_changed if it is not.
wire::FailReason compare_version(Disk& disk, int fd, const wire::Entry& entry);

}  // namespace longhaul::storage
