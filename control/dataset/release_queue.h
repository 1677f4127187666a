// In what order the changes of an ordered dataset leave: by epoch, then everything that comes or changes by the time of
// its change, then what goes, children before their directory.
//
// An epoch is what one clean sweep proves complete: every change up to its cut, which lies a little before the sweep's
// start. A change that the sweep saw and that may be younger than the cut belongs to a later epoch. Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <tuple>

#include "control/capture/tree.h"

namespace longhaul::control {

// ctimes come from the kernel's tick, sweeps are dated by the fine clock: a change after the start of a sweep may be
// stamped this much before it.
inline constexpr std::int64_t kCutMargin_ns = kRacyNs;

struct Release {
    std::int64_t cut_ns = 0;
    bool removal = false;
    std::int64_t changed_by_ns = 0;
    std::string path;

    bool operator<(const Release& other) const {
        if (cut_ns != other.cut_ns) return cut_ns < other.cut_ns;
        if (removal != other.removal) return !removal;
        if (removal) return path > other.path;
        return std::tie(changed_by_ns, path) < std::tie(other.changed_by_ns, other.path);
    }
};

// May hold what has been settled, replaced or taken meanwhile: whoever takes from the front looks at the change itself.
using ReleaseQueue = std::set<Release>;

}  // namespace longhaul::control
