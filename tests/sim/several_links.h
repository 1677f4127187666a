// What endpoints of several links between the same two sites share: at the target the book that gives every bundle one
// writer, and what must hold whatever happens to the links: nothing published twice, no writer behind a newer one's back,
// and how long no byte arrived that had not been there before.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/session/arrival_book.h"
#include "tests/sim/scenario.h"

namespace longhaul::sim {

struct SeveralLinks {
    session::ArrivalBook book;
    struct Plan {
        session::ArrivalBook::Holder writer = 0;  // the newest
        unsigned published = 0;                   // by a writer
        bool settled = false;                     // the source knows
        std::vector<bool> delivered;              // stripes, by whom ever
    };
    std::vector<Plan> plans;
    TimeNs progress_at = 0, stall_max = 0;

    void note_delivery(std::size_t plan, std::size_t stripe, TimeNs now) {
        std::vector<bool>& delivered = plans[plan].delivered;
        if (delivered.size() <= stripe) delivered.resize(stripe + 1);
        if (delivered[stripe]) return;
        delivered[stripe] = true;
        if (progress_at != 0) stall_max = std::max(stall_max, now - progress_at);
        progress_at = now;
    }
};

struct LinkEvent {
    TimeNs at = 0;
    unsigned link = 0, direction = 2;  // 0 data, 1 answers, 2 both
    bool down = false;
};
struct FailoverPlan {
    std::string name;
    std::uint64_t rate_bps = 200'000'000;
    TimeNs rtt = 40 * kMillisecond;
    double loss = 0.001;
    unsigned bundles = 100;
    std::uint64_t bundle_bytes = 1u << 20;
    unsigned open_max = 12;                     // offered and not settled, as control does
    TimeNs control_reacts = 20 * kMillisecond;  // from the dataplane's word to the move
    std::vector<LinkEvent> events;
    TimeNs complete_within = 30 * kSecond;
};
struct FailoverOutcome {
    std::vector<std::string> broken;
    TimeNs completed_at = 0, stall_max = 0;
    unsigned moved = 0,
             known =
                 0;  // bundles; those among them that were published already: only the word of it was lost
    std::vector<unsigned> offered;  // bundles, by link
};
FailoverOutcome run(const FailoverPlan& plan, std::uint64_t seed);

}  // namespace longhaul::sim
