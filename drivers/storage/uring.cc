// Submission and completion of the worker's io_uring.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/uring.h"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "drivers/storage/errors.h"

namespace longhaul::storage {

namespace {

constexpr std::uint64_t kFixedBytesMax = std::uint64_t{1}
                                         << 30;  // the kernel's limit for one registered buffer
constexpr std::uint64_t kCancelMark = 1;         // never the address of an operation
// fsync, open and buffered I/O that cannot proceed at once run on kernel threads; the default of 4 per CPU
// would make a bundle of many small files wait for one journal commit after the other instead of sharing it.
constexpr unsigned kKernelWorkersMax = 32;
// More than this many at a time the kernel gathers before the disk sees them, and joins neighbours into requests so large that
// a disk of many queues has little left to do side by side.
constexpr unsigned kGatheredFrom = 2;
constexpr std::uint64_t kLargeBytes = 256u << 10;  // what is smaller gains by being joined
// Their checksums take time: whoever reaps so much has new requests to submit first. Disks hand back many at once.
constexpr std::uint64_t kReapedBytes = 1u << 20;
constexpr unsigned kDepthMin = 2;
constexpr unsigned kDepthMax = 8192;

cpu_set_t every_cpu() noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        CPU_SET(cpu, &set);
    return set;
}

bool moves_bytes(const Operation& operation) noexcept {
    return operation.code == Operation::Code::read || operation.code == Operation::Code::write;
}

}  // namespace

Result<std::unique_ptr<Ring>> Uring::create(unsigned queue_depth, MutableByteView arena,
                                            const std::function<void(const std::string&)>& log) {
    std::unique_ptr<Uring> made(new Uring(std::clamp(queue_depth, kDepthMin, kDepthMax)));
    io_uring_params parameters{};
    const unsigned common = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
                            IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    parameters.cq_entries = made->depth_ * 4;  // every operation and its cancellation, with room to spare
    parameters.flags = common | IORING_SETUP_DEFER_TASKRUN;
    int error = io_uring_queue_init_params(made->depth_, &made->ring_, &parameters);
    if (error == -EINVAL) {  // before Linux 6.1
        parameters.flags = common | IORING_SETUP_COOP_TASKRUN;
        error = io_uring_queue_init_params(made->depth_, &made->ring_, &parameters);
    }
    if (error == -EPERM)
        return Error{ErrorCode::permission_denied,
                     "io_uring is switched off on this machine: set sysctl kernel.io_uring_disabled=0"};
    if (error < 0)
        return Error{ErrorCode::unavailable, "io_uring cannot be set up (" + error_text(-error) +
                                                 "): Linux 6.0 or newer with CONFIG_IO_URING is needed"};
    made->made_ = true;
    if (!arena.empty()) made->register_arena(arena, log);
    return std::unique_ptr<Ring>(std::move(made));
}

Uring::~Uring() {
    if (!made_) return;
    LH_ASSERT(in_flight_ == 0 && cancels_in_flight_ == 0);
    io_uring_queue_exit(&ring_);
}

void Uring::register_arena(MutableByteView arena, const std::function<void(const std::string&)>& log) {
    std::vector<iovec> parts;
    for (std::uint64_t at = 0; at < arena.size(); at += kFixedBytesMax)
        parts.push_back({arena.data() + at, std::min(kFixedBytesMax, arena.size() - at)});
    const int error = io_uring_register_buffers(&ring_, parts.data(), static_cast<unsigned>(parts.size()));
    if (error == 0) {
        fixed_ = arena;
    } else if (log) {
        log("the transfer memory is not registered with io_uring (" + error_text(-error) +
            "), disk I/O costs more CPU: raise the locked-memory limit (LimitMEMLOCK=infinity) or grant "
            "CAP_IPC_LOCK");
    }
}

void Uring::enable() {
    if (enabled_) return;
    enabled_ = true;
    // io_uring_enable_rings is declared by liburing 2.3 but its shared library does not export it.
    LH_ASSERT(syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) == 0);
    // Both only tune: a kernel that refuses them is still correct. A pinned worker's kernel threads must not
    // share its core.
    unsigned workers[2] = {kKernelWorkersMax, 0};
    (void)io_uring_register_iowq_max_workers(&ring_, workers);
    const cpu_set_t cpus = every_cpu();
    (void)io_uring_register_iowq_aff(&ring_, sizeof(cpus), &cpus);
}

