// Whether a dataset's policy can hold on the links there are, and if not, why, in numbers.
//
// What is refused cannot hold even alone, or would break a floor that was promised. What could hold, but not
// while the others do what is expected of them, is accepted with a warning: it is degraded.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/schedule/schedule.h"

namespace longhaul::control {

struct Committed {  // another dataset
    DatasetSpec spec;
    std::string link;  // it is on; empty: none
};

// `links`: to the dataset's target site. The sum that counts on a link is of floors and expected changes.
Plan admit(const DatasetSpec& wanted, const std::vector<Committed>& others,
           const std::vector<LinkNow>& links);

}  // namespace longhaul::control
