// Extended attributes and POSIX ACLs at the target: an object gets exactly those that its entry names, of the names that
// travel (wire/attributes); others, such as the host's security labels, stay as they are. Calls return 0 or an errno.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/wire/manifest.h"
#include "drivers/storage/disk.h"

namespace longhaul::storage {

// Those of them that it has, as wire/attributes writes them. `fd` is open for reading or O_PATH.
int read_attributes(Disk& disk, int fd, std::string& written);
// `fd` is open for reading or O_PATH. Not after the mode has been set: user.* asks for write permission.
int set_attributes(Disk& disk, int fd, const wire::Entry& entry) noexcept;
// A regular file of our own staging directory, by name, which has none yet.
int set_staged_attributes(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept;
// A default ACL of the store's root would be inherited by all that is staged.
void drop_default_acl(Disk& disk, int directory) noexcept;

}  // namespace longhaul::storage
