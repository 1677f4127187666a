// lseek with SEEK_HOLE and SEEK_DATA, rounded so that what lies between two holes can be read and written directly.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/holes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "control/capture/tree.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::control {

namespace {

constexpr std::uint64_t kBlock = wire::kDirectAlignment;

std::uint64_t rounded_up(std::uint64_t offset) {
    return (offset + kBlock - 1) / kBlock * kBlock;
}

// Where the next of that kind begins, at most `size`; nullopt: the file system does not say.
std::optional<std::uint64_t> next(int fd, std::uint64_t from, int kind, std::uint64_t size) {
    const off_t found = lseek(fd, static_cast<off_t>(from), kind);
    if (found >= 0) return std::min(static_cast<std::uint64_t>(found), size);
    if (errno == ENXIO) return size;  // nothing but a hole up to the end
    return std::nullopt;
}

bool still_is(int fd, const Fingerprint& print) {
    struct stat now {};
    if (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode)) return false;
    return now.st_ino == print.inode && static_cast<std::uint64_t>(now.st_size) == print.size &&
           nanoseconds(now.st_mtim) == print.mtime_ns && nanoseconds(now.st_ctim) == print.ctime_ns;
}

}  // namespace

std::vector<RangeRecord> holes_of(int fd, const Fingerprint& print) {
    std::vector<RangeRecord> holes;
    for (std::uint64_t at = 0; at < print.size && holes.size() < kHolesMax;) {
        const auto hole = next(fd, at, SEEK_HOLE, print.size);
        if (!hole) return {};
        const auto data = next(fd, *hole, SEEK_DATA, print.size);
        if (!data) return {};
        const std::uint64_t from = rounded_up(*hole);
        const std::uint64_t to = *data == print.size ? *data : *data / kBlock * kBlock;
        if (from < to) holes.push_back({from, to - from});
        if (*data <= at) break;  // a file that changes under us; still_is() tells
        at = *data;
    }
    // A write into a hole after the look at it must not be missed: the bytes that are read are checked against this version,
    // those of a hole are not read.
    return still_is(fd, print) ? holes : std::vector<RangeRecord>();
}

}  // namespace longhaul::control
