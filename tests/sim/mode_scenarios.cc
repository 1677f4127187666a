// Mode by situation: alone, against itself, against TCP, through a policer, on a path cut to a tenth, on a route that
// doubles. What is accepted is written in dataplane/congestion/README.md too: change both.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/mode_scenarios.h"

#include <algorithm>

namespace longhaul::sim {
namespace {

using congestion::Mode;

constexpr TimeNs kQueue = 40 * kMillisecond;  // of the path's buffer at its rate
constexpr std::uint64_t kPoliced = kRate * 7 / 10;

// What is accepted of a mode, situation by situation. Shares are of the path's rate (of what remains of it), times in
// milliseconds or round trips.
struct Bounds {
    Mode mode;
    double alone_least, alone_queue_ms;
    double self_share_least, self_total_least, self_queue_ms;
    double tcp_least, tcp_most, tcp_left_least;
    double bbr_least, bbr_most, bbr_left_least;
    double policed_least, policed_loss_most;
    double cut_least, cut_queue_ms, restored_rtts;
    double detour_rtts, detour_least;
};
constexpr Bounds kBounds[] = {
    {Mode::reserved, 0.96, 1, 0.40, 0.95, 20, 0.03, 0.30, 0.60, 0.03, 0.30, 0.60, 0.98, 0.04, 0.90, 100, 50,
     12, 0.82},
    {Mode::shared, 0.93, 2, 0.25, 0.95, 25, 0.30, 0.85, 0.15, 0.02, 0.50, 0.50, 0.85, 0.03, 0.85, 25, 65, 3,
     0.82},
    {Mode::scavenger, 0.85, 2, 0.35, 0.80, 12, 0.00, 0.10, 0.88, 0.00, 0.10, 0.88, 0.50, 0.03, 0.75, 20, 65,
     25, 0.80},
    {Mode::delay, 0.96, 2, 0.42, 0.97, 18, 0.03, 0.45, 0.50, 0.02, 0.45, 0.50, 0.93, 0.02, 0.95, 45, 50, 15,
     0.93},
};

PathPlan path(const Bounds& bounds, const std::string& situation, TimeNs duration) {
    PathPlan plan;
    plan.name = std::string(to_string(bounds.mode)) + "_" + situation;
    for (auto& link : plan.link) {
        link.rate_bps = kRate;
        link.delay = kRtt / 2;
        link.queue_bytes = kRate / 8 * (kQueue / kMillisecond) / 1000;
    }
    plan.duration = duration;
    plan.sessions = {{bounds.mode, 0, 0, 0}};
    return plan;
}

Accepted share(std::string what, std::size_t session, TimeNs from, TimeNs to, double least, double most = 1,
               std::uint64_t rate = kRate) {
    return {std::move(what) + ", share of the path",
            [=](const PathRecord& record) { return record.session(session, from, to, rate); }, least, most};
}
Accepted tcp_share(TimeNs from, TimeNs to, double least) {
    return {"TCP, share of the path",
            [=](const PathRecord& record) { return record.competitor(0, from, to, kRate); }, least, 1};
}
Accepted queue(TimeNs from, TimeNs to, double most_ms) {
    return {"mean queue, ms",
            [=](const PathRecord& record) { return static_cast<double>(record.queue_mean(from, to)) / 1e6; },
            0, most_ms};
}
Accepted recovery(std::string what, TimeNs since, double share, TimeNs rtt, double most_rtts) {
    return {std::move(what) + ", round trips until " + std::to_string(static_cast<int>(share * 100)) + " %",
            [=](const PathRecord& record) {
                return static_cast<double>(record.recovery(0, since, 2 * rtt, share, kRate)) /
                       static_cast<double>(rtt);
            },
            0, most_rtts};
}
Incident at(TimeNs time, std::function<void(wan::LinkSettings&, wan::LinkSettings&)> change) {
    return {time, std::move(change), Incident::To::path, Mode::reserved};
}

void add_alone(std::vector<PathScenario>& all, const Bounds& bounds) {
    constexpr TimeNs kFrom = 5 * kSecond, kTo = 25 * kSecond;
    all.push_back(
        {path(bounds, "alone", kTo),
         {share("alone", 0, kFrom, kTo, bounds.alone_least), queue(kFrom, kTo, bounds.alone_queue_ms)}});
}

void add_itself(std::vector<PathScenario>& all, const Bounds& bounds) {
    constexpr TimeNs kFrom = 20 * kSecond, kTo = 40 * kSecond;
    PathScenario s{path(bounds, "itself", kTo), {}};
    s.plan.sessions.push_back({bounds.mode, 4 * kSecond, 0, 0});
    s.accepted = {share("first", 0, kFrom, kTo, bounds.self_share_least),
                  share("second", 1, kFrom, kTo, bounds.self_share_least),
                  {"both, share of the path",
                   [](const PathRecord& record) {
                       return record.session(0, kFrom, kTo, kRate) + record.session(1, kFrom, kTo, kRate);
                   },
                   bounds.self_total_least, 1.001},
                  queue(kFrom, kTo, bounds.self_queue_ms)};
    all.push_back(std::move(s));
}

void add_tcp(std::vector<PathScenario>& all, const Bounds& bounds) {
    constexpr TimeNs kFrom = 15 * kSecond, kTo = 45 * kSecond;
    PathScenario s{path(bounds, "tcp", kTo), {}};
    s.plan.competitors.push_back({4 * kSecond, kNever, CompetitorPlan::Kind::cubic});
    s.accepted = {share("beside TCP", 0, kFrom, kTo, bounds.tcp_least, bounds.tcp_most),
                  tcp_share(kFrom, kTo, bounds.tcp_left_least), queue(kFrom, kTo, 1e9)};
    all.push_back(std::move(s));
}

void add_bbr(std::vector<PathScenario>& all, const Bounds& bounds) {
    constexpr TimeNs kFrom = 12 * kSecond, kTo = 32 * kSecond;
    PathScenario s{path(bounds, "bbr", kTo), {}};
    s.plan.competitors.push_back({4 * kSecond, kNever, CompetitorPlan::Kind::bbr});
    s.accepted = {share("beside BBR", 0, kFrom, kTo, bounds.bbr_least, bounds.bbr_most),
                  tcp_share(kFrom, kTo, bounds.bbr_left_least), queue(kFrom, kTo, 1e9)};
    all.push_back(std::move(s));
}

void add_policer(std::vector<PathScenario>& all, const Bounds& bounds) {
    constexpr TimeNs kFrom = 5 * kSecond, kTo = 25 * kSecond;
    PathScenario s{path(bounds, "policer", kTo), {}};
    s.plan.link[0].police_bps = kPoliced;
    s.plan.link[0].police_burst_bytes = 128 << 10;
    s.plan.sessions[0].cap_bps = kRate;
    s.accepted = {share("policed", 0, kFrom, kTo, bounds.policed_least, 1.01, kPoliced),
                  {"loss over all, share of packets",
                   [](const PathRecord& record) {
                       const double packets =
                           static_cast<double>(record.samples().back().session_bytes[0]) / 1502;
                       return static_cast<double>(record.lost_packets) /
                              (packets + static_cast<double>(record.lost_packets));
                   },
                   0, bounds.policed_loss_most}};
    all.push_back(std::move(s));
}

void add_cut(std::vector<PathScenario>& all, const Bounds& bounds) {
    constexpr TimeNs kCut = 5 * kSecond, kRestored = 15 * kSecond, kTo = 30 * kSecond;
    PathScenario s{path(bounds, "cut_to_a_tenth", kTo), {}};
    const auto set_rate = [](std::uint64_t rate) {
        return [rate](wan::LinkSettings& forward, wan::LinkSettings&) { forward.rate_bps = rate; };
    };
    s.plan.incidents = {at(kCut, set_rate(kRate / 10)), at(kRestored, set_rate(kRate))};
    s.accepted = {share("cut", 0, kCut + kSecond, kRestored, bounds.cut_least, 1.01, kRate / 10),
                  queue(kCut + 2 * kSecond, kRestored, bounds.cut_queue_ms),
                  recovery("after the cut", kRestored, 0.85, kRtt, bounds.restored_rtts)};
    all.push_back(std::move(s));
}

void add_detour(std::vector<PathScenario>& all, const Bounds& bounds) {
    constexpr TimeNs kDetour = 6 * kSecond, kTo = 25 * kSecond;
    PathScenario s{path(bounds, "route_doubles", kTo), {}};
    s.plan.incidents = {at(kDetour, [](wan::LinkSettings& forward, wan::LinkSettings& backward) {
        forward.delay *= 2;
        backward.delay *= 2;
    })};
    s.accepted = {share("after ten seconds", 0, kTo - 8 * kSecond, kTo, bounds.detour_least),
                  recovery("on the longer route", kDetour + 2 * kRtt, 0.85, 2 * kRtt, bounds.detour_rtts)};
    all.push_back(std::move(s));
}

// Each mode takes over from another in full flow, without a restart and without a dip.
PathScenario live_changes() {
    PathScenario s{path(kBounds[0], "then_every_other_mode_live", 25 * kSecond), {}};
    TimeNs time = 4 * kSecond;
    for (const Mode mode : {Mode::shared, Mode::scavenger, Mode::delay, Mode::reserved, Mode::scavenger}) {
        s.plan.incidents.push_back({time, {}, Incident::To::mode, mode});
        s.accepted.push_back(share("five round trips after " + std::string(to_string(mode)) + " took over", 0,
                                   time + kRtt, time + 6 * kRtt, 0.85));
        time += 4 * kSecond;
    }
    return s;
}

}  // namespace

std::vector<PathScenario> mode_scenarios() {
    std::vector<PathScenario> all;
    for (const Bounds& bounds : kBounds) {
        add_alone(all, bounds);
        add_itself(all, bounds);
        add_tcp(all, bounds);
        add_bbr(all, bounds);
        add_policer(all, bounds);
        add_cut(all, bounds);
        add_detour(all, bounds);
    }
    all.push_back(live_changes());
    return all;
}

}  // namespace longhaul::sim
