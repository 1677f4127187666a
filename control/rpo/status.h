// From watermarks and the clock to the state an operator reads. Pure: asked again at every look.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "control/core.h"
#include "control/rpo/forecast.h"

namespace longhaul::control {

// What a view is computed from besides the clock.
struct RpoFacts {
    StageTimes watermarks;
    double rpo_target_s = 0;
    bool source_readable = true;     // false: nothing new can be known
    std::string unproven;            // why the watermarks cannot be relied on; empty: they can
    bool work_waits = false;         // a change or a mark is on its way, or wants to be
    std::optional<WallNs> moved_at;  // last time the target proved any progress, or work began to wait
    std::string obstacle;            // why nothing moves, if that is known
    std::optional<WallNs> seeding_since;
    std::optional<WallNs> unknown_since;
    std::optional<Load> load;  // absent at a target: only the source knows what is pending
    // The source's clock is ours plus this. `uncertainty_s` absent: it has never been measured.
    std::int64_t clock_offset_ns = 0;
    std::optional<double> clock_uncertainty_s = 0;
    std::string clock_problem;  // the clock is known, but not well enough for a proof
};

inline constexpr double kStalledAfter_s = 10;
// Clocks of two sites agree to the millisecond at best: a watermark may look this far into the future.
inline constexpr double kWatermarkAheadMax_s = 1;

// Fills state, quality, the lags, the limiting stage, the forecast. `now` is this node's clock.
void judge(const RpoFacts& facts, WallNs now, RpoView& view);

// The same at the target, which knows only the marks that came: silence longer than this is a stall.
double mark_silence_s(double rescan_s);

}  // namespace longhaul::control
