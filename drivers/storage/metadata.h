// Owner, extended attributes, mode and modification time of published things. Owner first (a change of owner clears
// set-id bits), then attributes (a read-only mode would forbid them, and an ACL changes the mode), then mode, then time. Without the privilege to change owners the files stay ours; set-user-id and
// set-group-id bits are then withheld, because they would lend out the wrong identity. All calls return 0 or
// an errno.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/manifest.h"
#include "drivers/storage/disk.h"

namespace longhaul::storage {

// A regular file of our own staging directory, by name.
int set_staged_metadata(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept;
// Of a bundle's file whose bytes are all written; staged_reason() names what is wrong with it.
int make_staged_file_ready(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept;
// The same for one more name of a published file, if that is the version which the entry describes; else kLinkMissing.
int set_linked_metadata(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept;
// A symlink by name: owner and time; links have no mode.
int set_symlink_metadata(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept;
// A file or directory that stays where it is; `fd` is open for reading or O_PATH.
int set_metadata(Disk& disk, int fd, const wire::Entry& entry) noexcept;

}  // namespace longhaul::storage