void Uring::start(Operation& operation) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {  // cancellations share the queue with the operations
        submit();
        sqe = io_uring_get_sqe(&ring_);
    }
    LH_ASSERT(sqe != nullptr);
    fill(*sqe, operation);
    io_uring_sqe_set_data(sqe, &operation);
    if (moves_bytes(operation) && operation.bytes >= kLargeBytes &&
        io_uring_sq_ready(&ring_) >= kGatheredFrom)
        submit();
}

int Uring::fixed_index(const std::uint8_t* memory, std::uint64_t bytes) const noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(fixed_.data());
    const auto wanted = reinterpret_cast<std::uintptr_t>(memory);
    if (fixed_.empty() || wanted < first || wanted + bytes > first + fixed_.size()) return -1;
    const std::uint64_t index = (wanted - first) / kFixedBytesMax;
    return index == (wanted + bytes - 1 - first) / kFixedBytesMax ? static_cast<int>(index) : -1;
}

void Uring::fill(io_uring_sqe& sqe, Operation& operation) {
    switch (operation.code) {
        case Operation::Code::read:
        case Operation::Code::write: {
            const auto [memory, offset, whole] = operation.transfer();
            const auto bytes = static_cast<unsigned>(whole);
            const int index = fixed_index(memory, bytes);
            if (operation.code == Operation::Code::read) {
                if (index >= 0)
                    io_uring_prep_read_fixed(&sqe, operation.fd, memory, bytes, offset, index);
                else
                    io_uring_prep_read(&sqe, operation.fd, memory, bytes, offset);
            } else {
                if (index >= 0)
                    io_uring_prep_write_fixed(&sqe, operation.fd, memory, bytes, offset, index);
                else
                    io_uring_prep_write(&sqe, operation.fd, memory, bytes, offset);
            }
            break;
        }
        case Operation::Code::open:
            io_uring_prep_openat2(&sqe, operation.fd, operation.path, &operation.how);
            break;
        case Operation::Code::write_back:
            io_uring_prep_sync_file_range(&sqe, operation.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
            break;
        case Operation::Code::data_sync:
            io_uring_prep_fsync(&sqe, operation.fd, IORING_FSYNC_DATASYNC);
            break;
        case Operation::Code::allocate:
            io_uring_prep_fallocate(&sqe, operation.fd, operation.mode, static_cast<off_t>(operation.offset),
                                    static_cast<off_t>(operation.bytes));
            break;
    }
}

void Uring::submit() {
    if (io_uring_sq_ready(&ring_) == 0) return;
    enable();
    int error = io_uring_submit(&ring_);
    while (error == -EINTR)
        error = io_uring_submit(&ring_);
    // EAGAIN and EBUSY: the kernel is short of memory or wants completions reaped first; the next call tries
    // again.
    LH_ASSERT(error >= 0 || error == -EAGAIN || error == -EBUSY);
}

std::size_t Uring::reap() {
    if (!enabled_) return 0;
    const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
    if (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) (void)io_uring_get_events(&ring_);

    std::size_t handed = 0;
    std::uint64_t moved = 0;
    io_uring_cqe* cqe = nullptr;
    while (moved < kReapedBytes && io_uring_cq_ready(&ring_) > 0 && io_uring_peek_cqe(&ring_, &cqe) == 0) {
        const std::uint64_t data = cqe->user_data;
        const int result = cqe->res;
        io_uring_cqe_seen(&ring_, cqe);  // before the owner runs: it may drain, and so come back here
        if (data == kCancelMark) {
            --cancels_in_flight_;
            continue;
        }
        Operation& operation = *reinterpret_cast<Operation*>(data);
        if (moves_bytes(operation)) moved += operation.bytes;
        hand_back(operation, result);
        ++handed;
    }
    return handed;
}

void Uring::wait_for_one() {
    enable();
    const int error = io_uring_submit_and_wait(&ring_, 1);
    LH_ASSERT(error >= 0 || error == -EINTR || error == -EAGAIN || error == -EBUSY);
    reap();
}

bool Uring::ask_to_stop(Operation& operation) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return false;
    io_uring_prep_cancel(sqe, &operation, 0);
    io_uring_sqe_set_data64(sqe, kCancelMark);
    ++cancels_in_flight_;
    return true;
}

}  // namespace longhaul::storage
