// What makes a dataset's description acceptable at its source. Every refusal says what to change.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/core.h"

namespace longhaul::control {

// Checks everything that needs no other site, and returns the description in its normal form. Touches the
// disk.
Result<DatasetSpec> validate(DatasetSpec spec, const std::string& own_site);

// Whether floor, cap, weight and class contradict each other.
Result<void> check_rates(const DatasetSpec& spec);

// Against the datasets that exist.
Result<void> fits_among(const DatasetSpec& spec, const std::vector<DatasetSpec>& others);

// spec.link, if it names one, must be a link to the target's site.
Result<void> link_exists(const DatasetSpec& spec, const std::vector<LinkChoice>& links);

}  // namespace longhaul::control
