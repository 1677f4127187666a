// The extended attributes and POSIX ACLs of an object at the source, those that travel (wire/attributes).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace longhaul::control {

// As wire/attributes writes them. `fd` may be O_PATH. Those of a file system without attributes are empty.
Result<std::string> attributes_of(int fd, bool directory);

}  // namespace longhaul::control
