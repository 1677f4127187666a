// 32 bytes in one sector: run, number, and both inverted, so that a torn write reads as "nothing is known".
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/order.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "dataplane/base/bytes.h"

namespace longhaul::storage {

namespace {

constexpr const char* kOrderName = "order";
using Record = std::array<std::uint8_t, 32>;

wire::OrderPlace position_in(int file) noexcept {
    Record record{};
    if (pread(file, record.data(), record.size(), 0) != static_cast<ssize_t>(record.size())) return {};
    ByteReader reader(record);
    const wire::OrderPlace place{reader.u64(), reader.u64()};
    const std::uint64_t run_inverted = reader.u64();
    const bool whole = run_inverted == ~place.run && reader.u64() == ~place.number;
    return whole ? place : wire::OrderPlace{};
}

}  // namespace

wire::OrderPlace read_order(int staging) noexcept {
    const UniqueFd file(openat(staging, kOrderName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    return file ? position_in(file.get()) : wire::OrderPlace{};
}

OrderLock::OrderLock(int staging) noexcept : staging_(staging) {
    UniqueFd file(openat(staging, kOrderName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return;
    while (flock(file.get(), LOCK_EX) != 0)
        if (errno != EINTR) return;
    position_ = position_in(file.get());
    file_ = std::move(file);
}

bool OrderLock::advance(const wire::OrderPlace& place) noexcept {
    Record record{};
    ByteWriter writer(record);
    writer.u64(place.run);
    writer.u64(place.number);
    writer.u64(~place.run);
    writer.u64(~place.number);
    if (pwrite(file_.get(), record.data(), record.size(), 0) != static_cast<ssize_t>(record.size()))
        return false;
    if (fdatasync(file_.get()) != 0) return false;
    const bool first = position_ == wire::OrderPlace{};
    if (first && fsync(staging_) != 0) return false;
    position_ = place;
    return true;
}

}  // namespace longhaul::storage
