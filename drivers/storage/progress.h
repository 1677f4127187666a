// Which ranges of a staged object are durable, told by the object's own file: records behind its end. They live and die
// with its bytes, so that nobody counts on ranges of a file that has gone and was begun anew. A record is written once the
// bytes of its range are flushed; one that a crash has torn is none. The end is cut to the object's size when records
// prove that it is whole, and before it gets its name.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/manifest.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

// How long the staged file of an object of that size is at least: longer than the object, so that being as long as it
// means "proven and cut".
std::uint64_t staged_bytes(std::uint64_t object_bytes) noexcept;

// The bytes of this range are flushed. `file` is the staged object; the record itself is the caller's to flush. 0 or errno.
int record_range(Disk& disk, int file, const wire::Entry& range);

// 0: every byte that ranges bring (Entry::file_size of `assemble`) is here, and the file ends with the object, flushed.
// ENODATA: some are not. Else errno.
int prove_whole(Disk& disk, int staging, const std::string& name, const wire::Entry& assemble);

}  // namespace longhaul::storage
