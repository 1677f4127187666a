// Which dataset travels on which link, at what rate, and why. A pure function of what is known now.
//
// Two steps. Placement (placement.cc): a dataset uses one link at a time and keeps it; it leaves a link that
// is lost at once, one that is about to close beforehand, and for a clearly better one only after kDwell. Who was driven
// from its link goes back to it when that has been open again for kWaitToRestore.
// Rates (shares.cc), per link, in this order, so that nobody starves and nothing is left idle:
//   1. trickle    kTrickleShare of the link to everyone who has something to send, by weight
//   2. floor      what was promised, as far as it can be used
//   3. deadline   who would miss its RPO target at an ordinary share gets what it needs, least slack first;
//                 who can no longer make it comes after those who can
//   4. share      latency and bulk by weight (a latency dataset counts twice a bulk one)
//   5. leftover   scavengers by weight, then everyone again up to its cap
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/core.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

inline constexpr TimeNs kScheduleTurn = 2 * kSecond;
inline constexpr TimeNs kDwell = 30 * kSecond;  // between two moves of a dataset, unless its link is lost
// How long a link that was lost must have been open again before anybody moves there who has another one: a link that
// flaps is not believed (ITU-T G.8031 calls it so).
inline constexpr TimeNs kWaitToRestore = 30 * kSecond;
inline constexpr double kTrickleShare = 0.02;
inline constexpr double kMoveGain = 1.25;                      // a better link gives at least this much more
inline constexpr double kNeedMargin = 1.1;                     // over the bare rate that a deadline asks for
inline constexpr std::int64_t kDrainAheadNs = 30'000'000'000;  // a link that closes is left this early

struct Demand {
    std::string dataset;
    std::string target_site;
    std::string traffic;  // latency | bulk | scavenger
    std::string link;     // wanted by the operator; empty: any
    bool active = false;  // has something to send
    double weight = 1;
    std::uint64_t floor_bps = 0, cap_bps = 0;  // cap 0: none
    std::uint64_t bytes_behind = 0;
    double drain_bps = 0;                 // payload lately
    double rpo_target_s = 0;              // 0: no deadline
    std::optional<double> lag_s;          // nullopt: seeding, no deadline yet
    std::optional<std::uint8_t> on_link;  // where it is
    TimeNs moved_at = 0;                  // when it last changed links; 0: never
    std::optional<std::uint8_t> home;     // the link that it was driven from
};

// A link at this moment.
struct LinkNow {
    LinkChoice choice;
    bool open = false;               // up, and its calendar lets something pass
    bool closing = false;            // its calendar closes it within kDrainAheadNs
    std::uint64_t capacity_bps = 0;  // payload
    std::string why;                 // what limits or closes it, for the operator
    TimeNs restored_at = 0;          // when it opened again after a loss; 0: never lost (LinkHistory knows)
};
// Of `rate_bps` on this link, what can be payload.
std::uint64_t payload_bps(const LinkChoice& link, std::uint64_t rate_bps);
std::vector<LinkNow> links_now(const std::vector<LinkChoice>& links, WallNs wall);

// Which links were lost and when they opened again: what a turn must know of the turns before it.
class LinkHistory {
  public:
    void note(std::vector<LinkNow>& links, TimeNs now);  // every turn: sets restored_at

  private:
    struct Known {
        bool open = false, lost = false;
        TimeNs restored_at = 0;
    };
    std::map<std::uint8_t, Known> links_;  // by number
};

enum class FlowReason : std::uint8_t { none, idle, floor, deadline, late, cap, share, demand, leftover };
const char* to_string(FlowReason reason);

struct Flow {  // one per demand, in the same order
    bool assigned = false;
    LinkChoice link;             // valid when assigned
    std::uint64_t rate_bps = 0;  // payload; of an idle flow what it may begin with, not part of any sum
    std::string obstacle;        // why it is not assigned, for the operator
    FlowReason reason = FlowReason::none;
    std::optional<double> slack_s;  // at this rate: target - lag - time to send what is behind
    TimeNs moved_at = 0;
    std::optional<std::uint8_t> home;  // the link that it was driven from and will go back to
};

double needs_bps(const Demand& demand);  // to make its deadline; 0: it has none
bool traffic_known(const std::string& traffic) noexcept;
double traffic_weight(const std::string& traffic) noexcept;  // latency 4, bulk 2, scavenger 1

// `links` may hold links to several sites.
std::vector<Flow> solve(const std::vector<Demand>& demands, const std::vector<LinkNow>& links, TimeNs now);

}  // namespace longhaul::control
