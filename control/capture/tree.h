// Looking at a POSIX tree beneath one directory descriptor: never through a symlink, never out of the root.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/capture/attributes.h"
#include "control/capture/descriptor.h"
#include "control/capture/difference.h"
#include "dataplane/base/result.h"

namespace longhaul::control {

// The root is the same one as long as both numbers are.
struct RootIdentity {
    std::uint64_t device = 0, inode = 0;
    bool known() const noexcept { return device != 0 || inode != 0; }
    bool operator==(const RootIdentity&) const = default;
};

struct Listed {
    std::string name;
    Observed now;
    bool unsupported = false;      // a socket, device or fifo
    bool foreign = false;          // a directory on another file system: listed, not entered
    bool unreadable_link = false;  // a symlink whose text could not be read
};

class Tree {
  public:
    static Result<Tree> open(const std::string& root);
    const RootIdentity& identity() const noexcept { return identity_; }
    std::int64_t mtime_ns() const noexcept { return mtime_ns_; }  // of the root as it was opened

    // The names in one directory ("" is the root), ascending: all that is kept of a directory of a million. nullopt: it has
    // vanished. Error: it is there but cannot be read. The root's own ".longhaul" is left out.
    Result<std::optional<std::vector<std::string>>> list(const std::string& directory) const;
    // Open for looks at its entries; not valid: it has vanished.
    Result<Descriptor> enter(const std::string& directory) const;
    // What stands under these names of a directory now, entered before; those that have vanished are left out.
    Result<std::vector<Listed>> look_at(const Descriptor& entered, const std::string& directory,
                                        std::span<const std::string> names) const;
    // One entry, as look_at() would name it; nullopt: nothing there (or an ancestor is no directory any more). Error: it
    // cannot be told, or it lies on another file system, beneath what look_at() calls foreign.
    Result<std::optional<Listed>> find(const std::string& path) const;
    // The same for one object: what is unsupported counts as nothing.
    Result<std::optional<Observed>> look(const std::string& path) const;
    // Reads the attributes of what look_at() has found, which does not: most objects are as they were. The reader has
    // entered their directory.
    Result<void> look_at_attributes(const AttributeReader& directory, const std::string& path,
                                    Observed& now) const;
    // Finds the holes of a sparse file that look_at() has found. Who may not read it will hear of it when it is sent.
    void look_at_holes(const std::string& path, Observed& now) const;

  private:
    bool is_on(const std::string& directory, std::uint64_t device) const;
    Tree(Descriptor root, RootIdentity identity, std::int64_t mtime_ns)
        : root_(std::move(root)), identity_(identity), mtime_ns_(mtime_ns) {}
    Descriptor root_;
    RootIdentity identity_;
    std::int64_t mtime_ns_;
};

std::int64_t nanoseconds(const timespec& time);

// How long a ctime may stay the same while a file is written: the coarsest kernel tick (10 ms), doubled.
inline constexpr std::int64_t kRacyNs = 20'000'000;

// The clock that file systems stamp with.
std::int64_t file_clock();

// A path for people and JSON: UTF-8 as it is; other bytes, control characters and the backslash as \xNN.
std::string shown_path(std::string_view path);

}  // namespace longhaul::control
