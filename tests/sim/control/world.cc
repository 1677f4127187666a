// What happens: writers, sweeps, bundles, cuts, restarts and clocks, in the order of virtual time.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/control/world.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace longhaul::control::sim {

namespace fs = std::filesystem;
using wire::EntryKind;
using wire::FailReason;

World::World(std::uint64_t seed, double hours, Totals& totals)
    : seed_(seed), totals_(totals), random_(seed), ids_(~seed) {
    const fs::path memory = "/dev/shm";  // every turn commits
    const fs::path above = access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
    std::string pattern = above.string() + "/longhaul-rpo-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    config_.bundle_bytes_max = 8192;
    config_.bundle_entries_max = 8;
    end_ = now_ + static_cast<TimeNs>(hours * 3600e9);
    rtt_ = within(0.002, 0.2);
    rate_Bps_ = 500 + random_.unit() * 20'000;
    target_skew_ = static_cast<WallNs>(random_.below(1'200'000'000'000)) - 600'000'000'000;
    spec_.name = "lake";
    spec_.source = "posix:/nowhere";
    spec_.target = {"west", "posix:/replica"};
    spec_.consistency = random_.chance(0.5) ? Consistency::ordered : Consistency::object;
    spec_.rescan_s = 120 + random_.unit() * 240;
    spec_.rpo_target_s = 3 * spec_.rescan_s;
    const bool many = random_.chance(0.05);
    // Room for a dozen changes. Of many more a lag is above the loss by as many sweeps as they take.
    if (!many && seed % 3 == 0) config_.changes_bytes_max = 4000 + seed % 7 * 1000;
    if (!many) spec_.delete_hold_objects = 0;
    const auto files = many ? 150 : 4 + random_.below(12);
    for (std::uint64_t i = 0; i < files; ++i) {
        const std::string path = "f" + std::to_string(i);
        history_[path] = {{0, std::nullopt}};
        if (random_.chance(0.8)) put(path);
    }
    boot(true);
}

World::~World() {
    targets_.reset();
    runner_.reset();
    state_.reset();
    fs::remove_all(directory_);
}

void World::run() {
    const TimeNs began = now_;
    while (now_ < end_ && !::testing::Test::HasFailure())
        act();
    totals_.virtual_days += static_cast<double>(now_ - began) / 86'400e9;
}

void World::boot(bool first) {
    targets_.reset();
    runner_.reset();
    state_.reset();
    to_look_.clear();
    looking_up_.clear();
    sweeping_ = false;
    clean_ = true;
    state_ = std::move(StateStore::open(directory_ + "/state.sqlite")).value();
    const Moment at = moment();
    targets_ = std::make_unique<Targets>(*state_, *this, target_wall());
    if (first) {
        store_ = targets_->accept("east", spec_, "/replica", {}, target_wall()).value().store;
        DatasetRecord record;
        record.spec = spec_;
        record.target_store = store_;
        record.created = at.wall;
        state_->dataset_add(record);
        state_->commit();
    }
    auto record = state_->datasets().at(0);
    const WallNs ahead = clock_->ahead_of_steady();  // as Core stores it
    clock_ = std::make_unique<SourceClock>();
    clock_->not_before(static_cast<WallNs>(now_) + ahead, now_);
    clock_->not_before(record.watermarks.w_disc.value_or(0), now_);
    runner_ = std::make_unique<Runner>(std::move(record), *state_, *this, config_, stats_, [this] {
        const std::uint64_t high = ids_.next();
        return wire::BundleId{high, ids_.next()};
    });
    runner_->load(moment());
    Flow flow;
    flow.assigned = true;
    flow.link = {"one", 1, "west", true, static_cast<std::uint64_t>(rate_Bps_ * 8)};
    flow.rate_bps = flow.link.rate_bps;
    runner_->set_flow(flow, moment());
    command::StatusReport status;
    for (const auto& bundle : flying_)
        status.in_flight.push_back(bundle.manifest.id);
    runner_->on_dataplane_up(status, moment());
    slo_ = Slo(state_->slo_slots("source/lake"));
    alarms_ = std::make_unique<Alarms>("source/lake", state_->open_breach("source/lake"));
}

