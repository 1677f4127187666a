// Hints that wait until their object is at rest: one a path, bounded, and a loss when the bound does not do.
//
// A pure structure: time is an argument, whoever owns it guards it. A path that is heard of again while it waits is
// kept once. It is due when nothing has been heard of it for a while, longer if its writer has not closed it yet, but
// never later than kHintWaitMost after it was first heard of. Looking at it sooner would publish halves.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "control/capture/hints.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

inline constexpr std::size_t kHintsMax = 65'536;
inline constexpr std::size_t kHintBytesMax = 16u << 20;  // of their paths
inline constexpr std::size_t kHintsPerTake = 4096;
inline constexpr TimeNs kHintQuiet = 30 * kMillisecond;  // longer than a ctime may stay racy (capture/tree)
inline constexpr TimeNs kHintWritten = 500 * kMillisecond;  // its writer has not closed it yet
inline constexpr TimeNs kHintWaitMost = 30 * kSecond;       // a log that is never closed

class HintQueue {
  public:
    void add(std::string_view path, bool whole, bool still_written, TimeNs now);
    // Whatever waits is covered by the sweep that follows.
    void lose(std::string why);

    Hints take(TimeNs now);
    std::optional<TimeNs> due() const;  // when there is something to take; 0: now
    std::size_t size() const { return waiting_.size(); }
    std::uint64_t losses() const { return losses_; }

  private:
    struct Entry {
        TimeNs first = 0, due = 0;
        bool whole = false;
    };
    using Entries = std::unordered_map<std::string, Entry>;
    using ByDue = std::set<std::pair<TimeNs, const Entries::value_type*>>;

    void clear();

    Entries waiting_;
    ByDue by_due_;
    std::size_t path_bytes_ = 0;
    std::string lost_;
    std::uint64_t losses_ = 0;
};

}  // namespace longhaul::control
