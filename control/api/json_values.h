// What is not known is null, never zero.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "control/config/values.h"
#include "control/core.h"

namespace longhaul::control {

inline nlohmann::json when(WallNs time) {
    return time == 0 ? nlohmann::json() : nlohmann::json(rfc3339(time));
}
inline nlohmann::json when(const std::optional<WallNs>& time) {
    return time ? nlohmann::json(rfc3339(*time)) : nlohmann::json();
}

template <typename T>
nlohmann::json known(const std::optional<T>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
}
inline nlohmann::json known(const std::string& text) {
    return text.empty() ? nlohmann::json() : nlohmann::json(text);
}

}  // namespace longhaul::control
