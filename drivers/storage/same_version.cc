// A file that is written again within the clock's grain keeps its dates, not its size; the walk waits for that grain.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/same_version.h"

#include <sys/stat.h>

#include <cerrno>

#include "drivers/storage/errors.h"

namespace longhaul::storage {

namespace {

std::int64_t nanoseconds(const timespec& time) noexcept {
    return static_cast<std::int64_t>(time.tv_sec) * kNanosecondsInSecond + time.tv_nsec;
}

}  // namespace

wire::FailReason compare_version(Disk& disk, int fd, const wire::Entry& entry) {
    struct stat found {};
    if (disk.fstat(fd, found) != 0) return source_reason(errno);
    const bool stretch = entry.kind == wire::EntryKind::range || entry.kind == wire::EntryKind::verify;
    const std::uint64_t size = stretch ? entry.file_size : entry.size;
    const bool same = S_ISREG(found.st_mode) && static_cast<std::uint64_t>(found.st_size) == size &&
                      nanoseconds(found.st_mtim) == entry.mtime_ns &&
                      (entry.ctime_ns == 0 || nanoseconds(found.st_ctim) == entry.ctime_ns);
    return same ? wire::FailReason::none : wire::FailReason::source_changed;
}

}  // namespace longhaul::storage
