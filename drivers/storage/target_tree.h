// Changing names in a target's tree: parents are made as they are needed, what stands in the way is replaced
// where nothing is lost by it, no symlink is ever followed, and every directory that gained or lost a name is
// remembered until it is fsync'd. One publish job, one thread. Calls return 0 or an errno.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>

#include "dataplane/wire/manifest.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

class TargetTree {
  public:
    TargetTree(Disk& disk, int root) : disk_(disk), root_(root) {}  // both borrowed

    // Renames a staged file or symlink to `path`, over a file, a symlink or an empty directory.
    int move_into_place(int staging, const char* name, const std::string& path);
    // A published file gets one more name, in staging. kLinkMissing: it is not there, or takes no other name.
    int stage_another_name(const std::string& path, int staging, const char* name);
    int make_directory(const std::string& path);  // replaces a file or symlink; fine when it exists
    int remove(const std::string& path);          // file, symlink, empty directory; fine when it is absent
    // Of an existing file or directory. `changed` is what must be flushed afterwards: empty when it cannot be
    // opened for that, then flush_everything().
    int apply_metadata(const wire::Entry& entry, UniqueFd& changed);
    int touch_parent(const std::string& path);  // to be fsync'd again, as after a rename

    const std::set<std::string>& touched() const noexcept { return touched_; }  // "" is the root
    int sync_directory(const std::string& directory);
    int flush_everything();  // the whole file system: for inodes that this user may change but not open

  private:
    int open_parent(const std::string& path, bool create, int& parent);
    int open_directory(const std::string& directory, bool create, int& fd);
    int make_missing(const std::string& directory);

    Disk& disk_;
    const int root_;
    std::set<std::string> touched_;
    std::map<std::string, UniqueFd>
        open_;  // directories used lately; forgotten when any directory is removed
};

}  // namespace longhaul::storage