TimeNs World::next_tick() const {
    TimeNs next = now_ + 60 * kSecond;
    const auto sooner = [&](TimeNs due) {
        if (due > now_) next = std::min(next, due);
    };
    sooner(next_write_);
    sooner(link_back_at_);
    sooner(control_back_at_);
    if (sweeping_)
        sooner(sweep_ends_);
    else
        sooner(runner_->next_sweep_at());
    if (!to_look_.empty()) sooner(to_look_.front().first);
    for (const auto& bundle : flying_)
        sooner(bundle.reported_at.value_or(bundle.applied_at.value_or(now_)));
    if (runner_->active() || !looking_up_.empty()) next = std::min(next, now_ + 2 * kSecond);
    return next;
}

void World::act() {
    const bool was_down = !control_up();
    now_ = std::max(next_tick(), now_ + kMillisecond);
    ++totals_.ticks;
    disturb();
    if (was_down && control_up()) boot(false);
    write();
    carry();
    if (control_up()) {
        sweep();
        turn();
    }
    judge();
}

void World::disturb() {
    if (now_ >= phase_ends_) change_phase();
    if (random_.chance(0.0015) && link_up()) {
        ++totals_.cuts;
        link_back_at_ = now_ + (random_.chance(0.2) ? within(600, 4 * 3600) : within(1, 600));
        for (auto& bundle : flying_) {  // nothing gets through; what is under way comes late
            const TimeNs late = link_back_at_ + rtt_ / 2 + within(0, 5);
            if (bundle.reported_at) bundle.reported_at = late;
            if (bundle.applied_at) bundle.applied_at = late;
        }
    }
    if (random_.chance(0.0005)) {  // the source's dataplane restarts: nobody knows what was under way
        flying_.clear();
        way_free_at_ = now_;
        trouble_at_ = now_;
        if (control_up()) runner_->on_dataplane_up({}, moment());
    }
    if (random_.chance(0.0005) && control_up()) control_back_at_ = now_ + within(0.1, 900);
    // Under `ordered` a clock that is set back leaves no order until it has caught up.
    if (!ordered() && random_.chance(0.001)) {
        ++totals_.clocks_set;
        const WallNs before = clock_->read(wall(), now_);
        const double far_s = random_.chance(0.3) ? 600 : 2;
        wall_set_ += static_cast<WallNs>((random_.unit() * 2 - 1) * far_s * 1e9);
        const WallNs after = clock_->read(wall(), now_);
        if (after > before) leaps_.emplace_back(after, static_cast<double>(after - before) / 1e9);
    }
    if (random_.chance(0.01)) static_cast<void>(runner_->release_deletes());
    if (random_.chance(0.01)) runner_->verify_start(moment());
}

void World::change_phase() {
    phase_ = static_cast<Phase>(random_.below(4));
    phase_ends_ = now_ + (phase_ == Phase::idle ? within(600, 6 * 3600) : within(60, 3600));
    if (phase_ == Phase::deletes)
        for (auto& [path, versions] : history_)
            if (random_.chance(0.8) && versions.back().state) versions.push_back({now_, std::nullopt});
    next_write_ = now_;
}

void World::write() {
    if (phase_ == Phase::idle || phase_ == Phase::deletes || now_ < next_write_) return;
    next_write_ = now_ + (phase_ == Phase::burst ? within(0.1, 10) : within(10, 300));
    auto next = std::next(history_.begin(), static_cast<std::ptrdiff_t>(random_.below(history_.size())));
    ++totals_.changes;
    if (random_.chance(0.15))
        next->second.push_back({now_, std::nullopt});
    else
        put(next->first);
}

void World::put(const std::string& path) {
    Observed state;
    state.print.size = random_.chance(0.05) ? 30'000 : random_.below(6000);  // the former travel in ranges
    state.print.mtime_ns = state.print.ctime_ns =
        static_cast<std::int64_t>(now_) + static_cast<std::int64_t>(inode_);
    state.print.inode = ++inode_;
    state.print.mode = 0644;
    history_.at(path).push_back({now_, state});
}

