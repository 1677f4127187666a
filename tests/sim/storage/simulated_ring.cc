// Which operation is carried out next, and how far.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/storage/simulated_ring.h"

#include <algorithm>
#include <cerrno>

namespace longhaul::storage::sim {

void SimulatedRing::submit() {
    running_.insert(running_.end(), prepared_.begin(), prepared_.end());
    prepared_.clear();
}

// A random part of what is under way, so that completions come late and overtake each other.
std::size_t SimulatedRing::reap() {
    std::size_t handed = 0;
    for (std::uint64_t n = random_.below(running_.size() + 1); n > 0 && !running_.empty(); --n, ++handed)
        carry_out_any();
    return handed;
}

void SimulatedRing::wait_for_one() {
    submit();
    if (!running_.empty()) carry_out_any();
}

bool SimulatedRing::ask_to_stop(Operation& operation) {
    if (random_.chance(0.5)) stopped_.push_back(&operation);
    return true;
}

void SimulatedRing::carry_out_any() {
    const auto chosen = running_.begin() + static_cast<std::ptrdiff_t>(random_.below(running_.size()));
    Operation& operation = **chosen;
    running_.erase(chosen);
    const bool stopped = std::erase(stopped_, &operation) > 0;
    hand_back(operation, stopped ? -ECANCELED : carry_out(operation));
}

int SimulatedRing::carry_out(Operation& operation) {
    switch (operation.code) {
        case Operation::Code::read:
        case Operation::Code::write: {
            if (random_.chance(0.02)) return random_.chance(0.5) ? -EINTR : -EAGAIN;
            auto [memory, offset, bytes] = operation.transfer();
            if (random_.chance(0.1)) bytes = 1 + random_.below(bytes);
            if (operation.code == Operation::Code::read)
                return disk_.read(operation.fd, {memory, bytes}, offset);
            return disk_.write(operation.fd, {memory, bytes}, offset);
        }
        case Operation::Code::open: {
            const int fd = disk_.openat2(operation.fd, operation.path, operation.how);
            return fd < 0 ? -errno : fd;
        }
        case Operation::Code::write_back:  // starts what may happen at any time anyway
            return 0;
        case Operation::Code::data_sync:
            return disk_.fdatasync(operation.fd);
        case Operation::Code::allocate:
            return disk_.fallocate(operation.fd, operation.mode, operation.offset, operation.bytes);
    }
    return -EINVAL;
}

}  // namespace longhaul::storage::sim
