// What the network and the far end may do to a session in full flow, and how soon it must be in full flow again.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/mode_scenarios.h"

namespace longhaul::sim {
namespace {

using congestion::Mode;

constexpr TimeNs kBegin = 4 * kSecond;
constexpr double kFullFlow = 0.85;  // of the path; `shared` and `scavenger` hold a little back
constexpr double kRecoveryRtts = 3;
// The only fault after which three round trips do not do: what a policer took comes back in `shared` with the next probe
// for bandwidth. `reserved` rides the policer and sees its end.
constexpr double kNextProbeRtts = 65;

using Fault = std::function<void(wan::LinkSettings& forward, wan::LinkSettings& backward)>;

PathScenario on_path(Mode mode, const std::string& fault) {
    PathScenario s;
    s.plan.name = fault + "_" + std::string(to_string(mode));
    for (auto& link : s.plan.link) {
        link.rate_bps = kRate;
        link.delay = kRtt / 2;
        link.queue_bytes = kRate / 8 / 25;  // 40 ms
    }
    s.plan.sessions = {{mode, 0, 0, 0}};
    return s;
}

Accepted full_flow(TimeNs from, TimeNs to, double least) {
    return {"share of the path", [=](const PathRecord& record) { return record.session(0, from, to, kRate); },
            least, 1};
}
Accepted memory_in_plan() {
    return {"blocks in use at the sender, at most",
            [](const PathRecord& record) { return static_cast<double>(record.blocks_max); }, 0, 512};
}
// From `end`, until a whole round trip is in full flow.
Accepted recovered(TimeNs end, double most_rtts) {
    return {"round trips until full flow",
            [=](const PathRecord& record) {
                return static_cast<double>(record.recovery(0, end, kRtt, kFullFlow, kRate)) /
                       static_cast<double>(kRtt);
            },
            0, most_rtts};
}

PathScenario passing(Mode mode, const std::string& fault, TimeNs length, const Fault& begins,
                     const Fault& ends, double most_rtts = kRecoveryRtts) {
    PathScenario s = on_path(mode, fault);
    const TimeNs end = kBegin + length;
    s.plan.duration = end + 5 * kSecond;
    s.plan.incidents = {{kBegin, begins, Incident::To::path, mode}, {end, ends, Incident::To::path, mode}};
    s.accepted = {recovered(end, most_rtts), memory_in_plan()};
    return s;
}

PathScenario stalled_receiver(Mode mode) {
    PathScenario s = on_path(mode, "receiver_stalls_5s");
    const TimeNs end = kBegin + 5 * kSecond;
    s.plan.duration = end + 5 * kSecond;
    s.plan.incidents = {{kBegin, {}, Incident::To::disk_stalls, mode},
                        {end, {}, Incident::To::disk_resumes, mode}};
    s.accepted = {recovered(end, kRecoveryRtts), memory_in_plan()};
    return s;
}

PathScenario drifting_clocks(Mode mode) {
    PathScenario s = on_path(mode, "clocks_drift_200ppm");
    s.plan.duration = 70 * kSecond;  // the receiver's floor is 30 to 60 s old: 12 ms of drift
    s.plan.sessions[0].clock_skew_ppm = 200;
    s.accepted = {full_flow(40 * kSecond, 70 * kSecond, kFullFlow)};
    return s;
}

PathScenario thin_way_back(Mode mode) {
    PathScenario s = on_path(mode, "way_back_at_a_hundredth");
    s.plan.duration = 10 * kSecond;
    s.plan.link[1].rate_bps = kRate / 100;
    s.plan.link[1].queue_bytes = 16 << 10;
    s.accepted = {full_flow(2 * kSecond, 10 * kSecond, kFullFlow), memory_in_plan()};
    return s;
}

void add_faults(std::vector<PathScenario>& all, Mode mode) {
    const auto forward_down = [](bool down) {
        return [down](wan::LinkSettings& forward, wan::LinkSettings&) { forward.down = down; };
    };
    const auto backward_down = [](bool down) {
        return [down](wan::LinkSettings&, wan::LinkSettings& backward) { backward.down = down; };
    };
    const auto both_down = [](bool down) {
        return [down](wan::LinkSettings& forward, wan::LinkSettings& backward) {
            forward.down = backward.down = down;
        };
    };
    const auto feedback_loss = [](double share) {
        return [share](wan::LinkSettings&, wan::LinkSettings& backward) { backward.loss = share; };
    };
    const auto duplicates = [](double share) {
        return [share](wan::LinkSettings& forward, wan::LinkSettings& backward) {
            forward.duplicate = backward.duplicate = share;
        };
    };
    const auto disorder = [](double share) {
        return [share](wan::LinkSettings& forward, wan::LinkSettings&) {
            forward.reorder = share;
            forward.reorder_delay = 120 * kMillisecond;  // a thousand packets at this rate
        };
    };
    const auto policer = [](std::uint64_t rate) {
        return [rate](wan::LinkSettings& forward, wan::LinkSettings&) {
            forward.police_bps = rate;
            forward.police_burst_bytes = 128 << 10;
        };
    };
    all.push_back(passing(mode, "blackout_10s", 10 * kSecond, both_down(true), both_down(false)));
    all.push_back(passing(mode, "blackout_of_data_5s", 5 * kSecond, forward_down(true), forward_down(false)));
    all.push_back(
        passing(mode, "blackout_of_feedback_5s", 5 * kSecond, backward_down(true), backward_down(false)));
    all.push_back(
        passing(mode, "half_of_the_feedback_lost_5s", 5 * kSecond, feedback_loss(0.5), feedback_loss(0)));
    all.push_back(passing(mode, "every_packet_twice_3s", 3 * kSecond, duplicates(1), duplicates(0)));
    all.push_back(passing(mode, "reordered_by_1000_packets_3s", 3 * kSecond, disorder(0.02), disorder(0)));
    all.push_back(passing(mode, "policer_drops_3s", 3 * kSecond, policer(kRate * 7 / 10), policer(0),
                          mode == Mode::reserved ? kRecoveryRtts : kNextProbeRtts));
    all.push_back(stalled_receiver(mode));
    all.push_back(drifting_clocks(mode));
    all.push_back(thin_way_back(mode));
}

}  // namespace

std::vector<PathScenario> fault_scenarios() {
    std::vector<PathScenario> all;
    for (const Mode mode : {Mode::reserved, Mode::shared})
        add_faults(all, mode);
    return all;
}

}  // namespace longhaul::sim