void World::sweep() {
    if (!sweeping_ && runner_->sweep_due(moment())) {
        state_->commit();
        static_cast<void>(runner_->begin_sweep(moment()));
        sweeping_ = true;
        clean_ = random_.chance(0.97);
        sweep_began_ = now_;
        sweep_ends_ = now_ + within(1, 30);
        rows_.clear();
        for (const auto& [path, versions] : history_) {
            rows_[path] = state_->object(1, path);  // as a read transaction sees it: stale by the end
            if (clean_ || random_.chance(0.5)) to_look_.emplace_back(now_ + within(0, 0.9), path);
        }
        const double stretch = static_cast<double>(sweep_ends_ - now_) / 1e9;
        for (auto& [at, path] : to_look_)
            at = now_ + static_cast<TimeNs>(static_cast<double>(at - now_) * stretch);
        std::sort(to_look_.begin(), to_look_.end());
    }
    for (; !to_look_.empty() && to_look_.front().first <= now_; to_look_.pop_front())
        look_at(to_look_.front().second);
    if (!sweeping_ || now_ < sweep_ends_ || !to_look_.empty()) return;
    sweeping_ = false;
    SweepResult result;
    result.clean = clean_;
    result.problem = clean_ ? "" : "not clean";
    runner_->end_sweep(result, moment());
}

void World::look_at(const std::string& path) {
    const auto& state = history_.at(path).back().state;
    const auto& row = rows_.at(path);
    if (difference(row ? &*row : nullptr, state ? &*state : nullptr) != Difference::none)
        runner_->found({observation(path)});
}

Observation World::observation(const std::string& path) const {
    const Version& now = history_.at(path).back();
    const TimeNs changed_by = now.state ? now.time : now_;  // of what is gone nobody knows when it went
    return {path, now.state, static_cast<WallNs>(changed_by) + kEpoch + wall_set_};
}

void World::turn() {
    if (!looking_up_.empty()) {
        std::vector<Observation> seen;
        for (const auto& path : looking_up_)
            seen.push_back(observation(path));
        looking_up_.clear();
        runner_->looked_up(std::move(seen));
    }
    runner_->tick(moment());
    looking_up_ = runner_->take_look_ups();
    state_->commit();
    while (runner_->compose(moment())) {
    }
    state_->commit();
    runner_->flush(moment());
}

Result<bool> World::bundle_offer(const command::BundleOfferMessage&, std::vector<std::uint8_t> head) {
    Flying bundle;
    bundle.manifest = wire::parse_manifest(head).value();
    for (const auto& entry : bundle.manifest.entries)
        bundle.read.push_back(read(entry));
    const auto takes =
        static_cast<TimeNs>(static_cast<double>(bundle.manifest.payload_bytes) / rate_Bps_ * 1e9);
    way_free_at_ = std::max({way_free_at_, now_, link_back_at_}) + takes;
    bundle.applied_at = way_free_at_ + rtt_ / 2;
    flying_.push_back(std::move(bundle));
    return true;
}

// At most one step of each bundle a tick: it is applied, and half a round trip later that is known here. One that is
// published in order waits for the one before it.
void World::carry() {
    if (!link_up()) return;
    bool any = true;
    while (std::exchange(any, false)) {
        for (auto& bundle : flying_) {
            if (!bundle.applied_at || now_ < *bundle.applied_at || !has_its_turn(bundle)) continue;
            any = true;
            bundle.applied_at.reset();
            bundle.reported_at = now_ + rtt_ / 2;
            bundle.event.id = bundle.manifest.id;
            bundle.event.generation = bundle.manifest.generation;
            if (bundle.event.stage != wire::Stage::failed) apply(bundle);
        }
    }
    if (!control_up()) return;  // the dataplane keeps it until it is asked
    for (std::size_t i = 0; i < flying_.size();) {
        if (!flying_[i].reported_at || now_ < *flying_[i].reported_at) {
            ++i;
            continue;
        }
        Flying done = std::move(flying_[i]);
        flying_.erase(flying_.begin() + static_cast<std::ptrdiff_t>(i));
        report(done);
    }
}

