// 32 bytes in one sector: run, number, and both inverted, so that a torn write reads as "nothing is known".
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/order.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <cerrno>

#include "dataplane/base/bytes.h"

namespace longhaul::storage {

namespace {

constexpr const char* kOrderName = "order";
using Record = std::array<std::uint8_t, 32>;

wire::OrderPlace position_in(Disk& disk, int file) {
    Record record{};
    if (disk.pread(file, record, 0) != static_cast<ssize_t>(record.size())) return {};
    ByteReader reader(record);
    const wire::OrderPlace place{reader.u64(), reader.u64()};
    const std::uint64_t run_inverted = reader.u64();
    const bool whole = run_inverted == ~place.run && reader.u64() == ~place.number;
    return whole ? place : wire::OrderPlace{};
}

}  // namespace

wire::OrderPlace read_order(Disk& disk, int staging) {
    const int fd = open_beneath(disk, staging, kOrderName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return {};
    const UniqueFd file(disk, fd);
    return position_in(disk, file.get());
}

OrderLock::OrderLock(Disk& disk, int staging) : disk_(disk), staging_(staging) {
    const int fd = open_beneath(disk, staging, kOrderName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_ = -fd;
        return;
    }
    UniqueFd file(disk, fd);
    while (disk.flock(file.get(), LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        error_ = errno;
        return;
    }
    position_ = position_in(disk, file.get());
    file_ = std::move(file);
}

int OrderLock::advance(const wire::OrderPlace& place) {
    Record record{};
    ByteWriter writer(record);
    writer.u64(place.run);
    writer.u64(place.number);
    writer.u64(~place.run);
    writer.u64(~place.number);
    const ssize_t written = disk_.pwrite(file_.get(), record, 0);
    if (written != static_cast<ssize_t>(record.size())) return written < 0 ? errno : EIO;
    if (disk_.fsync(file_.get()) != 0) return errno;
    const bool first = position_ == wire::OrderPlace{};
    if (first && disk_.fsync(staging_) != 0) return errno;
    position_ = place;
    return 0;
}

}  // namespace longhaul::storage
