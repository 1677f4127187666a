// A store: one directory tree on this machine and the only way to name something in it. Every path is
// resolved by the kernel beneath the root descriptor, without following any symlink; nothing here joins
// strings into absolute paths.
//
// A target's staging, <root>/.longhaul/staging (0700):
//   <shelf>/b-<bundle>-<generation>-<entry>.<serial>  bytes of an open bundle; garbage once no process has the store open.
//                 Shelves are directories, 0 to 15, that bundles take turns on: whoever makes a file holds its directory's
//                 lock, and so does whoever renames one away
//   o-<object>    ranges of a large object, across bundles and restarts
//   d-<object>    empty: this object was assembled, so that a repeated `assemble` succeeds
// Beside it <root>/.longhaul/store holds the store's number, by which the directory is known again.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/openat2.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "dataplane/base/result.h"
#include "dataplane/wire/manifest.h"
#include "drivers/storage/disk.h"
#include "drivers/storage/storage.h"

namespace longhaul::storage {

inline constexpr const char* kPrivateName = ".longhaul";  // in a store's root

class UniqueFd {
  public:
    UniqueFd() = default;
    UniqueFd(Disk& disk, int fd) noexcept : disk_(&disk), fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : disk_(other.disk_), fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            reset();
            disk_ = other.disk_;
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~UniqueFd() { reset(); }
    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void reset() noexcept;

  private:
    Disk* disk_ = nullptr;
    int fd_ = -1;
};

// Beneath the directory, no symlink anywhere, no /proc magic.
open_how beneath(std::uint64_t flags, std::uint64_t mode = 0) noexcept;
// A descriptor or -errno. `path` empty: the directory itself.
int open_beneath(Disk& disk, int directory, const std::string& path, std::uint64_t flags,
                 std::uint64_t mode = 0);

struct Store {
    explicit Store(Disk& where) : disk(where) {}
    bool is_at(const std::string& other_directory) const;  // the same root, whatever it is called

    Disk& disk;
    StoreNumber number = 0;
    StoreRole role = StoreRole::source;
    std::string directory;     // as the operator wrote it, for messages
    std::uint64_t device = 0;  // identity of the root
    std::uint64_t inode = 0;
    UniqueFd root;
    UniqueFd staging;             // target only; a shared flock on it says that its b-* files may be in use
    bool closed = false;          // read and written by the owner thread only
    bool direct_refused = false;  // its file system has no O_DIRECT; owner thread only
    // Bundles that are yet to flush their files one by one, because flushing the whole file system took too long.
    mutable std::atomic<unsigned> flush_singly{0};
    // Flushes of the whole file system that failed. The kernel tells such an error once, whichever bundle's bytes were
    // lost: none that was open by then may count on a later flush.
    mutable std::atomic<std::uint64_t> flush_failures{0};
    // Flushes of single files that failed; owner thread only.
    std::uint64_t file_flush_failures = 0;
};

// Opens the root; for a target also makes the staging directories, removes leftover b-* files unless another
// worker or process has the store open, and o-*/d-* files older than staging_age_max_s. Blocks on the disk: a
// rare command.
Result<std::shared_ptr<Store>> open_store_directory(Disk& disk, StoreNumber number,
                                                    const std::string& directory, StoreRole role,
                                                    std::uint64_t staging_age_max_s, bool marked);

// Names in a store's staging. The serial is unique in this process, so that a late removal never meets a newer file of the same entry.
std::string bundle_staging_name(const wire::Manifest& manifest, std::size_t entry, std::uint64_t serial);
std::string object_staging_name(const wire::ObjectKey& object);
std::string object_done_name(const wire::ObjectKey& object);

}  // namespace longhaul::storage