// False: something before it is still under way. What comes too late, or waits in vain, is sent back.
bool World::has_its_turn(Flying& bundle) {
    const auto& place = bundle.manifest.place;
    if (bundle.manifest.publish != wire::PublishRule::in_order || wire::follows(place, door_)) return true;
    if (place > door_ && now_ < *bundle.applied_at + PublishOrder::kGapPatience_ns) return false;
    bundle.event.stage = wire::Stage::failed;
    bundle.event.reason = FailReason::superseded;
    return true;
}

void World::apply(Flying& bundle) {
    bundle.event.stage = wire::Stage::published;
    const bool in_order = bundle.manifest.publish == wire::PublishRule::in_order;
    bool stopped = false;
    for (std::uint32_t i = 0; i < bundle.manifest.entries.size(); ++i) {
        const auto& entry = bundle.manifest.entries[i];
        // What cannot be read back is as good as lost; here nothing is.
        const auto trouble = entry.kind == EntryKind::verify ? FailReason::limit : FailReason::target_io;
        auto reason = random_.chance(0.01) ? trouble : FailReason::none;
        if (stopped) reason = FailReason::cancelled;
        if (reason == FailReason::none) reason = apply(entry, bundle.read[i]);
        if (reason == FailReason::none) continue;
        ++bundle.event.failed_entries;
        bundle.event.failures.push_back({i, reason});
        const bool passed_over = reason == FailReason::source_changed ||
                                 reason == FailReason::source_vanished || entry.kind == EntryKind::remove;
        stopped = stopped || (in_order && !passed_over);
    }
    if (!in_order || stopped) return;
    door_ = bundle.manifest.place;
    ++totals_.in_order;
}

void World::report(Flying& bundle) {
    if (bundle.event.stage == wire::Stage::failed) {
        static_cast<void>(runner_->on_bundle(bundle.event, moment()));
        return;
    }
    for (const auto stage : {wire::Stage::complete, wire::Stage::durable, wire::Stage::published}) {
        bundle.event.stage = stage;
        if (stage == wire::Stage::published || bundle.event.failed_entries == 0)
            static_cast<void>(runner_->on_bundle(bundle.event, moment()));
    }
}

FailReason World::read(const wire::Entry& entry) const {
    const bool reads =
        entry.kind == EntryKind::file || entry.kind == EntryKind::range || entry.kind == EntryKind::verify;
    if (!reads) return FailReason::none;
    const auto& state = history_.at(entry.path).back().state;
    if (!state) return FailReason::source_vanished;
    return state->print.ctime_ns == entry.ctime_ns ? FailReason::none : FailReason::source_changed;
}

FailReason World::apply(const wire::Entry& entry, FailReason read_as) {
    switch (entry.kind) {
        case EntryKind::mark:
            targets_->on_mark(store_, entry.mtime_ns, target_wall());
            return FailReason::none;
        case EntryKind::remove:
            target_.erase(entry.path);
            return FailReason::none;
        case EntryKind::assemble: {
            std::uint64_t held = 0;
            for (const auto& [offset, size] : staged_[entry.object])
                held += size;
            if (held != entry.size) return FailReason::staging_missing;
            staged_.erase(entry.object);
            break;
        }
        case EntryKind::range:
            if (read_as == FailReason::none) staged_[entry.object][entry.file_offset] = entry.size;
            return read_as;
        case EntryKind::verify: {
            if (read_as != FailReason::none) return read_as;
            const auto there = target_.find(entry.path);
            if (there == target_.end()) return FailReason::target_missing;
            return there->second == entry.ctime_ns ? FailReason::none : FailReason::integrity;
        }
        default:
            if (read_as != FailReason::none) return read_as;
    }
    target_[entry.path] = entry.ctime_ns;
    return FailReason::none;
}

}  // namespace longhaul::control::sim
