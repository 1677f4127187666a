// The record of a policy that was asked for and refused: who, what, why.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "control/config/dataset_document.h"
#include "control/core.h"

namespace longhaul::control {

inline Event policy_refused(const std::string& who, const DatasetSpec& spec, const Error& error) {
    Event event;
    event.kind = "POLICY_REFUSED";
    event.dataset = spec.name;
    event.site = spec.target.site;
    event.who = who;
    event.object = dataset_document(spec).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    event.text = error.text;
    event.rpo_target_s = spec.rpo_target_s;
    return event;
}

}  // namespace longhaul::control
