// Attainment of one RPO target at one target, in both forms: minutes in violation, and changes published late.
// Pure: time and verdicts come in, slots to be stored go out.
//
// A minute is missed if a sample in it was above the target or not known, or if nobody was there to sample it:
// what is not measured is not attained. Minutes of seeding are counted apart. Kept are the minutes of the last
// hour and the hours of the last 30 days, so windows of a day and more move by the hour.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "control/core.h"
#include "control/rpo/activity.h"

namespace longhaul::control {

struct SloSlot {
    std::int64_t minutes = 0;  // 1 or 60
    std::int64_t start = 0;    // Unix minutes
    std::uint64_t good = 0, missed = 0, seeding = 0;
    ChangeCounts counts;
    double lag_max_s = 0;
};

enum class Verdict : std::uint8_t { good, seeding, missed };  // of a minute: the worst of its samples

class Slo {
  public:
    static constexpr double kObjective = 0.999;
    static constexpr std::int64_t kHour_min = 60, kDay_min = 1440, kMonth_min = 43'200;

    Slo() = default;
    explicit Slo(const std::vector<SloSlot>& stored);

    void sample(WallNs now, Verdict verdict, std::optional<double> lag_s, const ChangeCounts& counts);
    SloView view(WallNs now) const;
    std::vector<SloSlot> take_changed();  // to be stored; replaces what has the same minutes and start

  private:
    using Slots = std::map<std::int64_t, SloSlot>;  // by start
    void begin_record(std::int64_t minute);
    void close_minute();
    void add_minute(const SloSlot& minute);
    void forget(std::int64_t minute);
    static SloWindow window(const Slots& slots, std::int64_t from);

    Slots minutes_, hours_;
    std::optional<SloSlot> open_;  // the running minute, by its own clock
    Verdict worst_ = Verdict::good;
    std::optional<std::int64_t> last_closed_;
    std::map<std::pair<std::int64_t, std::int64_t>, bool> changed_;  // (minutes, start)
};

}  // namespace longhaul::control
