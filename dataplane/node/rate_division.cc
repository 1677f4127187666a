// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/rate_division.h"

#include <algorithm>

#include "dataplane/base/assert.h"

namespace longhaul::node {
namespace {

// What an idle group keeps, of its even share: its first packets leave while its part is on the way.
constexpr std::uint64_t kIdleDivisor = 64;
constexpr std::uint64_t kStepDivisor = 16;  // smaller raises wait until they can be whole

}  // namespace

RateDivision::RateDivision(std::uint64_t cap_bps, unsigned groups) : cap_bps_(cap_bps), groups_(groups) {
    LH_ASSERT(groups > 0);
    for (Group& group : groups_)
        group.taken_bps = even_share();
}

std::uint64_t RateDivision::target_bps(const Group& group) const noexcept {
    const auto busy = static_cast<std::uint64_t>(
        std::count_if(groups_.begin(), groups_.end(), [](const Group& each) { return each.busy; }));
    if (busy == 0) return std::max<std::uint64_t>(1, even_share());
    const std::uint64_t idle_bps = std::max<std::uint64_t>(1, even_share() / kIdleDivisor);
    if (!group.busy) return idle_bps;
    const std::uint64_t idle = (groups_.size() - busy) * idle_bps;
    return std::max<std::uint64_t>(1, (cap_bps_ - std::min(cap_bps_, idle)) / busy);
}

std::uint64_t RateDivision::granted_bps() const noexcept {
    std::uint64_t sum = 0;
    for (const Group& group : groups_)
        sum += std::max(group.taken_bps, group.ordered_bps.value_or(0));
    return sum;
}

std::optional<RateDivision::Order> RateDivision::next() noexcept {
    const auto order = [&](Group& group, std::uint64_t rate_bps) {
        group.ordered_bps = rate_bps;
        return Order{static_cast<unsigned>(&group - groups_.data()), rate_bps};
    };
    for (Group& group : groups_) {
        const std::uint64_t target = target_bps(group);
        if (!group.ordered_bps && target < group.taken_bps) return order(group, target);
    }
    const std::uint64_t granted = granted_bps();
    const std::uint64_t spare = cap_bps_ - std::min(cap_bps_, granted);
    for (Group& group : groups_) {
        const std::uint64_t target = target_bps(group);
        if (group.ordered_bps || target <= group.taken_bps) continue;
        const std::uint64_t rate = std::min(target, group.taken_bps + spare);
        const bool worth_it = rate == target || rate - group.taken_bps > target / kStepDivisor;
        if (rate > group.taken_bps && worth_it) return order(group, rate);
    }
    return std::nullopt;
}

void RateDivision::taken(unsigned group, std::uint64_t rate_bps) noexcept {
    if (groups_[group].ordered_bps != rate_bps) return;  // of a division before this one
    groups_[group].taken_bps = rate_bps;
    groups_[group].ordered_bps.reset();
}

void RateDivision::withdrawn(unsigned group) noexcept {
    groups_[group].ordered_bps.reset();
}

}  // namespace longhaul::node
