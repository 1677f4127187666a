// What a target cannot give to an object is no difference: an owner without the privilege, set-id bits without the owner, dates
// finer than its file system keeps. It is tried on an object of our own, and only where something differs.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/comparison.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "dataplane/wire/attributes.h"
#include "drivers/storage/attributes.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/metadata.h"

namespace longhaul::storage {

using wire::Entry;
using wire::EntryKind;
using wire::FailReason;

namespace {

constexpr mode_t kModeBits = 07777;
constexpr mode_t kPrivateFile = 0600, kPrivateDirectory = 0700;

}  // namespace

Comparison::Traits Comparison::traits_of(const struct stat& found) {
    return {found.st_uid, found.st_gid, found.st_mode & kModeBits,
            static_cast<std::int64_t>(found.st_mtim.tv_sec) * kNanosecondsInSecond + found.st_mtim.tv_nsec};
}

FailReason Comparison::difference(const Entry& entry, const Traits& there, const Traits& wanted) {
    if (there.uid != wanted.uid || there.gid != wanted.gid) return FailReason::other_owner;
    if (entry.compared != EntryKind::symlink && there.mode != wanted.mode) return FailReason::other_mode;
    return there.mtime_ns == wanted.mtime_ns ? FailReason::none : FailReason::other_mtime;
}

int Comparison::stage_probe(const Entry& entry) {
    const int staging = store_.staging.get();
    if (entry.compared == EntryKind::symlink) {
        if (disk_.symlinkat(entry.target.c_str(), staging, probe_.c_str()) != 0) return errno;
        return set_symlink_metadata(disk_, staging, probe_.c_str(), entry);
    }
    if (entry.compared == EntryKind::directory) {
        if (disk_.mkdirat(staging, probe_.c_str(), kPrivateDirectory) != 0) return errno;
        const int fd = open_beneath(disk_, staging, probe_, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) return -fd;
        const UniqueFd directory(disk_, fd);
        return set_metadata(disk_, fd, entry);
    }
    const int fd = open_beneath(disk_, staging, probe_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                kPrivateFile);
    if (fd < 0) return -fd;
    disk_.close(fd);
    return set_staged_metadata(disk_, staging, probe_.c_str(), entry);
}

// Where that cannot be tried, what the entry says.
Comparison::Traits Comparison::attainable(const Entry& entry) {
    Traits traits{entry.uid, entry.gid, entry.mode, entry.mtime_ns};
    const int staging = store_.staging.get();
    struct stat made {};
    if (stage_probe(entry) == 0 && disk_.fstatat(staging, probe_.c_str(), made) == 0)
        traits = traits_of(made);
    const int flags = entry.compared == EntryKind::directory ? AT_REMOVEDIR : 0;
    disk_.unlinkat(staging, probe_.c_str(), flags);
    return traits;
}

FailReason Comparison::judge(int fd, const Entry& entry) {
    struct stat found {};
    if (disk_.fstat(fd, found) != 0) return target_reason(errno);
    if (entry.compared == EntryKind::symlink) {
        std::string text(wire::kPathBytesMax + 1, '\0');
        const ssize_t length = disk_.read_link(fd, text.data(), text.size());
        if (length < 0) return target_reason(errno);
        if (entry.target != std::string_view(text).substr(0, static_cast<std::size_t>(length)))
            return FailReason::integrity;
    }
    const Traits there = traits_of(found);
    FailReason reason = difference(entry, there, {entry.uid, entry.gid, entry.mode, entry.mtime_ns});
    if (reason != FailReason::none && store_.role == StoreRole::target) {
        Traits wanted = attainable(entry);
        // Whose files become is the same in all directories only where owners can be given.
        const bool owner_is_kept = wanted.uid == entry.uid && wanted.gid == entry.gid;
        if (!owner_is_kept) wanted.uid = there.uid, wanted.gid = there.gid;
        reason = difference(entry, there, wanted);
    }
    if (reason != FailReason::none || entry.compared == EntryKind::symlink) return reason;
    std::string attributes;
    if (const int error = read_attributes(disk_, fd, attributes); error != 0) return target_reason(error);
    return wire::attributes_digest(attributes) == entry.attributes_digest ? FailReason::none
                                                                          : FailReason::other_attributes;
}

FailReason Comparison::compare(int fd, const Entry& entry) {
    const FailReason reason = judge(fd, entry);
    const bool at_source = store_.role == StoreRole::source;
    return at_source && reason != FailReason::none ? FailReason::source_changed : reason;
}

}  // namespace longhaul::storage
