// 32 bytes a record: offset, length, and a sum over them, the object and its size.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/progress.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/fec/crc32c.h"

namespace longhaul::storage {

namespace {

constexpr std::uint64_t kBlock = 4096;  // records share none with the object: its writes may be direct
constexpr std::size_t kRecordBytes = 32;
constexpr std::size_t kRecordsAtOnce = 1024;
constexpr std::uint64_t kRecordsMax =
    1u << 20;  // 16 MiB of memory while they are read; more mean that nothing is proven
using Record = std::array<std::uint8_t, kRecordBytes>;
using Span = std::pair<std::uint64_t, std::uint64_t>;  // [from, to)

std::uint32_t sum_of(const wire::ObjectKey& object, std::uint64_t object_bytes, std::uint64_t offset,
                     std::uint64_t length) {
    std::array<std::uint8_t, 40> named{};
    ByteWriter writer(named);
    writer.u64(object.high);
    writer.u64(object.low);
    writer.u64(object_bytes);
    writer.u64(offset);
    writer.u64(length);
    return fec::crc32c(0, named);
}

// Appends the spans of all whole records. 0 or errno.
int read_records(Disk& disk, int file, std::uint64_t file_bytes, const wire::Entry& assemble,
                 std::vector<Span>& spans) {
    std::vector<std::uint8_t> bytes(kRecordsAtOnce * kRecordBytes);
    for (std::uint64_t at = staged_bytes(assemble.size); at < file_bytes;) {
        const ssize_t got = disk.pread(file, bytes, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        const std::size_t records = static_cast<std::size_t>(got) / kRecordBytes;
        if (records == 0) return 0;  // a torn end
        for (std::size_t i = 0; i < records; ++i) {
            ByteReader reader(ByteView(bytes).subspan(i * kRecordBytes, kRecordBytes));
            const std::uint64_t offset = reader.u64(), length = reader.u64();
            const bool within = offset <= assemble.size && length <= assemble.size - offset;
            if (reader.u32() == sum_of(assemble.object, assemble.size, offset, length) && within)
                spans.emplace_back(offset, offset + length);
        }
        if (spans.size() > kRecordsMax) return ENODATA;
        at += records * kRecordBytes;
    }
    return 0;
}

std::uint64_t bytes_covered(std::vector<Span>& spans) {
    std::sort(spans.begin(), spans.end());
    std::uint64_t covered = 0, reached = 0;
    for (const auto& [from, to] : spans) {
        if (to <= reached) continue;
        covered += to - std::max(from, reached);
        reached = to;
    }
    return covered;
}

}  // namespace

std::uint64_t staged_bytes(std::uint64_t object_bytes) noexcept {
    return (object_bytes / kBlock + 2) * kBlock;
}

namespace {

// Workers append to the same object: each finds the end and writes there, undisturbed.
class EndLock {
  public:
    EndLock(Disk& disk, int file) : disk_(disk), file_(file) {
        do
            held_ = disk_.flock(file_, LOCK_EX) == 0;
        while (!held_ && errno == EINTR);
    }
    ~EndLock() {
        if (held_) disk_.flock(file_, LOCK_UN);
    }
    EndLock(const EndLock&) = delete;
    EndLock& operator=(const EndLock&) = delete;
    bool held() const noexcept { return held_; }

  private:
    Disk& disk_;
    const int file_;
    bool held_ = false;
};

}  // namespace

int record_range(Disk& disk, int file, const wire::Entry& range) {
    const EndLock end_lock(disk, file);
    if (!end_lock.held()) return errno;
    struct stat found {};
    if (disk.fstat(file, found) != 0) return errno;
    const std::uint64_t base = staged_bytes(range.file_size);
    const auto end = std::max(static_cast<std::uint64_t>(found.st_size), base);
    const std::uint64_t at = base + (end - base + kRecordBytes - 1) / kRecordBytes * kRecordBytes;
    Record record{};
    ByteWriter writer(record);
    writer.u64(range.file_offset);
    writer.u64(range.size);
    writer.u32(sum_of(range.object, range.file_size, range.file_offset, range.size));
    for (;;) {
        const ssize_t written = disk.pwrite(file, record, at);
        if (written == static_cast<ssize_t>(record.size())) return 0;
        if (written < 0 && errno != EINTR) return errno;
    }
}

int prove_whole(Disk& disk, int staging, const std::string& name, const wire::Entry& assemble) {
    const int fd = open_beneath(disk, staging, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -fd;
    const UniqueFd file(disk, fd);
    struct stat found {};
    if (disk.fstat(fd, found) != 0) return errno;
    if (!S_ISREG(found.st_mode)) return ENODATA;
    const auto bytes = static_cast<std::uint64_t>(found.st_size);
    if (bytes != assemble.size) {
        std::vector<Span> spans;
        if (const int error = read_records(disk, fd, bytes, assemble, spans); error != 0) return error;
        if (bytes_covered(spans) < assemble.file_size) return ENODATA;
        if (disk.ftruncate(fd, assemble.size) != 0) return errno;
    }
    return disk.fsync(fd) == 0 ? 0 : errno;
}

}  // namespace longhaul::storage
