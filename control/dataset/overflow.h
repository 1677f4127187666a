// What was seen of a dataset and let go of again because the memory for changes is full. The next sweep finds it anew: rows say
// what is published, so a change that is forgotten costs another look, and nothing else.
//
// Under `ordered` the youngest go first. So what is kept of a sweep is the beginning of its epoch, and everything from the
// oldest that was forgotten on belongs to a later one. Of removals the ones whose names sort first go first: no directory
// is removed while the removal of something in it is forgotten. Pure; owned by the dataset's runner.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "control/rpo/watermarks.h"

namespace longhaul::control {

struct Forgotten {
    SweepNumber first = 0;  // the sweep that could have seen it first
    bool removal = false;
    std::int64_t changed_by_ns = 0;  // Observation: of the change
    std::uint64_t bytes = 0;         // that it would have carried
    bool counts = true;
};

class Overflow {
  public:
    struct Counts {
        std::uint64_t objects = 0, removals = 0, bytes = 0;
    };

    void begin_sweep() {
        before_ = counts();
        counts_ = {};
        from_ns_.reset();
        from_path_.clear();
        up_to_removal_.clear();
    }
    void add(const Forgotten& change, std::string_view path, SweepNumber sweep) {
        since_ = since_ ? std::min(*since_, change.first) : change.first;
        last_ = sweep;
        if (change.counts) {
            ++counts_.objects;
            counts_.bytes += change.bytes;
            counts_.removals += change.removal ? 1 : 0;
        }
        if (change.removal) {
            if (path > up_to_removal_) up_to_removal_ = path;
        } else if (!is_behind(change.changed_by_ns, path)) {
            from_ns_ = change.changed_by_ns;
            from_path_ = path;
        }
    }
    // A clean sweep has ended. True: it has found again whatever was forgotten before it began, and nothing was since.
    bool made_good_by(SweepNumber clean) {
        before_ = {};
        if (!since_ || last_ >= clean) return false;
        since_.reset();
        return true;
    }

    std::optional<SweepNumber> since() const { return since_; }
    // Since the last sweep began. While one runs, at least as many as before it: it may find them all again.
    Counts counts() const {
        return {std::max(counts_.objects, before_.objects), std::max(counts_.removals, before_.removals),
                std::max(counts_.bytes, before_.bytes)};
    }
    // At or behind the oldest change that was forgotten since the last sweep began; never of removals.
    bool is_behind(std::int64_t changed_by_ns, std::string_view path) const {
        return from_ns_ &&
               std::tie(changed_by_ns, path) >= std::tuple(*from_ns_, std::string_view(from_path_));
    }
    // Of an epoch that would reach up to `ns`: what is replaced by something younger than this belongs to a later one.
    std::int64_t cut(std::int64_t ns) const { return from_ns_ ? std::min(ns, *from_ns_) : ns; }
    bool removes_before(std::int64_t changed_by_ns) const { return !from_ns_ || changed_by_ns < *from_ns_; }
    bool may_hold(std::string_view removal) const {
        return up_to_removal_.empty() || removal > up_to_removal_;
    }

  private:
    std::optional<SweepNumber> since_;
    SweepNumber last_ = 0;
    Counts counts_, before_;
    std::optional<std::int64_t> from_ns_;
    std::string from_path_, up_to_removal_;
};

}  // namespace longhaul::control
