// What has to be done to make a target's object equal to the source's: a pure comparison.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/state/records.h"

namespace longhaul::control {

// One object as it stands at the source now.
struct Observed {
    Fingerprint print;
    std::string link;                // text of a symlink
    std::string attributes;          // as wire/attributes writes them
    std::vector<RangeRecord> holes;  // of a sparse file that is to be sent
    bool sparse = false;             // fewer blocks than its size asks for: it may have holes
    bool racy =
        false;  // its ctime is so young that the next write, or a directory's next attribute, may leave the same
};

// A path that differs from what is recorded as published. `now` empty: nothing stands there any more.
struct Observation {
    std::string path;
    std::optional<Observed> now;
};

enum class Difference : std::uint8_t {
    none,
    content,   // send the whole object (a file, a symlink, a directory that is not known to exist)
    metadata,  // mode, owner, mtime or attributes only
    kind,      // a directory stands where something else was, or the reverse: remove, then create
    gone,      // recorded, but no longer at the source
};

// A file of whose metadata nothing but the ctime moved counts as changed content: the bytes may differ with the mtime set back.
Difference difference(const ObjectRecord* recorded, const Observed* now) noexcept;

}  // namespace longhaul::control
