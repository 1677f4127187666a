// One object after the other, through one buffer.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/verifier.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/fec/crc32c.h"
#include "drivers/storage/comparison.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/same_version.h"

namespace longhaul::storage {

using wire::Entry;
using wire::EntryKind;
using wire::FailReason;

namespace {

constexpr std::size_t kBufferBytes = 1u << 20;
constexpr std::string_view kOfTheFileSystem = "lost+found";  // made by mkfs in its root

struct Free {
    void operator()(std::uint8_t* memory) const noexcept { std::free(memory); }
};
using Buffer = std::unique_ptr<std::uint8_t, Free>;

class Reading {
  public:
    Reading(VerifyJob& job, std::uint8_t* buffer)
        : job_(job),
          disk_(job.store->disk),
          at_source_(job.store->role == StoreRole::source),
          buffer_(buffer) {}

    FailReason read(std::size_t index, std::uint32_t& crc) {
        const Entry& entry = job_.manifest->entries[index];
        crc = 0;
        if (entry.compared != EntryKind::file) return compare_name(index, crc);
        int fd = open(entry, direct_ && entry.file_offset % wire::kDirectAlignment == 0);
        if (fd == -EINVAL && direct_) {
            direct_ = false;
            fd = open(entry, false);
        }
        if (fd < 0) return reason_of(-fd);
        const UniqueFd file(disk_, fd);
        if (const FailReason reason = look(fd, entry); reason != FailReason::none) return reason;
        if (const FailReason reason = sum(fd, entry, crc); reason != FailReason::none) return reason;
        if (const FailReason reason = look(fd, entry); reason != FailReason::none) return reason;
        const bool last = entry.file_offset + entry.size == entry.file_size;
        return !at_source_ && last ? compare(fd, index) : FailReason::none;  // the source's ctime has told
    }

  private:
    FailReason compare(int fd, std::size_t index) {
        Comparison comparison(*job_.store, bundle_staging_name(*job_.manifest, index, job_.serial));
        return comparison.compare(fd, job_.manifest->entries[index]);
    }

    // Of a directory or symlink.
    FailReason compare_name(std::size_t index, std::uint32_t& names_sum) {
        const Entry& entry = job_.manifest->entries[index];
        const std::string path = entry.path.empty() ? "." : entry.path;
        const int fd = open_beneath(disk_, job_.store->root.get(), path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) return reason_of(-fd);
        const UniqueFd object(disk_, fd);
        struct stat found {};
        if (disk_.fstat(fd, found) != 0) return reason_of(errno);
        const bool as_named =
            entry.compared == EntryKind::directory ? S_ISDIR(found.st_mode) : S_ISLNK(found.st_mode);
        if (!as_named) return at_source_ ? FailReason::source_changed : FailReason::target_missing;
        if (wire::compares_names(entry)) {
            if (at_source_ && is_foreign(found)) return FailReason::source_changed;
            if (const FailReason reason = sum_names(fd, entry, names_sum); reason != FailReason::none)
                return reason;
            if (entry.path.empty()) return at_source_ ? compare_mtime(fd, entry) : FailReason::none;
        }
        return compare(fd, index);  // at the source behind the names: they are those of this mtime
    }

    // A mount point: what is in it belongs to another file system, and stays at the source.
    bool is_foreign(const struct stat& found) {
        struct stat root {};
        return disk_.fstat(job_.store->root.get(), root) != 0 || root.st_dev != found.st_dev;
    }

    // The order in which a directory is read does not matter to a sum.
    FailReason sum_names(int directory, const Entry& entry, std::uint32_t& sum) {
        std::vector<std::string> names;
        if (disk_.names_in(directory, names) != 0) return reason_of(errno);
        for (const std::string& name : names) {
            if (job_.cancelled.load(std::memory_order_relaxed)) return FailReason::cancelled;
            if (entry.path.empty() && (name == kPrivateName || name == kOfTheFileSystem)) continue;
            if (at_source_) {
                bool travels = false;
                if (const FailReason reason = look_at_name(directory, entry, name, travels);
                    reason != FailReason::none)
                    return reason;
                if (!travels) continue;
            }
            sum += fec::crc32c(0, {reinterpret_cast<const std::uint8_t*>(name.data()), name.size()});
        }
        return FailReason::none;
    }

