// A dataset's specification read from a request body, with every wrong field named.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include "control/core.h"
#include "control/http/body.h"

namespace longhaul::control {

std::variant<DatasetSpec, Problem> dataset_spec_from(const nlohmann::json& document);
std::variant<DatasetChange, Problem> dataset_change_from(const nlohmann::json& document);

}  // namespace longhaul::control
