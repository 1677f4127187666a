// A link for every dataset: keep what stands, replace what is lost, improve a little each turn.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "control/schedule/solve.h"

namespace longhaul::control {

namespace {

constexpr double kScavengerWeight = 0.02;  // against those who are served before them
constexpr double kGainMin_bps = 1e6;       // less is not worth a move
constexpr double kHomeAsGood = 0.9;        // home is gone back to where it gives this share of what is left
constexpr std::size_t kMovesMin = 4, kMovesShare = 50;  // a turn moves 4, or one in 50, so that loads settle

struct Load {
    double reserved = 0;  // rates that do not depend on who else is there
    double weight = 0;    // of those who share the rest
};

class Placement {
  public:
    Placement(const std::vector<Demand>& demands, const std::vector<Claim>& claims,
              const std::vector<LinkNow>& links, TimeNs now, std::vector<Flow>& flows)
        : demands_(demands),
          claims_(claims),
          links_(links),
          now_(now),
          flows_(flows),
          loads_(links.size()),
          held_(demands.size()),
          placed_(demands.size(), kNoLink) {
        for (std::size_t l = 0; l < links.size(); ++l)
            by_site_[links[l].choice.peer_site].push_back(l);
    }

    std::vector<std::size_t> run() {
        std::vector<std::size_t> homeless;
        for (std::size_t i = 0; i < demands_.size(); ++i) {
            flows_[i].moved_at = demands_[i].moved_at;
            if (demands_[i].link.empty()) flows_[i].home = demands_[i].home;
            const std::size_t at = current(i);
            if (at != kNoLink && links_[at].open && (!links_[at].closing || !open_elsewhere(i)))
                settle(i, at);
            else
                homeless.push_back(i);
        }
        // What must be served first chooses first; what shares comes after, the heavier before the lighter.
        std::stable_sort(homeless.begin(), homeless.end(), [&](std::size_t a, std::size_t b) {
            if (fixed(a) != fixed(b)) return fixed(a) > fixed(b);
            return claims_[a].weight > claims_[b].weight;
        });
        for (const std::size_t i : homeless)
            find_home(i);
        go_home();
        improve();
        return std::move(placed_);
    }

  private:
    bool allowed(std::size_t i, std::size_t l) const {
        return demands_[i].link.empty() || demands_[i].link == links_[l].choice.name;
    }

    template <typename Visit>
    void for_each_choice(std::size_t i, Visit visit) const {
        const auto found = by_site_.find(demands_[i].target_site);
        if (found == by_site_.end()) return;
        for (const std::size_t l : found->second)
            if (links_[l].open && allowed(i, l)) visit(l);
    }

    std::size_t index_of(std::size_t i, std::optional<std::uint8_t> number) const {
        if (!number) return kNoLink;
        std::size_t at = kNoLink;
        const auto found = by_site_.find(demands_[i].target_site);
        if (found == by_site_.end()) return kNoLink;
        for (const std::size_t l : found->second)
            if (links_[l].choice.link == *number && allowed(i, l)) at = l;
        return at;
    }
    std::size_t current(std::size_t i) const { return index_of(i, demands_[i].on_link); }

    bool dwells(std::size_t i) const { return flows_[i].moved_at != 0 && now_ - flows_[i].moved_at < kDwell; }
    // Open for long enough to be moved to by who has another link.
    bool trusted(std::size_t l) const {
        return links_[l].open &&
               (links_[l].restored_at == 0 || now_ - links_[l].restored_at >= kWaitToRestore);
    }

    bool open_elsewhere(std::size_t i) const {
        bool there_is = false;
        for_each_choice(i, [&](std::size_t l) { there_is = there_is || !links_[l].closing; });
        return there_is;
    }

    double weight(std::size_t i) const {
        return claims_[i].scavenger ? claims_[i].weight * kScavengerWeight : claims_[i].weight;
    }
    double fixed(std::size_t i) const { return std::max(claims_[i].floor, claims_[i].need); }

    // What `i` may expect on `l` beside those who are counted there.
    double expected(std::size_t i, std::size_t l) const {
        const double capacity = static_cast<double>(links_[l].capacity_bps);
        const double rest = std::max(0.0, capacity - loads_[l].reserved - fixed(i));
        const double share = rest * weight(i) / (std::max(0.0, loads_[l].weight) + weight(i));
        return std::min({claims_[i].cap, capacity, fixed(i) + share});
    }

    // Who cannot use a full share takes what it can use and leaves the rest to the others.
    void settle(std::size_t i, std::size_t l) {
        placed_[i] = l;
        held_[i] = {};
        if (!claims_[i].active) return;
        if (claims_[i].limit < expected(i, l))
            held_[i].reserved = claims_[i].limit;
        else
            held_[i] = {fixed(i), weight(i)};
        loads_[l].reserved += held_[i].reserved;
        loads_[l].weight += held_[i].weight;
    }
    void leave(std::size_t i) {
        loads_[placed_[i]].reserved -= held_[i].reserved;
        loads_[placed_[i]].weight -= held_[i].weight;
    }

