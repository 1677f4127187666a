// One link's rates: a level of water that rises over what each already has, stage by stage.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "control/schedule/solve.h"

namespace longhaul::control {

namespace {

constexpr int kLevelSteps = 64;  // of bisection: far below one bit a second

// Raises `have` towards `limit`, in proportion to weight, until the sum reaches `capacity`. What somebody
// already has counts against its share: a floor is a floor, not a gift on top. Never exceeds capacity.
void fill(std::vector<double>& have, const std::vector<double>& weight, const std::vector<double>& limit,
          double capacity) {
    const auto at_level = [&](std::size_t i, double level) {
        return std::max(have[i], std::min(limit[i], level * weight[i]));
    };
    const auto sum = [&](double level) {
        double total = 0;
        for (std::size_t i = 0; i < have.size(); ++i)
            total += at_level(i, level);
        return total;
    };
    double high = 0;
    for (std::size_t i = 0; i < have.size(); ++i)
        if (weight[i] > 0) high = std::max(high, limit[i] / weight[i]);
    double low = 0;
    if (sum(high) <= capacity) {
        low = high;
    } else {
        for (int step = 0; step < kLevelSteps; ++step) {
            const double middle = (low + high) / 2;
            (sum(middle) <= capacity ? low : high) = middle;
        }
    }
    for (std::size_t i = 0; i < have.size(); ++i)
        have[i] = at_level(i, low);
}

// The active flows of one link, in columns.
class Shares {
  public:
    Shares(std::vector<std::size_t> who, const std::vector<Demand>& demands, const std::vector<Claim>& claims,
           double capacity)
        : who_(std::move(who)), demands_(demands), claims_(claims), capacity_(capacity) {}

    void run(std::vector<Flow>& flows) {
        promises();
        const std::vector<double> promised = have_;
        ordinary();  // what everyone would get if no deadline mattered: the measure of danger
        const auto order = by_danger();
        if (!order.empty()) {
            have_ = promised;
            serve(order);
            ordinary();
        }
        for (std::size_t i = 0; i < who_.size(); ++i)
            tell(i, flows[who_[i]]);
    }

  private:
    const Claim& claim(std::size_t i) const { return claims_[who_[i]]; }

    template <typename Value>
    std::vector<double> column(Value value) const {
        std::vector<double> out(who_.size());
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = value(claim(i));
        return out;
    }

    void promises() {
        have_.assign(who_.size(), 0);
        double weights = 0, floors = 0;
        for (std::size_t i = 0; i < who_.size(); ++i) {
            weights += claim(i).weight;
            floors += claim(i).floor;
        }
        const double trickle = capacity_ * kTrickleShare, rest = capacity_ - trickle;
        const double kept = floors > rest ? rest / floors : 1;
        for (std::size_t i = 0; i < who_.size(); ++i)
            have_[i] =
                std::max(std::min(claim(i).cap, trickle * claim(i).weight / weights), claim(i).floor * kept);
    }

    void ordinary() {
        const auto main = column([](const Claim& c) { return c.scavenger ? 0 : c.weight; });
        const auto scavengers = column([](const Claim& c) { return c.scavenger ? c.weight : 0; });
        const auto limit = column([](const Claim& c) { return c.limit; });
        const auto cap = column([](const Claim& c) { return c.cap; });
        fill(have_, main, limit, capacity_);
        fill(have_, scavengers, limit, capacity_);
        // More than they seem to be able to use: what comes before the next turn finds its way open.
        fill(have_, main, cap, capacity_);
        fill(have_, scavengers, cap, capacity_);
    }

    double slack(std::size_t i, double rate) const {
        const auto& demand = demands_[who_[i]];
        return demand.rpo_target_s - *demand.lag_s -
               static_cast<double>(demand.bytes_behind) * 8 / std::max(rate, 1.0);
    }

    // Empty when everyone makes it at an ordinary share. Else all who have a deadline, in the order in which
    // they are served: who can still make it, had it the link, before who cannot; each by slack.
    std::vector<std::size_t> by_danger() {
        endangered_.assign(who_.size(), false);
        std::vector<std::size_t> list;
        std::vector<std::pair<bool, double>> key(who_.size());
        bool any = false;
        for (std::size_t i = 0; i < who_.size(); ++i) {
            if (claim(i).need <= 0) continue;
            endangered_[i] = claim(i).need > have_[i];
            any = any || endangered_[i];
            const bool lost = claim(i).late || slack(i, std::min(capacity_, claim(i).cap)) <= 0;
            key[i] = {lost, slack(i, have_[i])};
            list.push_back(i);
        }
        if (!any) return {};
        std::stable_sort(list.begin(), list.end(),
                         [&](std::size_t a, std::size_t b) { return key[a] < key[b]; });
        return list;
    }

    void serve(const std::vector<std::size_t>& order) {
        double left = capacity_ - std::accumulate(have_.begin(), have_.end(), 0.0);
        for (const std::size_t i : order) {
            const double more = std::clamp(claim(i).need - have_[i], 0.0, std::max(0.0, left));
            have_[i] += more;
            left -= more;
        }
    }

    void tell(std::size_t i, Flow& flow) const {
        const auto& demand = demands_[who_[i]];
        flow.rate_bps = static_cast<std::uint64_t>(have_[i]);
        if (demand.lag_s && demand.rpo_target_s > 0) flow.slack_s = slack(i, have_[i]);
        if (endangered_[i])
            flow.reason = claim(i).late ? FlowReason::late : FlowReason::deadline;
        else if (have_[i] >= claim(i).cap * 0.999)
            flow.reason = FlowReason::cap;
        else if (claim(i).floor > 0 && have_[i] <= claim(i).floor * 1.001)
            flow.reason = FlowReason::floor;
        else if (claim(i).scavenger)
            flow.reason = FlowReason::leftover;
        else
            flow.reason = have_[i] >= claim(i).limit ? FlowReason::demand : FlowReason::share;
    }

    const std::vector<std::size_t> who_;
    const std::vector<Demand>& demands_;
    const std::vector<Claim>& claims_;
    const double capacity_;
    std::vector<double> have_;
    std::vector<bool> endangered_;
};

}  // namespace

void share_out(const std::vector<std::size_t>& on_link, const std::vector<Demand>& demands,
               const std::vector<Claim>& claims, double capacity, std::vector<Flow>& flows) {
    std::vector<std::size_t> active;
    double weights = 0, floors = 0;
    for (const std::size_t i : on_link) {
        if (!claims[i].active) continue;
        active.push_back(i);
        weights += claims[i].scavenger ? 0 : claims[i].weight;
        floors += claims[i].floor;
    }
    // Who is idle may begin with what it would get beside the others; the next turn counts it in.
    for (const std::size_t i : on_link) {
        if (claims[i].active) continue;
        const double floor = static_cast<double>(demands[i].floor_bps);
        const double share =
            std::max(0.0, capacity - floors - floor) * claims[i].weight / (weights + claims[i].weight);
        flows[i].rate_bps = static_cast<std::uint64_t>(std::min({claims[i].cap, capacity, floor + share}));
        flows[i].reason = FlowReason::idle;
    }
    if (!active.empty()) Shares(std::move(active), demands, claims, capacity).run(flows);
}

}  // namespace longhaul::control
