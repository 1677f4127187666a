// Once a second every view is judged as an operator would see it: for the SLO, the alarms, the ledger. And what
// other sites' controls say about clocks and replicas is held against what is known here.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

#include "control/dataset/core_loop.h"

namespace longhaul::control {

namespace {

constexpr TimeNs kSampleEvery = kSecond;
constexpr TimeNs kClockStoredEvery = 60 * kSecond;
constexpr std::size_t kClaimsMax = 10'000;
constexpr WallNs kClockMoved = 10'000'000;

Verdict verdict_of(const RpoView& view) {
    if (view.state == "SEEDING") return Verdict::seeding;
    return view.quality != "unknown" && view.within_target.value_or(false) ? Verdict::good : Verdict::missed;
}

}  // namespace

CoreLoop::Monitor& CoreLoop::monitor(const std::string& subject) {
    const auto found = monitors_.find(subject);
    if (found != monitors_.end()) return found->second;
    Monitor fresh{Slo(state_->slo_slots(subject)), Alarms(subject, state_->open_breach(subject)), {}, {}};
    return monitors_.emplace(subject, std::move(fresh)).first->second;
}

void CoreLoop::forget_monitor(const std::string& subject, Moment at) {
    monitors_.erase(subject);
    state_->watch_forget(subject, at.wall);
    breaches_changed_ = true;
}

void CoreLoop::sample(Moment at) {
    for (auto& [id, dataset] : datasets_)
        for (auto& event : dataset->runner.take_notices())
            record(std::move(event), at);
    if (at.steady < sample_at_) return;
    sample_at_ = at.steady + kSampleEvery;
    store_own_clock(at);
    for (auto& [id, dataset] : datasets_) {
        auto seen = dataset->runner.view(at);
        const auto subject = subject_of(dataset->runner.spec());
        add_monitored(subject, seen.facts, seen.dataset.rpo);
        judge_source(seen, at.wall, seen.dataset.rpo);
        sample(subject, seen.dataset.rpo, seen.facts.seeding_since, dataset->runner.take_published_counts(),
               at);
    }
    for (auto& target : targets_.views()) {
        add_clock(target, at.wall);
        const auto subject = subject_of(target);
        add_monitored(subject, target.facts, target.rpo);
        sample(subject, judge_target(target, at.wall), target.facts.seeding_since, {}, at);
    }
}

void CoreLoop::sample(const std::string& subject, const RpoView& view, std::optional<WallNs> seeding_since,
                      const ChangeCounts& counts, Moment at) {
    Monitor& one = monitor(subject);
    const bool unknown = view.quality == "unknown" && view.state != "SEEDING";
    if (!unknown)
        one.unknown_since.reset();
    else if (!one.unknown_since)
        one.unknown_since = at.wall;

    one.slo.sample(at.wall, verdict_of(view), view.rpo_lag_s, counts);
    one.shown = one.slo.view(at.wall);
    const auto changed = one.slo.take_changed();
    for (const auto& slot : changed)
        state_->slo_put(subject, slot);
    if (!changed.empty()) {
        const std::int64_t minute = at.wall / 60'000'000'000;
        state_->slo_forget_before(subject, 1, minute - Slo::kHour_min);
        state_->slo_forget_before(subject, 60, minute - Slo::kMonth_min - Slo::kHour_min);
    }
    for (auto& event : one.alarms.sample(view, seeding_since, at.wall))
        record(std::move(event), at);
    if (const auto breach = one.alarms.take_changed_breach()) {
        one.alarms.set_breach_id(state_->breach_put(*breach));
        breaches_changed_ = true;
    }
}

void CoreLoop::add_monitored(const std::string& subject, RpoFacts& facts, RpoView& view) {
    const auto found = monitors_.find(subject);
    if (found == monitors_.end()) return;
    facts.unknown_since = found->second.unknown_since;
    view.slo = found->second.shown;
}

void CoreLoop::add_clock(TargetView& target, WallNs at) const {
    const auto clock = clocks_.find(target.source_site);
    use_clock(target, clock == clocks_.end() ? nullptr : &clock->second, at);
}

// So that a restart within the same boot does not fall back to a wall that was set back meanwhile.
void CoreLoop::store_own_clock(Moment at) {
    const WallNs ahead = at.wall - static_cast<WallNs>(at.steady);
    if (config_.clock || std::abs(ahead - own_clock_stored_) < kClockMoved) return;
    own_clock_stored_ = ahead;
    state_->own_clock_put(kOwnClock, kOwnClock + boot_id_, {ahead, 0, at.wall});
}

void CoreLoop::note(Event event) {
    post([this, event = std::move(event)](Moment at) { record(event, at); });
}

void CoreLoop::record(Event event, Moment at) {
    event.at = at.wall;
    event.id = state_->event_add(event);
    spdlog::warn("{} {}{}{}: {}", event.kind, event.dataset, event.site.empty() ? "" : " at ", event.site,
                 event.text);
    recorded_.push_back(std::move(event));
}

void CoreLoop::show_recorded() {
    for (auto& event : recorded_)
        log_.append(std::move(event));
    recorded_.clear();
}

std::vector<Event> CoreLoop::events(std::uint64_t after, std::size_t most) {
    return log_.after(after, most);
}

bool CoreLoop::wait_for_event(std::uint64_t after, std::chrono::milliseconds patience) {
    return log_.wait_after(after, patience);
}

void CoreLoop::refuse_mark(std::uint64_t store, WallNs watermark, Moment at) {
    const std::string site = targets_.source_of(store);
    const std::string why =
        "site " + site + " sent a watermark that lies in the future of its own clock: refused";
    if (!targets_.refuse_mark(store, why)) return;
    Event event;
    event.kind = "PEER_REFUSED";
    event.dataset = targets_.dataset_of(store);
    event.site = config_.site;
    event.role = "target";
    event.who = "site:" + site;
    event.watermark = watermark;
    event.text = why;
    record(std::move(event), at);
}

void CoreLoop::order_violated(std::uint64_t store, std::string text, Moment at) {
    Event event;
    event.kind = "ORDER_VIOLATION";
    event.dataset = targets_.dataset_of(store);
    event.site = config_.site;
    event.role = "target";
    event.text = std::move(text);
    record(std::move(event), at);
}

void CoreLoop::on_peer(const std::string& site, const PeerReport& report) {
    if (report.received == 0 || report.claims.size() > kClaimsMax) return;  // of a version that does not tell
    post([this, site, report](Moment at) {
        if (const auto fresh = estimate_clock(report)) {
            clocks_[site].add(fresh.value());
            if (auto& next = clock_stored_at_[site]; at.steady >= next) {
                next = at.steady + kClockStoredEvery;
                state_->peer_clock_put(site, *clocks_[site].best());
            }
        }
        for (const auto& release : releases_)
            if (release.site == site) tell_of(release);
        for (auto& [id, dataset] : datasets_) {
            const auto& spec = dataset->runner.spec();
            if (spec.target.site != site) continue;
            std::optional<PeerReport::Claim> claim;
            for (const auto& one : report.claims)
                if (one.dataset == spec.name) claim = one;
            const auto refused = dataset->runner.target_claims(claim, report.asked);
            if (!refused) continue;
            Event event;
            event.kind = "PEER_REFUSED";
            event.dataset = spec.name;
            event.site = site;
            event.role = "source";
            event.who = "site:" + site;
            event.text = *refused;
            if (claim) event.watermark = claim->w_pub;
            record(std::move(event), at);
        }
    });
}

}  // namespace longhaul::control
