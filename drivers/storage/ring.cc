// Operations before and after they are with the kernel: pool, backlog, draining.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/ring.h"

#include <algorithm>
#include <cerrno>

namespace longhaul::storage {

constexpr std::uint64_t kTransferBytesMax = std::uint64_t{1} << 30;  // read and write return an int

Operation::Transfer Operation::transfer() const noexcept {
    if (bounce) return {bounce.get(), bounce_offset, std::min(bounce_bytes, kTransferBytesMax)};
    return {memory + done, offset + done, std::min(bytes - done, kTransferBytesMax)};
}

Operation& Ring::take(OperationOwner& owner, const void* group, Operation::Code code) {
    if (free_.empty()) {
        pool_.emplace_back();
        free_.reserve(pool_.size());
        free_.push_back(&pool_.back());
    }
    Operation& operation = *free_.back();
    free_.pop_back();
    operation = Operation{};
    operation.state = Operation::State::taken;
    operation.owner = &owner;
    operation.group = group;
    operation.code = code;
    return operation;
}

void Ring::give_back(Operation& operation) {
    LH_ASSERT(operation.state == Operation::State::taken);
    operation.state = Operation::State::pooled;
    operation.bounce.reset();
    free_.push_back(&operation);
}

void Ring::queue(Operation& operation) {
    LH_ASSERT(operation.state == Operation::State::taken);
    if (in_flight_ < depth_ && backlog_.empty()) {
        pass_on(operation);
    } else {
        operation.state = Operation::State::backlog;
        backlog_.push_back(&operation);
    }
}

void Ring::pass_on(Operation& operation) {
    operation.state = Operation::State::in_flight;
    ++in_flight_;
    start(operation);
}

void Ring::hand_back(Operation& operation, int result) {
    LH_ASSERT(operation.state == Operation::State::in_flight && in_flight_ > 0);
    --in_flight_;
    operation.state = Operation::State::taken;
    operation.owner->completed(operation, result);
    feed_from_backlog();
}

void Ring::feed_from_backlog() {
    while (!backlog_.empty() && in_flight_ < depth_) {
        Operation& next = *backlog_.front();
        backlog_.pop_front();
        pass_on(next);
    }
}

void Ring::drain_group(const void* group) {
    std::vector<Operation*> waiting;
    std::erase_if(backlog_, [&](Operation* operation) {
        if (operation->group != group) return false;
        waiting.push_back(operation);
        return true;
    });
    for (Operation* operation : waiting) {
        operation->state = Operation::State::taken;
        operation->owner->completed(*operation, -ECANCELED);
    }
    const auto running = [&](const Operation& operation) {
        return operation.state == Operation::State::in_flight && operation.group == group;
    };
    for (Operation& operation : pool_)  // stopping only shortens the wait below
        if (running(operation) && !ask_to_stop(operation)) break;
    while (std::any_of(pool_.begin(), pool_.end(), running))
        wait_for_one();
}

void Ring::drain_all() {
    while (in_flight_ > 0 || has_more_to_reap()) {
        wait_for_one();
        feed_from_backlog();
    }
}

}  // namespace longhaul::storage