    enum class Among { open, trusted };
    std::size_t best(std::size_t i, Among among) const {
        std::size_t chosen = kNoLink;
        bool chosen_closing = false;
        double most = -1;
        for_each_choice(i, [&](std::size_t l) {
            if (among == Among::trusted && l != placed_[i] && !trusted(l)) return;
            const double gets = expected(i, l);
            const bool closing = links_[l].closing;
            const bool better = chosen == kNoLink || (chosen_closing && !closing) ||
                                (chosen_closing == closing && gets > most);
            if (!better) return;
            chosen = l;
            chosen_closing = closing;
            most = gets;
        });
        return chosen;
    }

    void find_home(std::size_t i) {
        const std::size_t chosen = best(i, Among::open);
        if (chosen == kNoLink) {
            flows_[i].obstacle = obstacle(i);
            return;
        }
        const bool moved = demands_[i].on_link && links_[chosen].choice.link != *demands_[i].on_link;
        if (moved) {
            flows_[i].moved_at = now_;
            const bool wished = !demands_[i].link.empty() || current(i) == kNoLink;
            if (!wished && !flows_[i].home) flows_[i].home = demands_[i].on_link;
            if (flows_[i].home == links_[chosen].choice.link) flows_[i].home.reset();
        }
        settle(i, chosen);
    }

    // Who was driven away goes back when its link has been well for a while, unless that gives clearly less by now.
    void go_home() {
        for (std::size_t i = 0; i < demands_.size(); ++i) {
            const std::size_t home = index_of(i, flows_[i].home), at = placed_[i];
            if (at == kNoLink || home == kNoLink) continue;
            if (home == at || !trusted(home) || links_[home].closing || dwells(i)) continue;
            leave(i);
            const double stays = std::min(expected(i, at), claims_[i].limit);
            const double goes = std::min(expected(i, home), claims_[i].limit);
            const bool worth = goes >= stays * kHomeAsGood;
            settle(i, worth ? home : at);
            if (!worth) continue;
            flows_[i].moved_at = now_;
            flows_[i].home.reset();
        }
    }

    // Who would get clearly more elsewhere moves, a few a turn: each move changes what the next one sees.
    void improve() {
        std::size_t moves = std::max(kMovesMin, demands_.size() / kMovesShare);
        for (std::size_t i = 0; i < demands_.size() && moves > 0; ++i) {
            const std::size_t at = placed_[i];
            if (at == kNoLink || !claims_[i].active || !demands_[i].on_link) continue;
            if (dwells(i)) continue;
            leave(i);
            const std::size_t other = best(i, Among::trusted);
            const double stays = std::min(expected(i, at), claims_[i].limit);
            const double goes = other == at ? 0 : std::min(expected(i, other), claims_[i].limit);
            const bool worth = goes > stays * kMoveGain && goes > stays + kGainMin_bps;
            settle(i, worth ? other : at);
            if (!worth) continue;
            flows_[i].moved_at = now_;
            flows_[i].home.reset();  // it is where it is best off
            --moves;
        }
    }

    std::string obstacle(std::size_t i) const {
        const auto& demand = demands_[i];
        const auto found = by_site_.find(demand.target_site);
        if (found == by_site_.end())
            return "no link to site " + demand.target_site + " is configured: add one";
        std::string reasons;
        for (const std::size_t l : found->second) {
            if (!allowed(i, l)) continue;
            const auto& link = links_[l];
            reasons += (reasons.empty() ? "link " : "; link ") + link.choice.name +
                       (link.choice.up ? " is closed by its " + link.why : " is not up");
        }
        if (reasons.empty())
            return "link " + demand.link + " does not lead to site " + demand.target_site +
                   ": name one that does, or none";
        return demand.link.empty() ? "no link to site " + demand.target_site + " is open: " + reasons
                                   : reasons;
    }

    const std::vector<Demand>& demands_;
    const std::vector<Claim>& claims_;
    const std::vector<LinkNow>& links_;
    const TimeNs now_;
    std::vector<Flow>& flows_;
    std::map<std::string, std::vector<std::size_t>, std::less<>> by_site_;
    std::vector<Load> loads_, held_;  // by link; by demand, what it adds to its link
    std::vector<std::size_t> placed_;
};

}  // namespace

std::vector<std::size_t> place(const std::vector<Demand>& demands, const std::vector<Claim>& claims,
                               const std::vector<LinkNow>& links, TimeNs now, std::vector<Flow>& flows) {
    return Placement(demands, claims, links, now, flows).run();
}

}  // namespace longhaul::control
