// Several flows on one path: sessions of any congestion mode, TCP competitors, changes of the path while they run. Not
// completion but rates over time are what is looked at, so the sources never run dry.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/congestion/controller.h"
#include "drivers/wan/link_model.h"

namespace longhaul::sim {

struct SessionPlan {
    congestion::Mode mode = congestion::Mode::reserved;
    TimeNs start = 0;
    std::uint64_t cap_bps = 0;  // 0: the path's rate at the start
    std::int64_t clock_skew_ppm = 0;
};
struct CompetitorPlan {
    enum class Kind { cubic, bbr };
    TimeNs start = 0, stop = kNever;
    Kind kind = Kind::cubic;
};
struct Incident {  // at `at` something happens: to the path, to the session's receiver, to the mode
    TimeNs at = 0;
    std::function<void(wan::LinkSettings& forward, wan::LinkSettings& backward)> path;
    enum class To { path, disk_stalls, disk_resumes, mode } to = To::path;  // the last three: of session 0
    congestion::Mode mode = congestion::Mode::reserved;
};

struct PathPlan {
    std::string name;
    wan::LinkSettings link[2];
    TimeNs duration = 20 * kSecond;
    std::vector<SessionPlan> sessions;
    std::vector<CompetitorPlan> competitors;
    std::vector<Incident> incidents;

    TimeNs rtt() const { return link[0].delay + link[1].delay; }
};

// What was seen every kSampleEvery: bytes on the wire that arrived in total, and the queue of the forward direction.
struct PathSample {
    std::vector<std::uint64_t> session_bytes, competitor_bytes;
    std::uint64_t queue_bytes = 0;
    std::uint64_t rate_bps = 0;  // of the path
    std::vector<std::uint64_t> pace_bps;
    std::vector<std::string> phase;
};

class PathRecord {
  public:
    static constexpr TimeNs kSampleEvery = 5 * kMillisecond;

    void add(PathSample sample) { samples_.push_back(std::move(sample)); }
    // Shares of `rate_bps` over [from, to), relative to the start.
    double session(std::size_t index, TimeNs from, TimeNs to, std::uint64_t rate_bps) const;
    double competitor(std::size_t index, TimeNs from, TimeNs to, std::uint64_t rate_bps) const;
    TimeNs queue_mean(TimeNs from, TimeNs to) const;
    // How long after `since` the session has `share` of `rate_bps` over one `window` for the first time. kNever: not.
    TimeNs recovery(std::size_t session, TimeNs since, TimeNs window, double share,
                    std::uint64_t rate_bps) const;
    const std::vector<PathSample>& samples() const { return samples_; }

    std::vector<std::string>
        broken;  // invariants of the endpoints: bytes wrong, delivered twice, window exceeded
    std::uint64_t blocks_max = 0;                // most blocks of session 0 in use at the sender
    std::uint64_t lost_packets = 0, brakes = 0;  // session 0

  private:
    std::size_t index_of(TimeNs time) const;
    std::vector<PathSample> samples_;
};

PathRecord run(const PathPlan& plan, std::uint64_t seed);

}  // namespace longhaul::sim
