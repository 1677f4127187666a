// A link's lanes in groups, one session and one worker each: how many there are, where each lives, which takes the next
// bundle, and what all of them together look like to control, which sees one link. Pure; owned by the main thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "dataplane/command/messages.h"

namespace longhaul::node {

// Both ends compute it from both offers: a group for each worker of the end that has more of them, so that nobody's
// worker idles; an end with fewer workers gives several groups to one. Never more than there are lanes.
unsigned groups_agreed(unsigned own, unsigned peer, unsigned lanes);

struct GroupPlace {
    unsigned worker = 0;
    unsigned part = 0, parts = 1;  // of the link's groups on that worker
    unsigned first_lane = 0, lanes = 0;
};
// Groups take turns around the workers, from `first` on: where they do not come out even, links differ in who has more.
std::vector<GroupPlace> place_groups(unsigned groups, unsigned workers, unsigned first, unsigned lanes);

// One status of many: counters and rates are added; what cannot be added is the busiest group's; the state is the worst.
command::LinkStatus combined(std::span<const command::LinkStatus> groups);

// Which group has which open bundle. The next goes to the one with the fewest bytes open, of payload and manifest.
class BundleSpread {
  public:
    void resize(std::size_t groups);  // bundles of groups that go stay noted until they settle
    unsigned choose() const;
    void add(const wire::BundleId& id, unsigned group, std::uint64_t bytes);
    void settle(const wire::BundleId& id);
    const unsigned* group_of(const wire::BundleId& id) const;  // nullptr: not open here
    bool any(unsigned group) const;

  private:
    struct Held {
        unsigned group = 0;
        std::uint64_t bytes = 0;
    };
    std::map<wire::BundleId, Held> bundles_;
    std::vector<std::uint64_t> open_bytes_ = {0};
};

}  // namespace longhaul::node
