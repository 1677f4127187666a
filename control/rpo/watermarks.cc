// The one search that every watermark is, and the counters behind it.
// SPDX-License-Identifier: Apache-2.0
#include "control/rpo/watermarks.h"

#include <algorithm>

#include "dataplane/base/assert.h"

namespace longhaul::control {

namespace {

// A link may be down for weeks. Leaving out a clean sweep from the middle can only make a watermark more
// careful.
constexpr std::size_t kSweepsRemembered = 4096;

}  // namespace

std::optional<WallNs> watermark(const std::deque<CleanSweep>& clean,
                                std::optional<SweepNumber> oldest_pending) {
    if (clean.empty()) return std::nullopt;
    if (!oldest_pending) return clean.back().started;
    const auto after =
        std::lower_bound(clean.begin(), clean.end(), *oldest_pending,
                         [](const CleanSweep& sweep, SweepNumber number) { return sweep.number < number; });
    if (after == clean.begin()) return std::nullopt;
    return std::prev(after)->started;
}

void PendingBySweep::remove(SweepNumber sweep) {
    const auto found = count_.find(sweep);
    LH_ASSERT(found != count_.end());
    if (--found->second == 0) count_.erase(found);
}

std::optional<SweepNumber> PendingBySweep::oldest() const {
    if (count_.empty()) return std::nullopt;
    return count_.begin()->first;
}

std::optional<WallNs> SweepLedger::before(const PendingBySweep& pending) const {
    const auto waiting = pending.oldest(), unknown = unseen.oldest();
    return watermark(clean_, waiting && unknown ? std::min(*waiting, *unknown) : waiting ? waiting : unknown);
}

void SweepLedger::completed_clean(SweepNumber number, WallNs started) {
    LH_ASSERT(clean_.empty() || number > clean_.back().number);
    // What precedes the latest sweep below every pending change can never be the answer again.
    const auto oldest = std::min({unpublished.oldest().value_or(number), undurable.oldest().value_or(number),
                                  unseen.oldest().value_or(number)});
    while (clean_.size() > 1 && clean_[1].number < oldest)
        clean_.pop_front();
    if (clean_.size() >= kSweepsRemembered) clean_.erase(clean_.begin() + kSweepsRemembered / 2);
    clean_.push_back({number, started});
}

}  // namespace longhaul::control
