// The life of one file: descriptor, open, transfers, close.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "drivers/storage/errors.h"

namespace longhaul::storage {

using wire::FailReason;

namespace {

constexpr std::uint64_t kAlignment = wire::kDirectAlignment;

constexpr bool is_aligned(std::uint64_t value) noexcept {
    return value % kAlignment == 0;
}
bool is_aligned(const void* memory) noexcept {
    return is_aligned(reinterpret_cast<std::uintptr_t>(memory));
}

}  // namespace

File::~File() {
    LH_ASSERT(in_flight_ == 0 && waiting_.empty());
    close_now();
}

FailReason File::reason_of(int error_number) const noexcept {
    return spec_.store->role == StoreRole::source ? source_reason(error_number) : target_reason(error_number);
}

void File::perform(Operation& operation) {
    close_when_idle_ = false;
    if (reason_ != FailReason::none) {
        settle(operation, reason_);
        return;
    }
    if (state_ == State::open) {
        issue(operation);
        return;
    }
    waiting_.push_back(&operation);
    if (state_ == State::closed) {
        state_ = State::wanting;
        core_.descriptors.want(*this);
    }
}

void File::fail(FailReason reason) {
    if (reason_ == FailReason::none) reason_ = reason;
    std::vector<Operation*> waiting;
    waiting.swap(waiting_);
    for (Operation* operation : waiting)
        settle(*operation, reason_);
    close_when_idle_ = true;
    rest_or_close();
}

void File::close_when_idle() {
    close_when_idle_ = true;
    rest_or_close();
}

void File::rest_or_close() {
    if (in_flight_ > 0 || !waiting_.empty()) return;
    if (close_when_idle_)
        close_now();
    else if (state_ == State::open)
        core_.descriptors.rest(*this);
}

void File::close_now() {
    if (fd_ >= 0) core_.disk.close(fd_);
    fd_ = -1;
    state_ = State::closed;
    core_.descriptors.leave(*this);
}

void File::descriptor_taken() {
    core_.disk.close(fd_);
    fd_ = -1;
    state_ = State::closed;
}

void File::descriptor_granted() {
    state_ = State::opening;
    Operation& operation = core_.ring->take(*this, group_, Operation::Code::open);
    operation.fd = spec_.directory;
    operation.path = spec_.path;
    if (spec_.store->direct_refused) spec_.direct = false;
    const std::uint64_t flags =
        was_opened_ ? spec_.flags & ~static_cast<std::uint64_t>(O_CREAT) : spec_.flags;
    operation.how = beneath(flags | (spec_.direct ? O_DIRECT : 0), flags & O_CREAT ? spec_.mode : 0);
    ++in_flight_;
    core_.ring->queue(operation);
}

void File::completed(Operation& operation, int result) {
    --in_flight_;
    switch (operation.code) {
        case Operation::Code::open:
            open_done(operation, result);
            return;
        case Operation::Code::allocate:
            core_.ring->give_back(operation);
            // File systems that cannot preallocate find the space as they write.
            if (result < 0 && result != -EOPNOTSUPP && result != -ENOSYS && result != -EINVAL)
                fail(reason_of(-result));
            else
                become_open();
            return;
        case Operation::Code::write_back:  // a failure shows in data_sync
            settle(operation, FailReason::none);
            rest_or_close();
            return;
        case Operation::Code::data_sync:
            ++core_.stats.fdatasyncs;
            result = flush_result(result);
            settle(operation, result == 0 ? FailReason::none : reason_of(-result));
            rest_or_close();
            return;
        case Operation::Code::read:
        case Operation::Code::write:
            transfer_done(operation, result);
            return;
    }
}

void File::reopen_without(std::uint64_t flag, Operation& operation) {
    spec_.flags &= ~flag;
    operation.how.flags &= ~flag;
    ++in_flight_;
    core_.ring->queue(operation);
}

void File::open_done(Operation& operation, int result) {
    if (reason_ == FailReason::none) {
        if (result == -EINTR || result == -EAGAIN)
            return reopen_without(0, operation);  // EAGAIN: raced with a rename
        if (result == -EPERM && (operation.how.flags & O_NOATIME))
            return reopen_without(O_NOATIME, operation);
        if (result == -EINVAL && spec_.direct) {
            spec_.direct = false;
            core_.direct_refused(*spec_.store);
            return reopen_without(O_DIRECT, operation);
        }
    }
    core_.ring->give_back(operation);
    if (result < 0) {
        state_ = State::closed;
        core_.descriptors.leave(*this);
        return fail(reason_of(-result));
    }
    fd_ = result;
    state_ = State::open;
    ++core_.stats.files_opened;
    if (was_opened_)
        was_reopened_ = true;
    else
        flush_failures_ = spec_.store->file_flush_failures;
    if (reason_ == FailReason::none) reason_ = user_.opened(*this, fd_);
    if (reason_ != FailReason::none) return fail(reason_);
    if (was_opened_ || spec_.allocate_bytes == 0) return become_open();
    state_ = State::allocating;
    Operation& allocate = core_.ring->take(*this, group_, Operation::Code::allocate);
    allocate.fd = fd_;
    allocate.mode = spec_.allocate_mode;
    allocate.offset = spec_.allocate_offset;
    allocate.bytes = spec_.allocate_bytes;
    ++in_flight_;
    core_.ring->queue(allocate);
}

void File::become_open() {
    state_ = State::open;
    was_opened_ = true;
    if (reason_ != FailReason::none) return fail(reason_);
    std::vector<Operation*> waiting;
    waiting.swap(waiting_);
    for (Operation* operation : waiting)
        issue(*operation);
    rest_or_close();
}

void File::issue(Operation& operation) {
    core_.descriptors.work(*this);
    operation.fd = fd_;
    if (operation.code == Operation::Code::read && needs_bounce(operation)) set_bounce(operation);
    ++in_flight_;
    core_.ring->queue(operation);
}

bool File::needs_bounce(const Operation& operation) const noexcept {
    return spec_.direct &&
           !(is_aligned(operation.offset + operation.done) && is_aligned(operation.bytes - operation.done) &&
             is_aligned(operation.memory + operation.done));
}

// Reading past the end into the caller's memory would overwrite what follows this entry there, so an odd tail
// goes through memory of its own.
void File::set_bounce(Operation& operation) {
    const std::uint64_t first = operation.offset + operation.done;
    const std::uint64_t last = operation.offset + operation.bytes;
    operation.bounce_offset = first / kAlignment * kAlignment;
    operation.bounce_bytes = (last + kAlignment - 1) / kAlignment * kAlignment - operation.bounce_offset;
    operation.bounce.reset(
        static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, operation.bounce_bytes)));
    LH_ASSERT(operation.bounce != nullptr);
}