    // Sockets, devices, fifos and what has too long a path stay at the source.
    FailReason look_at_name(int directory, const Entry& entry, const std::string& name, bool& travels) {
        struct stat found {};
        if (disk_.fstatat(directory, name.c_str(), found) != 0) return reason_of(errno);
        const bool has_a_kind = S_ISREG(found.st_mode) || S_ISDIR(found.st_mode) || S_ISLNK(found.st_mode);
        travels = has_a_kind && wire::path_is_safe(entry.path.empty() ? name : entry.path + "/" + name);
        return FailReason::none;
    }

    FailReason compare_mtime(int fd, const Entry& entry) {
        struct stat found {};
        if (disk_.fstat(fd, found) != 0) return reason_of(errno);
        const std::int64_t mtime_ns =
            std::int64_t{found.st_mtim.tv_sec} * kNanosecondsInSecond + found.st_mtim.tv_nsec;
        return mtime_ns == entry.mtime_ns ? FailReason::none : FailReason::source_changed;
    }

    int open(const Entry& entry, bool direct) {
        const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (direct ? O_DIRECT : 0);
        return open_beneath(disk_, job_.store->root.get(), entry.path, static_cast<std::uint64_t>(flags));
    }

    FailReason look(int fd, const Entry& entry) {
        if (at_source_) return compare_version(disk_, fd, entry);
        struct stat found {};
        if (disk_.fstat(fd, found) != 0) return target_reason(errno);
        if (!S_ISREG(found.st_mode)) return FailReason::target_missing;
        const bool same = static_cast<std::uint64_t>(found.st_size) == entry.file_size;
        return same ? FailReason::none : FailReason::integrity;
    }

    FailReason sum(int fd, const Entry& entry, std::uint32_t& crc) {
        for (std::uint64_t done = 0; done < entry.size;) {
            if (job_.cancelled.load(std::memory_order_relaxed)) return FailReason::cancelled;
            const ssize_t got = disk_.pread(fd, {buffer_, kBufferBytes}, entry.file_offset + done);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return reason_of(errno);
            if (got == 0) return at_source_ ? FailReason::source_changed : FailReason::integrity;
            const auto bytes = std::min(static_cast<std::uint64_t>(got), entry.size - done);
            crc = fec::crc32c(crc, {buffer_, static_cast<std::size_t>(bytes)});
            job_.bytes_read += bytes;
            done += bytes;
        }
        return FailReason::none;
    }

    FailReason reason_of(int error) const noexcept {
        if (at_source_) return source_reason(error);
        const bool gone = error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO;
        return gone ? FailReason::target_missing : target_reason(error);
    }

    VerifyJob& job_;
    Disk& disk_;
    const bool at_source_;
    std::uint8_t* const buffer_;
    bool direct_ = true;
};

}  // namespace

void Verifier::work(VerifyJob& job) {
    const Buffer buffer(static_cast<std::uint8_t*>(std::aligned_alloc(wire::kDirectAlignment, kBufferBytes)));
    Reading reading(job, buffer.get());
    const auto& entries = job.manifest->entries;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        wire::EntryVerdict& verdict = job.verdicts[i];
        if (entries[i].kind != EntryKind::verify || verdict.reason != FailReason::none) continue;
        verdict.reason = buffer ? reading.read(i, verdict.crc32c) : FailReason::limit;
        if (verdict.reason != FailReason::none && !wire::is_of_metadata(verdict.reason)) verdict.crc32c = 0;
    }
}

}  // namespace longhaul::storage
