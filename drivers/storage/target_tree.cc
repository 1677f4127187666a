// Names are split into a parent, opened beneath the root, and one last component handed to an *at() call that
// does not follow it.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/target_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "drivers/storage/errors.h"
#include "drivers/storage/metadata.h"

namespace longhaul::storage {

namespace {

constexpr std::size_t kOpenDirectoriesMax = 64;
constexpr mode_t kParentMode = 0755;  // until the directory's own entry arrives

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

const char* name_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return path.c_str() + (slash == std::string::npos ? 0 : slash + 1);
}

}  // namespace

int TargetTree::open_directory(const std::string& directory, bool create, int& fd) {
    if (directory.empty()) {
        fd = root_;
        return 0;
    }
    if (const auto found = open_.find(directory); found != open_.end()) {
        fd = found->second.get();
        return 0;
    }
    constexpr std::uint64_t kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    int opened = open_beneath(disk_, root_, directory, kFlags);
    if (opened == -ENOENT && create) {
        if (const int error = make_missing(directory); error != 0) return error;
        opened = open_beneath(disk_, root_, directory, kFlags);
    }
    if (opened < 0) return -opened;
    if (open_.size() >= kOpenDirectoriesMax) open_.clear();
    open_.emplace(directory, UniqueFd(disk_, opened));
    fd = opened;
    return 0;
}

// Walks down with at most two descriptors; the depth of a path never becomes a depth of calls.
int TargetTree::make_missing(const std::string& directory) {
    UniqueFd above;
    int parent = root_;
    std::string parent_path;
    for (std::size_t from = 0; from < directory.size();) {
        const std::size_t slash = std::min(directory.find('/', from), directory.size());
        const std::string name = directory.substr(from, slash - from);
        if (disk_.mkdirat(parent, name.c_str(), kParentMode) == 0)
            touched_.insert(parent_path);
        else if (errno != EEXIST)
            return errno;
        const int next = open_beneath(disk_, parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (next < 0) return -next;
        above = UniqueFd(disk_, next);
        parent = next;
        parent_path = directory.substr(0, slash);
        from = slash + 1;
    }
    return 0;
}

int TargetTree::open_parent(const std::string& path, bool create, int& parent) {
    return open_directory(parent_of(path), create, parent);
}

int TargetTree::touch_parent(const std::string& path) {
    int parent = -1;
    if (const int error = open_parent(path, false, parent); error != 0) return error;
    touched_.insert(parent_of(path));
    return 0;
}

int TargetTree::move_into_place(int staging, const char* name, const std::string& path) {
    int parent = -1;
    if (const int error = open_parent(path, true, parent); error != 0) return error;
    if (disk_.renameat(staging, name, parent, name_of(path)) != 0) {
        if (errno != EISDIR && errno != EEXIST && errno != ENOTEMPTY) return errno;
        if (disk_.unlinkat(parent, name_of(path), AT_REMOVEDIR) != 0) return errno;
        open_.clear();
        touched_.insert(parent_of(path));
        // open_ held the parent: it is found again, the name below it is free now
        if (const int error = open_parent(path, false, parent); error != 0) return error;
        if (disk_.renameat(staging, name, parent, name_of(path)) != 0) return errno;
    }
    touched_.insert(parent_of(path));
    return 0;
}

int TargetTree::stage_another_name(const std::string& path, int staging, const char* name) {
    int parent = -1;
    if (open_parent(path, false, parent) != 0) return kLinkMissing;
    if (disk_.linkat(parent, name_of(path), staging, name) == 0) return 0;
    switch (errno) {
        case ENOSPC:
        case EDQUOT:
        case EROFS:
        case EIO:
            return errno;
        default:  // among them EMLINK, EXDEV, and EPERM of file systems without hard links
            return kLinkMissing;
    }
}

int TargetTree::make_directory(const std::string& path) {
    int parent = -1;
    if (const int error = open_parent(path, true, parent); error != 0) return error;
    if (disk_.mkdirat(parent, name_of(path), kParentMode) != 0) {
        if (errno != EEXIST) return errno;
        struct stat found {};
        if (disk_.fstatat(parent, name_of(path), found) != 0) return errno;
        if (S_ISDIR(found.st_mode)) return 0;
        if (disk_.unlinkat(parent, name_of(path), 0) != 0) return errno;
        touched_.insert(parent_of(path));
        if (disk_.mkdirat(parent, name_of(path), kParentMode) != 0) return errno;
    }
    touched_.insert(parent_of(path));
    return 0;
}

int TargetTree::remove(const std::string& path) {
    int parent = -1;
    const int error = open_parent(path, false, parent);
    if (error == ENOENT || error == ENOTDIR) return 0;
    if (error != 0) return error;
    if (disk_.unlinkat(parent, name_of(path), 0) != 0) {
        const int first = errno;
        if (first == ENOENT) return 0;
        if (first != EISDIR && first != EPERM) return first;
        if (disk_.unlinkat(parent, name_of(path), AT_REMOVEDIR) != 0) return errno == ENOTDIR ? first : errno;
        open_.clear();
    }
    touched_.insert(parent_of(path));
    return 0;
}

int TargetTree::apply_metadata(const wire::Entry& entry, UniqueFd& changed) {
    int fd =
        open_beneath(disk_, root_, entry.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    const bool unreadable = fd == -EACCES;
    if (unreadable) fd = open_beneath(disk_, root_, entry.path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -fd;
    UniqueFd open(disk_, fd);
    struct stat found {};
    if (disk_.fstat(fd, found) != 0) return errno;
    const bool directory = S_ISDIR(found.st_mode);
    if (!directory && !S_ISREG(found.st_mode)) return ELOOP;
    if (entry.kind == wire::EntryKind::directory && !directory) return ENOTDIR;
    if (const int error = set_metadata(disk_, fd, entry); error != 0) return error;
    if (!unreadable) changed = std::move(open);
    return 0;
}

int TargetTree::sync_directory(const std::string& directory) {
    const int fd = open_beneath(disk_, root_, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -ENOENT || fd == -ENOTDIR)
        return 0;  // removed later in the bundle; its parent is touched as well
    if (fd == -EACCES) return flush_everything();
    if (fd < 0) return -fd;
    const UniqueFd open(disk_, fd);
    return disk_.fsync(fd) == 0 ? 0 : errno;
}

int TargetTree::flush_everything() {
    return disk_.syncfs(root_) == 0 ? 0 : errno;
}

}  // namespace longhaul::storage
