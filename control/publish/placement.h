// Where a replica may stand on this site's disks: beneath an allowed root, whatever symlinks say.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace longhaul::control {

// "posix:/lake" -> "/lake". Refuses other kinds and relative paths with what exists.
Result<std::string> directory_of_store(const std::string& store);

// The canonical directory, created where it was missing, but not if it is `held`: what it held would be missing from it.
// Touches the disk: not on the loop's thread.
Result<std::string> place_store(const std::vector<std::string>& allowed_roots, const std::string& store,
                                const std::string& held);

bool overlap(const std::string& one,
             const std::string& other);  // equal, or one beneath the other; both canonical

}  // namespace longhaul::control
