// A source, a link and a target on a virtual clock, around control's own code: Runner, Targets, the judging of views,
// attainment and alarms. A seed decides who writes, what breaks and when.
//
// Ground truth is kept beside it: every version of every file since the target was last whole. The true loss is the age
// of the oldest change that the target does not hold. The reported lag is held against it at every tick.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/dataset/runner.h"
#include "control/publish/publish_order.h"
#include "control/publish/targets.h"
#include "control/rpo/alarms.h"
#include "control/rpo/slo.h"
#include "control/rpo/source_clock.h"
#include "dataplane/base/random.h"

namespace longhaul::control::sim {

struct Totals {
    std::uint64_t ticks = 0, source_judged = 0, target_judged = 0, changes = 0, breaches = 0, cuts = 0,
                  clocks_set = 0, files_compared = 0, files_read_back = 0, in_order = 0;
    double excess_max_s = 0, virtual_days = 0;
};

class World final : public Ports {
  public:
    World(std::uint64_t seed, double hours, Totals& totals);
    ~World() override;
    void run();

  private:
    struct Version {
        TimeNs time = 0;
        std::optional<Observed> state;  // nullopt: absent
    };
    struct Flying {
        wire::Manifest manifest;
        std::vector<wire::FailReason> read;
        std::optional<TimeNs> applied_at, reported_at;  // when due; applied when reported_at is set
        command::BundleEvent event;
    };
    enum class Phase : std::uint8_t { idle, steady, burst, deletes };

    Result<void> store_open(std::uint64_t, const std::string&, bool, bool) override { return {}; }
    void store_close(std::uint64_t) override {}
    Result<bool> bundle_offer(const command::BundleOfferMessage& offer,
                              std::vector<std::uint8_t> head) override;
    Result<void> bundle_cancel(const wire::BundleId&) override { return {}; }
    Result<void> bundle_ack(const std::vector<wire::BundleId>&) override { return {}; }
    Result<void> order_settle(std::uint8_t, const wire::BundleId&, std::uint32_t, bool) override {
        return {};
    }
    Result<TargetAccepted> target_accept(const DatasetSpec&) override { return TargetAccepted{store_}; }
    Result<void> target_release(const std::string&, const std::string&, std::uint64_t) override { return {}; }
    std::vector<LinkChoice> links_to(const std::string&) override { return {}; }

    // world.cc: what happens
    void boot(bool first);
    void act();
    TimeNs next_tick() const;
    void disturb();
    void change_phase();
    void write();
    void put(const std::string& path);
    void sweep();
    void look_at(const std::string& path);
    Observation observation(const std::string& path) const;
    void carry();
    bool has_its_turn(Flying& bundle);
    void apply(Flying& bundle);
    wire::FailReason read(const wire::Entry& entry) const;
    wire::FailReason apply(const wire::Entry& entry, wire::FailReason read_as);
    void report(Flying& bundle);
    void turn();

    // truth.cc: what is held against what
    void judge();
    void check(const char* who, const RpoView& view, double loss_s, double slack_s);
    double true_loss_s();
    double transfer_s() const;
    double unproven_loss_s() const;
    bool disturbed() const {
        return !link_up() || !control_up() || !clean_ || trouble_at_ == now_ || never_rests();
    }
    // Under `ordered` a file that changes during every sweep holds the published watermark (control/publish/README.md).
    bool never_rests() const { return ordered() && phase_ == Phase::burst; }
    double leapt_since_s(WallNs watermark) const;
    bool holds(const std::string& path, const std::optional<Observed>& state) const;
    std::string replay() const;

    bool ordered() const { return spec_.consistency == Consistency::ordered; }
    bool link_up() const { return now_ >= link_back_at_; }
    bool control_up() const { return now_ >= control_back_at_; }
    WallNs wall() const { return static_cast<WallNs>(now_) + kEpoch + wall_set_; }
    WallNs target_wall() const { return static_cast<WallNs>(now_) + kEpoch + target_skew_; }
    Moment moment() { return {clock_->read(wall(), now_), now_}; }
    TimeNs within(double low_s, double high_s) {
        return static_cast<TimeNs>((low_s + random_.unit() * (high_s - low_s)) * 1e9);
    }

    static constexpr WallNs kEpoch = 1'790'000'000'000'000'000;

    const std::uint64_t seed_;
    Totals& totals_;
    Random random_, ids_;
    std::string directory_;
    CoreConfig config_;
    CoreStats stats_;
    DatasetSpec spec_;
    std::uint64_t store_ = 0;
    TimeNs now_ = 1'000 * kSecond, end_ = 0;

    // the source
    WallNs wall_set_ = 0;
    std::unique_ptr<SourceClock> clock_ = std::make_unique<SourceClock>();
    std::map<std::string, std::deque<Version>> history_;
    std::uint64_t inode_ = 0;
    Phase phase_ = Phase::idle;
    TimeNs phase_ends_ = 0, next_write_ = 0;
    bool sweeping_ = false, clean_ = true;
    TimeNs sweep_began_ = 0, sweep_ends_ = 0;
    std::deque<std::pair<TimeNs, std::string>> to_look_;
    std::map<std::string, std::optional<ObjectRecord>> rows_;
    std::vector<std::string> looking_up_;

    // the way
    TimeNs rtt_ = 0, way_free_at_ = 0, link_back_at_ = 0, control_back_at_ = 0;
    double rate_Bps_ = 0;
    std::deque<Flying> flying_;

    // the target
    WallNs target_skew_ = 0;
    std::map<std::string, std::int64_t> target_;  // path -> ctime of the version that stands there
    std::map<wire::ObjectKey, std::map<std::uint64_t, std::uint64_t>> staged_;
    wire::OrderPlace door_;  // what was published in order so far

    // control at both ends
    std::unique_ptr<StateStore> state_;
    std::unique_ptr<Runner> runner_;
    std::unique_ptr<Targets> targets_;
    PeerClock source_clock_at_target_;
    Slo slo_;
    std::unique_ptr<Alarms> alarms_;
    std::optional<WallNs> first_sample_;
    WallNs last_sample_ = 0;

    // what excuses a lag above the true loss
    std::deque<std::pair<TimeNs, double>> losses_;  // of the last ten minutes
    struct Episode {
        TimeNs began = 0;
        double missing_s = 0;  // what counted as lost then
    };
    std::uint64_t missing_bytes_ = 0;
    std::optional<Episode> episode_;  // something is wrong, or was until shortly ago
    TimeNs calm_since_ = 0, trouble_at_ = 0;
    std::vector<std::pair<WallNs, double>>
        leaps_;  // the source clock after it, and by how much it leapt ahead
};

}  // namespace longhaul::control::sim
