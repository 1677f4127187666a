// How a dataset's specification is written in JSON: by REST clients, and between the control processes of two
// sites.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/core.h"

namespace longhaul::control {

const char* to_string(Mode mode);                // "namespace", "copy"
const char* to_string(Consistency consistency);  // "object", "ordered"
std::optional<Mode> mode_from(const std::string& text);
std::optional<Consistency> consistency_from(const std::string& text);

nlohmann::json dataset_document(const DatasetSpec& spec);

}  // namespace longhaul::control
