// From samples of one view to the events that people are woken by. Pure: a state machine per condition.
//
//   quiet --n samples in a row, or one beyond the hard limit--> raised (event) --n samples without--> quiet
//
// A breach also has an end, with its peak and how long it lasted, and stands in the ledger meanwhile.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/core.h"

namespace longhaul::control {

class Latch {
  public:
    static constexpr unsigned kSamples = 3;
    enum class Edge : std::uint8_t { none, rose, fell };
    explicit Latch(bool raised = false) : raised_(raised) {}
    Edge sample(bool on, bool at_once = false) {
        run_ = on == raised_ ? 0 : run_ + 1;
        if (run_ < kSamples && !(on && at_once && !raised_)) return Edge::none;
        raised_ = on;
        run_ = 0;
        return on ? Edge::rose : Edge::fell;
    }
    bool raised() const { return raised_; }

  private:
    bool raised_;
    unsigned run_ = 0;
};

class Alarms {
  public:
    static constexpr double kHardLimit = 2;        // times the target: at once
    static constexpr double kLeadShare = 0.25;     // of the target: a breach this near is predicted
    static constexpr double kSeedingTargets = 10;  // times the target, at least an hour
    static constexpr double kSeedingLeast_s = 3600;

    // `open`: the breach that an earlier process saw begin.
    explicit Alarms(std::string subject, std::optional<Breach> open = std::nullopt)
        : subject_(std::move(subject)), breach_latch_(open.has_value()), breach_(std::move(open)) {}

    // Once a second. `seeding_since` matters while the view says SEEDING.
    std::vector<Event> sample(const RpoView& view, std::optional<WallNs> seeding_since, WallNs now);

    // What the ledger has to hold: new, grown or ended since the last call.
    std::optional<Breach> take_changed_breach();
    const std::optional<Breach>& breach() const { return breach_; }
    void set_breach_id(std::int64_t id) {
        if (breach_) breach_->id = id;
    }

  private:
    static Event event_of(const char* kind, const RpoView& view, WallNs now);
    void sample_breach(const RpoView& view, WallNs now, std::vector<Event>& out);
    void sample_prediction(const RpoView& view, WallNs now, std::vector<Event>& out);
    void sample_others(const RpoView& view, std::optional<WallNs> seeding_since, WallNs now,
                       std::vector<Event>& out);

    const std::string subject_;
    Latch breach_latch_, predicted_, stalled_, stale_, seeding_late_;
    std::optional<Breach> breach_, changed_;
    WallNs breached_since_ = 0;  // first sample of the run that will be a breach
};

}  // namespace longhaul::control
