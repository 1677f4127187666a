// Up to which source time everything is known, durable, published: pure arithmetic on sweeps and pending
// changes.
//
// A change first discovered in sweep s was not there in the last clean sweep before s; so it happened after
// that sweep's start. While it is pending, no watermark may pass that start. Hence a watermark is always the
// start of a clean sweep whose number is below that of every pending change. A sweep that was not clean
// proves nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "control/core.h"

namespace longhaul::control {

using SweepNumber = std::uint32_t;

struct CleanSweep {
    SweepNumber number = 0;
    WallNs started = 0;
};

// The latest clean sweep before the oldest pending change; of all when nothing is pending. `clean` ascends.
std::optional<WallNs> watermark(const std::deque<CleanSweep>& clean,
                                std::optional<SweepNumber> oldest_pending);

// How many changes of each sweep are not there yet.
class PendingBySweep {
  public:
    void add(SweepNumber sweep) { ++count_[sweep]; }
    void remove(SweepNumber sweep);
    std::optional<SweepNumber> oldest() const;
    bool empty() const { return count_.empty(); }
    template <typename Visit>
    void for_each(Visit visit) const {  // (sweep, how many), ascending
        for (const auto& [sweep, count] : count_)
            visit(sweep, count);
    }

  private:
    std::map<SweepNumber, std::uint64_t> count_;
};

// A watermark as it is shown: it never goes back.
inline void raise(std::optional<WallNs>& shown, std::optional<WallNs> proven) {
    if (proven && (!shown || *proven > *shown)) shown = proven;
}

// The sweeps of one dataset since this process began, and what is pending since which of them.
class SweepLedger {
  public:
    void completed_clean(SweepNumber number, WallNs started);
    void forget_sweeps() { clean_.clear(); }  // what they compared with is void

    PendingBySweep unseen;  // directories that went before a sweep looked into them: what had changed there?

    // Each holds all of the one before it: what is published is durable, what is durable has arrived.
    PendingBySweep unarrived, undurable, unpublished;

    std::optional<WallNs> discovered() const { return watermark(clean_, unseen.oldest()); }
    std::optional<WallNs> transferred() const { return before(unarrived); }
    std::optional<WallNs> durable() const { return before(undurable); }
    std::optional<WallNs> published() const { return before(unpublished); }
    // Changes first seen by this sweep happened after this time; nullopt: no clean sweep came before.
    std::optional<WallNs> not_before(SweepNumber first) const { return watermark(clean_, first); }

  private:
    std::optional<WallNs> before(const PendingBySweep& pending) const;

    std::deque<CleanSweep> clean_;
};

}  // namespace longhaul::control
