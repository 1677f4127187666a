// What somebody wrote, repeated in a refusal: quoted, so that it can neither forge a line of a log nor flood it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace longhaul {

std::string in_quotes(std::string_view text);  // with control bytes escaped, cut at 80 characters

}  // namespace longhaul
