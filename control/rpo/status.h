// From watermarks and the clock to the state an operator reads. Pure: asked again at every look.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "control/core.h"

namespace longhaul::control {

// What a view is computed from besides the clock.
struct RpoFacts {
    StageTimes watermarks;
    double rpo_target_s = 0;
    bool source_readable = true;     // false: nothing new can be known
    bool work_waits = false;         // a change or a mark is on its way, or wants to be
    std::optional<WallNs> moved_at;  // last time the target proved any progress, or work began to wait
    std::string obstacle;            // why nothing moves, if that is known
};

inline constexpr double kStalledAfter_s = 10;

// Fills state, quality, the lags and within_target.
void judge(const RpoFacts& facts, WallNs now, RpoView& view);

// The same at the target, which knows only the marks that came: silence longer than this is a stall.
double mark_silence_s(double rescan_s);

}  // namespace longhaul::control
