// Rates as people write them, in the configuration of both processes, in flags and in REST bodies.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/base/result.h"

namespace longhaul::command {

// "1G", "2.5G", "500M", "64K", "1000000": bit/s, from 1K to 1000G. No sign, no exponent, no blanks.
Result<std::uint64_t> parse_rate_bps(std::string_view text);

}  // namespace longhaul::command
