// The arithmetic of admission, and its sentences.
// SPDX-License-Identifier: Apache-2.0
#include "control/schedule/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/values.h"

namespace longhaul::control {

namespace {

struct Room {  // on one link, payload
    const LinkNow* link = nullptr;
    double whole = 0;     // by contract
    double promised = 0;  // floors of the others
    double expected = 0;  // floors or expected changes of the others, whichever is more
    std::size_t others = 0;
};

double payload_of(const LinkNow& link, std::uint64_t rate_bps) {
    return static_cast<double>(payload_bps(link.choice, rate_bps));
}

std::vector<Room> rooms(const DatasetSpec& wanted, const std::vector<Committed>& others,
                        const std::vector<LinkNow>& links) {
    std::vector<Room> out;
    for (const auto& link : links) {
        if (link.choice.peer_site != wanted.target.site) continue;
        if (!wanted.link.empty() && wanted.link != link.choice.name) continue;
        Room room{&link, payload_of(link, link.choice.rate_bps), 0, 0, 0};
        for (const auto& other : others) {
            if (other.spec.name == wanted.name || other.link != link.choice.name) continue;
            ++room.others;
            room.promised += static_cast<double>(other.spec.floor_bps);
            room.expected +=
                static_cast<double>(std::max(other.spec.floor_bps, other.spec.expect_change_bps));
        }
        out.push_back(room);
    }
    return out;
}

// The link with the most of something.
template <typename Value>
const Room& most(const std::vector<Room>& all, Value value) {
    return *std::max_element(all.begin(), all.end(),
                             [&](const Room& a, const Room& b) { return value(a) < value(b); });
}

std::string has(const Room& room, double free) {
    std::string text = fmt::format("link {} has {}", room.link->choice.name, format_rate(room.whole));
    if (free < room.whole)
        text += fmt::format(", and {} of it beside {} other dataset{}", format_rate(std::max(0.0, free)),
                            room.others, room.others == 1 ? "" : "s");
    return text;
}

// With the whole of `rate_bps`; 0: never.
double rpo_that_holds_s(const DatasetSpec& wanted, double rate_bps) {
    const double spare = rate_bps - static_cast<double>(wanted.expect_change_bps);
    if (spare <= 0) return 0;
    return static_cast<double>(wanted.expect_burst_bytes) * 8 / spare + 2 * wanted.rescan_s + 1;
}

// Beyond the whole link: it cannot hold. Beyond what the others leave: only when they are quiet.
void check_need(const DatasetSpec& wanted, const std::vector<Room>& all, Plan& plan) {
    const std::string needs =
        fmt::format("needs {} for {:.0f} s", format_rate(plan.needs_bps), plan.within_s);
    if (wanted.cap_bps > 0 && plan.needs_bps > static_cast<double>(wanted.cap_bps)) {
        plan.refusals.push_back(
            fmt::format("{} to hold an RPO of {:.0f} s, its cap_bps is {}: raise the cap or the target",
                        needs, wanted.rpo_target_s, format_rate(static_cast<double>(wanted.cap_bps))));
        return;
    }
    const auto whole = [](const Room& room) { return room.whole; };
    const auto free = [](const Room& room) { return room.whole - room.expected; };
    if (const Room& best = most(all, whole); plan.needs_bps > best.whole) {
        const double holds_s = rpo_that_holds_s(wanted, best.whole);
        plan.refusals.push_back(
            fmt::format("{}, {}: {}", needs, has(best, best.whole),
                        holds_s > 0 ? fmt::format("raise rpo_target_s to {:.0f}, or the link's rate", holds_s)
                                    : "the source changes faster than that: raise the link's rate"));
        return;
    }
    if (const Room& best = most(all, free); plan.needs_bps > free(best))
        plan.warnings.push_back(fmt::format("{}, {}: it will hold only while the others are quiet", needs,
                                            has(best, free(best))));
    for (const Room& room : all) {
        const auto lowest = room.link->choice.calendar.lowest(room.link->choice.rate_bps);
        const double then = payload_of(*room.link, lowest.bps);
        if (!lowest.why.empty() && plan.needs_bps > then)
            plan.warnings.push_back(fmt::format("{}, link {} has {} in its {}", needs, room.link->choice.name,
                                                format_rate(then), lowest.why));
    }
}

void check_floor(const DatasetSpec& wanted, const std::vector<Room>& all, Plan& plan) {
    const double floor = static_cast<double>(wanted.floor_bps);
    const auto free = [](const Room& room) { return room.whole * (1 - kTrickleShare) - room.promised; };
    const Room& best = most(all, free);
    if (floor <= free(best)) return;
    plan.refusals.push_back(
        fmt::format("floor_bps {} needs as much at any time, {}{}: lower the floor", format_rate(floor),
                    has(best, std::min(best.whole, best.whole - best.promised)),
                    best.promised > 0 ? fmt::format(", whose floors take {}", format_rate(best.promised))
                                      : std::string()));
}

}  // namespace

Plan admit(const DatasetSpec& wanted, const std::vector<Committed>& others,
           const std::vector<LinkNow>& links) {
    Plan plan;
    plan.dataset = wanted.name;
    // A change waits up to a rescan to be found, and its proof up to another.
    plan.within_s = std::max(1.0, wanted.rpo_target_s - 2 * wanted.rescan_s);
    plan.needs_bps = static_cast<double>(wanted.expect_change_bps) +
                     static_cast<double>(wanted.expect_burst_bytes) * 8 / plan.within_s;
    const auto all = rooms(wanted, others, links);
    if (all.empty()) {
        plan.refusals.push_back(wanted.link.empty()
                                    ? "no link to site " + wanted.target.site + " is configured: add one"
                                    : "link " + wanted.link + " does not lead to site " + wanted.target.site +
                                          ": name one that does, or none");
        return plan;
    }
    const Room& best = most(all, [](const Room& room) { return room.whole - room.expected; });
    plan.link = best.link->choice.name;
    plan.link_bps = best.whole;
    plan.available_bps = std::max(0.0, best.whole - best.expected);
    check_floor(wanted, all, plan);
    check_need(wanted, all, plan);
    if (wanted.traffic == "scavenger" && plan.needs_bps > 0)
        plan.warnings.push_back(
            "a scavenger gets what the others leave: choose the class bulk to hold an RPO target");
    if (std::none_of(all.begin(), all.end(), [](const Room& room) { return room.link->open; }))
        plan.warnings.push_back("no link to site " + wanted.target.site +
                                " is open now: it begins when one is");
    return plan;
}

}  // namespace longhaul::control
