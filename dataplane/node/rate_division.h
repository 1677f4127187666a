// A link's rate, divided among its lane groups: who has something to send has an equal part of what the idle ones leave.
// Parts are raised only by what others have confirmed to have given up, so that together the groups never pace above the
// cap, whatever the order in which workers get to their messages. Pure; owned by the main thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace longhaul::node {

class RateDivision {
  public:
    // All groups begin with equal parts, which their workers have been given.
    RateDivision(std::uint64_t cap_bps, unsigned groups);

    std::uint64_t even_share() const noexcept { return cap_bps_ / groups_.size(); }
    void set_cap(std::uint64_t cap_bps) noexcept { cap_bps_ = cap_bps; }
    void set_busy(unsigned group, bool busy) noexcept { groups_[group].busy = busy; }

    struct Order {
        unsigned group = 0;
        std::uint64_t rate_bps = 0;
    };
    // What to tell a worker next; at most one order a group is on its way.
    std::optional<Order> next() noexcept;
    void taken(unsigned group, std::uint64_t rate_bps) noexcept;  // the worker paces at this from now on
    void withdrawn(unsigned group) noexcept;                      // the order could not be told

    // What the groups may pace at now, all together, whichever orders have arrived.
    std::uint64_t granted_bps() const noexcept;

  private:
    struct Group {
        std::uint64_t taken_bps = 0;
        std::optional<std::uint64_t> ordered_bps;
        bool busy = false;
    };
    std::uint64_t target_bps(const Group& group) const noexcept;

    std::uint64_t cap_bps_;
    std::vector<Group> groups_;
};

}  // namespace longhaul::node
