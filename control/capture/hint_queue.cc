// Coalescing by path, ordered by when each is due.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/hint_queue.h"

#include <algorithm>

namespace longhaul::control {

void HintQueue::add(std::string_view path, bool whole, bool still_written, TimeNs now) {
    const auto [entry, fresh] = waiting_.try_emplace(std::string(path));
    Entry& hint = entry->second;
    if (fresh) {
        hint.first = now;
        path_bytes_ += path.size();
    } else {
        by_due_.erase({hint.due, &*entry});
    }
    hint.whole |= whole;
    hint.due = std::min(now + (still_written ? kHintWritten : kHintQuiet), hint.first + kHintWaitMost);
    by_due_.emplace(hint.due, &*entry);
    if (waiting_.size() > kHintsMax || path_bytes_ > kHintBytesMax)
        lose("more changed than the queue of hints holds (" + std::to_string(kHintsMax) + " paths, " +
             std::to_string(kHintBytesMax >> 20) + " MiB)");
}

void HintQueue::lose(std::string why) {
    clear();
    ++losses_;
    lost_ = std::move(why);
}

void HintQueue::clear() {
    by_due_.clear();
    waiting_.clear();
    path_bytes_ = 0;
}

Hints HintQueue::take(TimeNs now) {
    Hints hints;
    hints.lost = std::exchange(lost_, {});
    while (!by_due_.empty() && by_due_.begin()->first <= now && hints.paths.size() < kHintsPerTake) {
        const auto due = by_due_.begin();
        auto node = waiting_.extract(due->second->first);
        by_due_.erase(due);
        path_bytes_ -= node.key().size();
        hints.paths.push_back({std::move(node.key()), node.mapped().whole});
    }
    std::sort(hints.paths.begin(), hints.paths.end(),
              [](const Hint& a, const Hint& b) { return a.path < b.path; });
    return hints;
}

std::optional<TimeNs> HintQueue::due() const {
    if (!lost_.empty()) return 0;
    if (by_due_.empty()) return std::nullopt;
    return by_due_.begin()->first;
}

}  // namespace longhaul::control
