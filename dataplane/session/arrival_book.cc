// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/arrival_book.h"

#include <algorithm>

#include "dataplane/base/assert.h"

namespace longhaul::session {

void ArrivalBook::grant(Record& record, Holder holder) noexcept {
    record.holder = holder;
    record.finishing = record.revoked = record.published = false;
}

ArrivalBook::Verdict ArrivalBook::ask(const Key& key, std::uint32_t generation, Holder holder) {
    LH_ASSERT(holder != 0);
    Record& record = records_[key];
    if (generation < record.newest) return Verdict::stale;
    record.newest = generation;
    if (record.holder == holder) return Verdict::granted;
    if (record.holder == 0) {
        if (record.published) return Verdict::published;
        grant(record, holder);
        return Verdict::granted;
    }
    if (!record.finishing && !record.revoked) {
        record.revoked = true;
        ++revocations_;
    }
    return Verdict::wait;
}

bool ArrivalBook::revoked(const Key& key, Holder holder) const {
    const auto found = records_.find(key);
    return found == records_.end() || found->second.holder != holder || found->second.revoked;
}

bool ArrivalBook::begin_finish(const Key& key, Holder holder) {
    if (revoked(key, holder)) return false;
    records_.at(key).finishing = true;
    return true;
}

void ArrivalBook::end(const Key& key, Holder holder, bool published) {
    const auto found = records_.find(key);
    if (found == records_.end() || found->second.holder != holder) return;
    Record& record = found->second;
    record.holder = 0;
    record.published = published;
    record.rest = ++rests_;
    resting_.emplace_back(key, record.rest);
    forget_oldest();
}

// Only what may still be asked for matters: a packet of an older generation lives no longer than its session.
void ArrivalBook::forget_oldest() {
    while (resting_.size() > kRememberedMax) {
        const auto& [key, rest] = resting_.front();
        const auto found = records_.find(key);
        if (found != records_.end() && found->second.holder == 0 && found->second.rest == rest)
            records_.erase(found);
        resting_.pop_front();
    }
}

}  // namespace longhaul::session
