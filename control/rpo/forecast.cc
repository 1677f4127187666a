// The formulae, with the cases in which they have no answer.
// SPDX-License-Identifier: Apache-2.0
#include "control/rpo/forecast.h"

#include <algorithm>

namespace longhaul::control {

namespace {

// An average never falls to zero by itself. Less than this moves nothing.
constexpr double kMoves_bps = 8;

double seconds_for(std::uint64_t bytes, double rate_bps) {
    return static_cast<double>(bytes) * 8 / rate_bps;
}

void fill_eta(const Load& load, Forecast& out) {
    if (load.bytes_behind == 0 && load.objects_behind == 0) {
        out.eta_s = 0;
    } else if (load.drain_bps < kMoves_bps) {
        out.eta_reason = "nothing is moving";
    } else if (load.drain_bps <= load.change_bps) {
        out.eta_reason = "the source changes as fast as the flow carries, or faster";
    } else {
        out.eta_s = seconds_for(load.bytes_behind, load.drain_bps - load.change_bps);
    }
}

}  // namespace

std::optional<double> time_to_breach_s(const Load& load) {
    if (!load.lag_s) return std::nullopt;
    const double room_s = load.rpo_target_s - *load.lag_s;
    if (room_s <= 0) return 0;
    if (!load.waits) return std::nullopt;
    if (load.drain_bps < kMoves_bps) return room_s;
    if (seconds_for(std::min(load.oldest_bytes, load.bytes_behind), load.drain_bps) > room_s) return room_s;
    if (load.drain_bps >= load.change_bps) return std::nullopt;
    return room_s / (1 - load.drain_bps / load.change_bps);
}

double required_rate_bps(const Load& load, double horizon_s) {
    if (horizon_s <= 0) return load.change_bps;
    return load.change_bps + seconds_for(load.bytes_behind, horizon_s);
}

Forecast forecast(const Load& load) {
    Forecast out;
    fill_eta(load, out);
    out.time_to_breach_s = time_to_breach_s(load);
    if (!out.time_to_breach_s) {
        out.time_to_breach_reason = !load.lag_s   ? "the lag is not known"
                                    : !load.waits ? "nothing is pending"
                                                  : "the flow keeps up";
    }
    out.required_within_s = load.rpo_target_s;
    out.required_bps = required_rate_bps(load, out.required_within_s);
    return out;
}

}  // namespace longhaul::control
