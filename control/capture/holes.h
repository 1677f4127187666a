// Where a sparse file has no data: what is a hole at the source is not read, not sent, and a hole at the target.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "control/state/records.h"

namespace longhaul::control {

// More are sent as the zeros that they read as: a file full of crumbs must not cost control its memory.
inline constexpr std::size_t kHolesMax = 16'384;

// Of the open file, ascending, in whole blocks of wire::kDirectAlignment (the last may end with the file). Empty when it
// has none, when the file system does not tell, or when the file is not the version that `print` describes any more.
std::vector<RangeRecord> holes_of(int fd, const Fingerprint& print);

}  // namespace longhaul::control
