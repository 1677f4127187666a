// The extended attributes and POSIX ACLs of an object at the source, those that travel (wire/attributes).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace longhaul::control {

// As wire/attributes writes them. `fd` may be O_PATH. Those of a file system without attributes are empty.
Result<std::string> attributes_of(int fd, bool directory);

// What a fingerprint remembers of them: 0 of none, 64 bits of SHA-256 otherwise.
std::uint64_t attributes_digest(std::string_view written);

}  // namespace longhaul::control
