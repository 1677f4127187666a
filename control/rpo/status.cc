// The order of precedence of the states: no proof yet, source unreadable, stalled, then the lag itself.
// SPDX-License-Identifier: Apache-2.0
#include "control/rpo/status.h"

#include <algorithm>

namespace longhaul::control {

namespace {

std::optional<double> lag_s(std::optional<WallNs> watermark, WallNs now) {
    if (!watermark) return std::nullopt;
    return std::max(0.0, static_cast<double>(now - *watermark) / 1e9);
}

}  // namespace

void judge(const RpoFacts& facts, WallNs now, RpoView& view) {
    view.watermarks = facts.watermarks;
    view.rpo_target_s = facts.rpo_target_s;
    view.computed_at = now;
    view.rpo_lag_s = lag_s(facts.watermarks.w_pub, now);
    view.durable_lag_s = lag_s(facts.watermarks.w_dur, now);
    view.within_target.reset();
    if (view.rpo_lag_s) view.within_target = *view.rpo_lag_s <= facts.rpo_target_s;
    view.quality = view.rpo_lag_s && facts.source_readable ? "proven" : "unknown";

    const bool stalled = facts.work_waits && facts.moved_at &&
                         static_cast<double>(now - *facts.moved_at) / 1e9 > kStalledAfter_s;
    if (!view.rpo_lag_s)
        view.state = "SEEDING";
    else if (!facts.source_readable)
        view.state = "UNKNOWN";
    else if (stalled)
        view.state = "STALLED";
    else
        view.state = *view.within_target ? "PROTECTED" : "CATCHING_UP";
}

double mark_silence_s(double rescan_s) {
    return std::max(kStalledAfter_s, 3 * rescan_s);
}

}  // namespace longhaul::control
