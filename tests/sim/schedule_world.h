// A world for the scheduler on a virtual clock: sites, links that are cut, changed and closed by calendars,
// datasets whose writers come in bursts. What is sent is what was assigned; deadlines are known exactly.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "control/schedule/schedule.h"
#include "dataplane/base/random.h"

namespace longhaul::control::sim {

class ScheduleWorld {
  public:
    explicit ScheduleWorld(std::uint64_t seed);

    // One turn: links and writers change, the solver is asked, bytes move. Afterwards the members below hold
    // what it saw and said.
    void turn();
    void stop_writers() { writing_ = false; }
    void settle_links();  // every link up, no calendar, from now on

    std::uint64_t backlog() const;
    std::size_t turns() const { return turns_; }

    std::vector<Demand> demands;  // of the last turn
    std::vector<LinkNow> links;
    std::vector<Flow> flows;
    std::vector<Flow> before;  // of the turn before it
    TimeNs now = 1000 * kSecond;

  private:
    struct Batch {
        double at_s;
        double bytes;
    };
    struct Dataset {
        Demand policy;
        double burst_bytes = 0, burst_chance = 0, steady_bytes = 0;
        std::deque<Batch> pending;
        double drained = 0;  // in the last turn
        double proven_s = 0;
    };
    struct Link {
        LinkChoice choice;
        std::uint64_t contract_bps = 0;
        double cut_chance = 0, mend_chance = 0;
    };
    double now_s() const { return static_cast<double>(now) / 1e9; }
    void make_links();
    void make_datasets();
    void change_links();
    void write();
    void move_bytes();

    Random random_;
    LinkHistory history_;
    std::vector<Link> all_links_;
    std::vector<Dataset> datasets_;
    std::vector<std::string> sites_;
    std::size_t turns_ = 0;
    bool writing_ = true, changing_ = true;
};

}  // namespace longhaul::control::sim
