// In what order the changes of an ordered dataset leave: by epoch, then everything that comes or changes by the time of
// its change, then what goes, children before their directory.
//
// An epoch is what one clean sweep proves complete: every change up to its cut, which lies a little before the sweep's
// start. A change that the sweep saw and that may be younger than the cut belongs to a later epoch. Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "control/capture/tree.h"

namespace longhaul::control {

// ctimes come from the kernel's tick, sweeps are dated by the fine clock: a change after the start of a sweep may be
// stamped this much before it.
inline constexpr std::int64_t kCutMargin_ns = kRacyNs;

struct Release {
    std::int64_t cut_ns = 0;
    bool removal = false;
    std::int64_t changed_by_ns = 0;
    std::string path;

    bool operator<(const Release& other) const;
};

// May hold what has been settled, replaced or taken meanwhile: whoever takes from the front looks at the change itself.
class ReleaseQueue {
  public:
    // What one epoch admits together, filled before it is queued.
    class Epoch {
      public:
        void add(bool removal, std::int64_t changed_by_ns, std::string_view path);
        std::size_t size() const { return members_.size(); }

      private:
        friend class ReleaseQueue;
        struct Member {
            std::int64_t changed_by_ns;
            std::uint32_t path_piece, path_at;
            std::uint16_t path_bytes;
            bool removal, erased;
        };
        std::string_view path(const Member& member) const {
            return std::string_view(paths_[member.path_piece]).substr(member.path_at, member.path_bytes);
        }
        bool before(const Member& a, const Member& b) const;
        void pass_erased();

        std::vector<Member> members_;
        std::vector<std::string> paths_;  // in pieces of kPieceBytes
        std::size_t next_ = 0;            // of the members
    };

    bool empty() const { return single_.empty() && epochs_.empty(); }
    // With what has been settled, replaced or taken meanwhile; a step for each epoch.
    std::size_t size() const;
    Release front() const;
    void pop_front();
    void insert(Release release) { single_.insert(std::move(release)); }
    void insert(std::int64_t cut_ns, Epoch&& epoch);
    void erase(const Release& release);

  private:
    bool epoch_is_first() const;

    std::set<Release> single_;
    std::map<std::int64_t, Epoch> epochs_;  // by cut; none is used up
};

}  // namespace longhaul::control