int File::take_from_bounce(Operation& operation, int result) {
    const std::uint64_t skipped = operation.offset + operation.done - operation.bounce_offset;
    const std::uint64_t read = result > 0 ? static_cast<std::uint64_t>(result) : 0;
    const std::uint64_t wanted = operation.bytes - operation.done;
    const std::uint64_t usable = read > skipped ? std::min(read - skipped, wanted) : 0;
    if (usable > 0) std::memcpy(operation.memory + operation.done, operation.bounce.get() + skipped, usable);
    operation.bounce.reset();
    return result < 0 ? result : static_cast<int>(usable);
}

void File::leave_direct() {
    spec_.direct = false;
    core_.direct_refused(*spec_.store);
    const int flags = core_.disk.get_flags(fd_);
    if (flags >= 0) (void)core_.disk.set_flags(fd_, flags & ~O_DIRECT);
}

void File::transfer_done(Operation& operation, int result) {
    const bool reading = operation.code == Operation::Code::read;
    const bool bounced = operation.bounce != nullptr;
    if (reason_ != FailReason::none) {
        settle(operation, reason_);
        return rest_or_close();
    }
    if (result == -EINTR || result == -EAGAIN) return issue(operation);
    if (result == -EINVAL && spec_.direct) {  // a device with larger blocks than ours
        leave_direct();
        operation.bounce.reset();
        return issue(operation);
    }
    if (bounced) result = take_from_bounce(operation, result);
    if (result <= 0) {
        FailReason reason = reason_of(-result);
        if (result == 0)
            reason = reading ? FailReason::source_changed : FailReason::target_io;  // the file became shorter
        settle(operation, reason);
        return fail(reason);
    }
    const auto moved = static_cast<std::uint64_t>(result);
    (reading ? core_.stats.bytes_read : core_.stats.bytes_written) += moved;
    if (spec_.direct) (reading ? core_.stats.direct_bytes_read : core_.stats.direct_bytes_written) += moved;
    operation.done += moved;
    if (operation.done < operation.bytes) {
        // A direct write that stopped between blocks is finished through the page cache.
        if (!reading && needs_bounce(operation)) leave_direct();
        return issue(operation);
    }
    settle(operation, FailReason::none);
    rest_or_close();
}

// Whatever the errno, the pages may be lost: never retried, never taken for success. The kernel tells every descriptor
// that was open then, and nobody else: one that was lent away in between cannot know whose bytes were lost.
int File::flush_result(int result) {
    if (result < 0) ++spec_.store->file_flush_failures;
    const bool untold = was_reopened_ && flush_failures_ != spec_.store->file_flush_failures;
    return result == 0 && untold ? -EIO : result;
}

void File::settle(Operation& operation, FailReason reason) {
    user_.settled(*this, operation, reason);
    core_.ring->give_back(operation);
}

}  // namespace longhaul::storage
