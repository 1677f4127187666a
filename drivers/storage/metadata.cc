// The three ways to reach an inode: by name in a private directory, a link itself, an open descriptor.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/metadata.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "drivers/storage/attributes.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

namespace {

struct Times {
    timespec both[2];
};

Times times_of(const wire::Entry& entry) noexcept {
    std::int64_t seconds = entry.mtime_ns / kNanosecondsInSecond;
    std::int64_t rest = entry.mtime_ns % kNanosecondsInSecond;
    if (rest < 0) {  // before 1970
        rest += kNanosecondsInSecond;
        --seconds;
    }
    return {{{0, UTIME_OMIT}, {static_cast<time_t>(seconds), static_cast<long>(rest)}}};
}

// 0, or an errno. `owned` tells whether owner and group are now the entry's.
int set_owner(Disk& disk, int directory, const char* name, int flags, const wire::Entry& entry,
              bool& owned) noexcept {
    owned = disk.fchownat(directory, name, entry.uid, entry.gid, flags) == 0;
    if (owned || errno == EPERM || errno == EINVAL) return 0;  // EINVAL: no such id in this user namespace
    return errno;
}

mode_t mode_of(const wire::Entry& entry, bool owned) noexcept {
    const mode_t mode = entry.mode & 07777;
    return owned ? mode : mode & ~static_cast<mode_t>(S_ISUID | S_ISGID);
}

}  // namespace

int set_staged_metadata(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept {
    bool owned = false;
    if (const int error = set_owner(disk, directory, name, AT_SYMLINK_NOFOLLOW, entry, owned); error != 0)
        return error;
    if (const int error = set_staged_attributes(disk, directory, name, entry); error != 0) return error;
    if (disk.fchmodat(directory, name, mode_of(entry, owned)) != 0) return errno;
    return disk.utimensat(directory, name, times_of(entry).both) == 0 ? 0 : errno;
}

int make_staged_file_ready(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept {
    struct stat found {};
    if (disk.fstatat(directory, name, found) != 0) return errno == ENOENT ? ENODATA : errno;
    if (!S_ISREG(found.st_mode) || static_cast<std::uint64_t>(found.st_size) != entry.size) return EBADMSG;
    return set_staged_metadata(disk, directory, name, entry);
}

int set_linked_metadata(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept {
    const int fd = open_beneath(disk, directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -fd;
    const UniqueFd file(disk, fd);
    struct stat found {};
    if (disk.fstat(fd, found) != 0) return errno;
    const timespec wanted = times_of(entry).both[1];
    const bool same = S_ISREG(found.st_mode) && static_cast<std::uint64_t>(found.st_size) == entry.size &&
                      found.st_mtim.tv_sec == wanted.tv_sec && found.st_mtim.tv_nsec == wanted.tv_nsec;
    return same ? set_metadata(disk, fd, entry) : kLinkMissing;
}

int set_symlink_metadata(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept {
    bool owned = false;
    if (const int error = set_owner(disk, directory, name, AT_SYMLINK_NOFOLLOW, entry, owned); error != 0)
        return error;
    return disk.utimensat(directory, name, times_of(entry).both) == 0 ? 0 : errno;
}

int set_metadata(Disk& disk, int fd, const wire::Entry& entry) noexcept {
    bool owned = false;
    if (const int error = set_owner(disk, fd, "", AT_EMPTY_PATH, entry, owned); error != 0) return error;
    if (const int error = set_attributes(disk, fd, entry); error != 0) return error;
    if (disk.fchmod(fd, mode_of(entry, owned)) != 0) return errno;
    return disk.futimens(fd, times_of(entry).both) == 0 ? 0 : errno;
}

}  // namespace longhaul::storage
