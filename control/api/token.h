// The bearer token that guards REST: made at first start, 256 random bits, readable by its owner only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace longhaul::control {

Result<std::string> load_or_create_token(const std::string& file);
Result<std::string> load_token(const std::string& file);  // for clients
// `header`: the value of Authorization. Takes the same time wherever the first difference is.
bool token_matches(std::string_view header, std::string_view token);

}  // namespace longhaul::control
