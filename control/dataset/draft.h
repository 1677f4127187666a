// A bundle being composed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/dataset/runner.h"

namespace longhaul::control {

struct Runner::Draft {
    wire::Manifest manifest;
    std::vector<EntryNote> notes;
    std::uint64_t payload = 0;
    std::size_t head_bytes = 0;
    std::uint64_t bound = 0;
    std::size_t entries_max = 0;
    std::string parent_known;  // a directory that is recorded, or wanted
};

}  // namespace longhaul::control
