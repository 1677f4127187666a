// What has to be done to make a target's object equal to the source's: a pure comparison.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/state/records.h"

namespace longhaul::control {

std::string_view parent_of(std::string_view path) noexcept;  // "" for a name in the root

// One object as it stands at the source now.
struct Observed {
    Fingerprint print;
    std::string link;                // text of a symlink
    std::string attributes;          // as wire/attributes writes them
    std::vector<RangeRecord> holes;  // of a sparse file that is to be sent
    bool sparse = false;             // fewer blocks than its size asks for: it may have holes
    bool racy =
        false;  // its ctime is so young that the next write, or a directory's next attribute, may leave the same
    std::int64_t born_ns = 0;  // of a directory: when it was made; 0: the file system does not say

    // By when it had changed to this, as far as it tells itself (Observation). A directory that is renamed leaves its mtime
    // behind, until something is next made in it; one that was given an attribute or a mode counts as renamed.
    bool renamed_directory() const {
        return print.kind == ObjectKind::directory && print.ctime_ns != print.mtime_ns;
    }
    std::int64_t changed_by_ns() const {
        const bool by_birth = print.kind == ObjectKind::directory && !renamed_directory() && born_ns != 0;
        return by_birth ? born_ns : print.ctime_ns;
    }
};

// A path that differs from what is recorded as published. `now` empty: nothing stands there any more.
struct Observation {
    std::string path;
    std::optional<Observed> now;
    // Not before this source time had it changed to that for good: an upper bound of the time of the change (consistency
    // `ordered` goes by it). A file's or symlink's ctime, a directory's birth, or the ctime of an ancestor (or of the
    // directory itself) that was renamed since; of something that is gone, when it was found gone.
    std::int64_t changed_by_ns = 0;
    // A directory that went before this sweep could look into it. What is recorded beneath it was not met, though it may
    // have gone before the sweep began: only the next one tells.
    bool content_unseen = false;
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
