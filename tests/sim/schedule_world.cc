// How the world of the scheduler goes on.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/schedule_world.h"

#include <algorithm>
#include <array>

namespace longhaul::control::sim {

namespace {

constexpr double kTurn_s = static_cast<double>(kScheduleTurn) / 1e9;
constexpr std::int64_t kEpochNs = 1'795'392'000'000'000'000;  // a Monday

}  // namespace

ScheduleWorld::ScheduleWorld(std::uint64_t seed) : random_(seed) {
    sites_ = {"west"};
    if (random_.below(3) == 0) sites_.push_back("north");
    make_links();
    make_datasets();
}

void ScheduleWorld::make_links() {
    const std::size_t count = sites_.size() + random_.below(7);
    for (std::size_t i = 0; i < count; ++i) {
        Link link;
        link.choice.name = "link-" + std::to_string(i);
        link.choice.link = static_cast<std::uint8_t>(i + 1);
        link.choice.peer_site = sites_[i % sites_.size()];
        link.choice.up = true;
        link.choice.payload_share = 0.7 + random_.unit() * 0.28;
        link.contract_bps = (1 + random_.below(100)) * 100'000'000;
        link.choice.rate_bps = link.contract_bps;
        link.cut_chance = random_.unit() * 0.02;
        link.mend_chance = 0.05 + random_.unit() * 0.3;
        const std::int64_t start = kEpochNs + static_cast<std::int64_t>(random_.below(1800)) * 1'000'000'000;
        if (random_.below(4) == 0)
            link.choice.calendar.maintenance.push_back(
                {start, start + static_cast<std::int64_t>(60 + random_.below(600)) * 1'000'000'000});
        if (random_.below(4) == 0) {
            const int minute = static_cast<int>(random_.below(25));
            link.choice.calendar.windows.push_back({0x7f, minute,
                                                    minute + 1 + static_cast<int>(random_.below(10)),
                                                    random_.below(2) * link.contract_bps / 3});
        }
        all_links_.push_back(std::move(link));
    }
}

void ScheduleWorld::make_datasets() {
    static constexpr std::array<const char*, 4> kClasses = {"latency", "bulk", "bulk", "scavenger"};
    const std::size_t count = 1 + random_.below(30);
    for (std::size_t i = 0; i < count; ++i) {
        Dataset dataset;
        Demand& policy = dataset.policy;
        policy.dataset = "d" + std::to_string(i);
        policy.target_site = sites_[random_.below(sites_.size())];
        policy.traffic = kClasses[random_.below(kClasses.size())];
        policy.weight = 0.25 + random_.unit() * 4;
        policy.rpo_target_s = 30 + static_cast<double>(random_.below(600));
        if (random_.below(4) == 0) policy.cap_bps = (1 + random_.below(50)) * 20'000'000;
        if (random_.below(4) == 0 && policy.traffic != kClasses[3]) {
            policy.floor_bps = (1 + random_.below(20)) * 10'000'000;
            if (policy.cap_bps > 0) policy.floor_bps = std::min(policy.floor_bps, policy.cap_bps);
        }
        if (random_.below(8) == 0) {
            const auto& link = all_links_[random_.below(all_links_.size())].choice;
            if (link.peer_site == policy.target_site) policy.link = link.name;
        }
        dataset.burst_chance = random_.unit() * 0.05;
        dataset.burst_bytes = random_.unit() * 2e10;
        dataset.steady_bytes = random_.chance(0.5) ? random_.unit() * 5e7 : 0;
        datasets_.push_back(std::move(dataset));
    }
}

void ScheduleWorld::settle_links() {
    changing_ = false;
    for (auto& link : all_links_) {
        link.choice.up = true;
        link.choice.rate_bps = link.contract_bps;
        link.choice.calendar = {};
    }
}

void ScheduleWorld::change_links() {
    for (auto& link : all_links_) {
        const double dice = random_.unit();
        link.choice.up = link.choice.up ? dice >= link.cut_chance : dice < link.mend_chance;
        if (random_.below(200) == 0) link.choice.rate_bps = link.contract_bps / (1 + random_.below(4));
    }
}

void ScheduleWorld::write() {
    for (auto& dataset : datasets_) {
        double bytes = random_.below(10) == 0 ? 0 : dataset.steady_bytes * random_.unit() * 2;
        if (random_.unit() < dataset.burst_chance) bytes += dataset.burst_bytes * random_.unit();
        if (bytes >= 1) dataset.pending.push_back({now_s(), bytes});
    }
}

void ScheduleWorld::move_bytes() {
    for (std::size_t i = 0; i < datasets_.size(); ++i) {
        auto& dataset = datasets_[i];
        double can = flows[i].assigned ? static_cast<double>(flows[i].rate_bps) / 8 * kTurn_s : 0;
        dataset.drained = 0;
        while (!dataset.pending.empty() && can > 0) {
            auto& batch = dataset.pending.front();
            const double part = std::min(can, batch.bytes);
            batch.bytes -= part;
            can -= part;
            dataset.drained += part;
            if (batch.bytes < 1) dataset.pending.pop_front();
        }
        dataset.policy.on_link = flows[i].assigned ? flows[i].link.link : dataset.policy.on_link;
        dataset.policy.moved_at = flows[i].moved_at;
        dataset.policy.home = flows[i].home;
    }
}

void ScheduleWorld::turn() {
    ++turns_;
    now += kScheduleTurn;
    if (changing_) change_links();
    if (writing_) write();
    std::vector<LinkChoice> choices;
    for (const auto& link : all_links_)
        choices.push_back(link.choice);
    links = links_now(
        choices, kEpochNs + static_cast<std::int64_t>(turns_) * static_cast<std::int64_t>(kScheduleTurn));
    history_.note(links, now);
    demands.clear();
    for (const auto& dataset : datasets_) {
        Demand demand = dataset.policy;
        double bytes = 0;
        for (const auto& batch : dataset.pending)
            bytes += batch.bytes;
        demand.bytes_behind = static_cast<std::uint64_t>(bytes);
        demand.active = demand.bytes_behind > 0;
        demand.drain_bps = dataset.drained * 8 / kTurn_s;
        demand.lag_s = dataset.pending.empty() ? 0 : now_s() - dataset.pending.front().at_s;
        demands.push_back(std::move(demand));
    }
    before = std::move(flows);
    flows = solve(demands, links, now);
    move_bytes();
}

std::uint64_t ScheduleWorld::backlog() const {
    double bytes = 0;
    for (const auto& dataset : datasets_)
        for (const auto& batch : dataset.pending)
            bytes += batch.bytes;
    return static_cast<std::uint64_t>(bytes);
}

}  // namespace longhaul::control::sim
