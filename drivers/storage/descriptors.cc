// Granting, lending back and taking descriptors.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/descriptors.h"

#include "dataplane/base/assert.h"

namespace longhaul::storage {

void Descriptors::want(Holder& holder) {
    LH_ASSERT(holder.state_ == Holder::State::without);
    holder.state_ = Holder::State::waiting;
    holder.place_ = waiting_.insert(waiting_.end(), &holder);
    grant_next();
}

void Descriptors::rest(Holder& holder) {
    if (holder.state_ != Holder::State::working) return;
    holder.state_ = Holder::State::resting;
    holder.place_ = resting_.insert(resting_.end(), &holder);
    grant_next();
}

void Descriptors::work(Holder& holder) {
    if (holder.state_ != Holder::State::resting) return;
    resting_.erase(holder.place_);
    holder.state_ = Holder::State::working;
}

void Descriptors::leave(Holder& holder) {
    const Holder::State before = holder.state_;
    holder.state_ = Holder::State::without;
    if (before == Holder::State::without) return;
    if (before == Holder::State::waiting) {
        waiting_.erase(holder.place_);
        return;
    }
    if (before == Holder::State::resting) resting_.erase(holder.place_);
    --open_;
    grant_next();
}

void Descriptors::grant_next() {
    while (!waiting_.empty()) {
        if (open_ == open_max_) {
            if (resting_.empty()) return;
            Holder& idle = *resting_.front();
            resting_.pop_front();
            idle.state_ = Holder::State::without;
            --open_;
            idle.descriptor_taken();
        }
        Holder& next = *waiting_.front();
        waiting_.pop_front();
        next.state_ = Holder::State::working;
        ++open_;
        next.descriptor_granted();
    }
}

}  // namespace longhaul::storage
