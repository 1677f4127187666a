// Accepting a replica once and for all, opening its store again and again, raising its watermark.
// SPDX-License-Identifier: Apache-2.0
#include "control/publish/targets.h"

#include <openssl/rand.h>

#include "control/capture/tree.h"
#include "control/publish/placement.h"
#include "dataplane/base/assert.h"

namespace longhaul::control {

namespace {

std::string place_text(const wire::OrderPlace& place) {
    std::string text = "run ";
    text += std::to_string(place.run);
    text += ", number ";
    text += std::to_string(place.number);
    return text;
}

std::string violation_text(const command::OrderEvent& event) {
    std::string text = "bundle ";
    text += wire::to_string(event.id);
    text += " (";
    text += place_text(event.place);
    text += ") was to be published and does not follow what was published last (when it was staged: ";
    text += place_text(event.position);
    text +=
        "): refused, nothing was shown; its source sends it again. Report it: two parts disagree about the "
        "order";
    return text;
}

}  // namespace

Targets::Targets(StateStore& state, Ports& ports, WallNs now) : state_(state), ports_(ports) {
    for (auto& record : state_.targets()) {
        Entry entry;
        entry.heard_at = now;
        entry.record = std::move(record);
        targets_.emplace(entry.record.store, std::move(entry));
    }
}

std::uint64_t Targets::new_store_number() const {
    for (;;) {  // random, so that a store of a site that was set up anew never bears an old number
        std::uint64_t number = 0;
        LH_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof number) == 1);
        number >>= 1;  // SQLite's integers are signed
        if (number != 0 && !targets_.contains(number)) return number;
    }
}

Result<TargetAccepted> Targets::accept(const std::string& site, const DatasetSpec& spec,
                                       const std::string& directory,
                                       const std::vector<std::string>& sources_here, WallNs now) {
    for (auto& [store, entry] : targets_) {
        TargetRecord& record = entry.record;
        const bool same = record.site == site && record.dataset == spec.name;
        if (same && record.directory == directory) {
            record.rpo_target_s = spec.rpo_target_s;
            record.rescan_s = spec.rescan_s;
            state_.target_put(record);
            entry.open =
                false;  // asked for once more, because something failed: is it still the same directory?
            open_store(entry);
            if (connected_ && !entry.open) return Error{ErrorCode::unavailable, entry.problem};
            return TargetAccepted{store};
        }
        if (same)
            return Error{ErrorCode::already_exists,
                         "dataset " + spec.name + " of site " + site + " is already accepted in " +
                             shown_path(record.directory) + ": remove it first, or name that directory"};
        if (overlap(record.directory, directory))
            return Error{ErrorCode::already_exists, "directory " + shown_path(directory) + " overlaps " +
                                                        shown_path(record.directory) +
                                                        ", the replica of dataset " + record.dataset +
                                                        " of site " + record.site + ": choose another one"};
    }
    for (const auto& source : sources_here)
        if (overlap(source, directory))
            return Error{ErrorCode::invalid_argument,
                         "directory " + shown_path(directory) + " overlaps " + shown_path(source) +
                             ", the source of a dataset of this site: choose another one"};
    Entry entry;
    entry.record = {new_store_number(), site, spec.name,    directory, spec.rpo_target_s,
                    spec.rescan_s,      now,  std::nullopt, false};
    entry.heard_at = now;
    state_.target_put(entry.record);
    const auto store = entry.record.store;
    open_store(targets_.emplace(store, std::move(entry)).first->second);
    return TargetAccepted{store};
}

std::string Targets::directory_of(const std::string& site, const std::string& dataset) const {
    for (const auto& [store, entry] : targets_)
        if (entry.record.site == site && entry.record.dataset == dataset) return entry.record.directory;
    return {};
}

// Another replica of the same dataset stays: what releases the one before may come late.
Result<void> Targets::release(const std::string& site, const std::string& dataset, std::uint64_t store) {
    const auto found = targets_.find(store);
    const bool there = found != targets_.end() && found->second.record.site == site &&
                       found->second.record.dataset == dataset;
    if (!there)
        return Error{ErrorCode::not_found,
                     "dataset " + dataset + " of site " + site + " has no such replica here"};
    state_.target_remove(store);
    targets_.erase(found);
    return {};
}

void Targets::open_store(Entry& entry) {
    if (!connected_ || entry.open) return;
    auto& record = entry.record;
    const auto opened = ports_.store_open(record.store, record.directory, true, record.marked);
    entry.open = opened.ok();
    if (entry.open && !record.marked) {
        record.marked = true;
        state_.target_put(record);
    }
    entry.problem = opened ? std::string() : "the dataplane cannot open the store: " + opened.error().text;
}

void Targets::on_dataplane_up() {
    connected_ = true;
    retry_at_ = 0;
    for (auto& [store, entry] : targets_)
        entry.open = false;
    tick(0);
}

void Targets::on_dataplane_down() {
    connected_ = false;
    for (auto& [store, entry] : targets_)
        entry.order.forget();
}

void Targets::tick(TimeNs now) {
    for (auto& [store, entry] : targets_)
        publish_next(entry, now);
    if (now < retry_at_) return;
    bool all_open = true;
    for (auto& [store, entry] : targets_) {
        open_store(entry);
        all_open = all_open && entry.open;
    }
    if (!all_open) retry_at_ = now + kSecond;
}

void Targets::on_mark(std::uint64_t store, WallNs watermark, WallNs now) {
    const auto found = targets_.find(store);
    if (found == targets_.end()) return;
    Entry& entry = found->second;
    entry.heard_at = now;
    entry.unproven.clear();
    if (entry.record.w_pub && *entry.record.w_pub >= watermark) return;  // late or repeated
    entry.record.w_pub = watermark;
    state_.target_put(entry.record);
}

bool Targets::refuse_mark(std::uint64_t store, const std::string& why) {
    const auto found = targets_.find(store);
    if (found == targets_.end()) return false;
    const bool news = found->second.unproven.empty();
    found->second.unproven = why;
    return news;
}

std::string Targets::source_of(std::uint64_t store) const {
    const auto found = targets_.find(store);
    return found == targets_.end() ? std::string() : found->second.record.site;
}

std::string Targets::dataset_of(std::uint64_t store) const {
    const auto found = targets_.find(store);
    return found == targets_.end() ? std::string() : found->second.record.dataset;
}

void use_clock(TargetView& target, const PeerClock* clock, WallNs now) {
    target.facts.clock_uncertainty_s.reset();
    if (clock == nullptr || !clock->best()) return;
    target.facts.clock_offset_ns = clock->best()->offset_ns;
    target.facts.clock_uncertainty_s = clock->best()->uncertainty_s(now);
    target.facts.clock_problem = clock->problem(now);
    if (target.facts.unproven.empty()) target.facts.unproven = clock->undated(target.heard_at, now);
}

RpoView judge_at_target(const TargetView& target, WallNs now) {
    RpoView view = target.rpo;
    RpoFacts facts = target.facts;
    const double silence_s = static_cast<double>(now - target.heard_at) / 1e9;
    facts.work_waits = silence_s > mark_silence_s(view.rescan_s);
    facts.moved_at = target.heard_at;
    judge(facts, now, view);
    view.limited_by = facts.obstacle.empty() ? facts.unproven : facts.obstacle;
    if (view.limited_by.empty() && facts.work_waits)
        view.limited_by = "no watermark has arrived for " +
                          std::to_string(static_cast<std::int64_t>(silence_s)) +
                          " s: the link or the source is down";
    return view;
}

std::string Targets::on_order(const command::OrderEvent& event, TimeNs now) {
    std::string violation;
    if (event.state == command::OrderState::refused) {
        ++order_violations_;
        violation = violation_text(event);
    }
    const auto found = targets_.find(event.store);
    if (found == targets_.end()) {  // released meanwhile: nobody waits for it
        if (event.state == command::OrderState::staged)
            static_cast<void>(ports_.order_settle(event.link, event.id, event.generation, false).ok());
        return violation;
    }
    found->second.order.on_event(event, now);
    publish_next(found->second, now);
    return violation;
}

void Targets::publish_next(Entry& entry, TimeNs now) {
    entry.order.step(now, [this](const command::OrderEvent& bundle, bool publish) {
        return ports_.order_settle(bundle.link, bundle.id, bundle.generation, publish);
    });
}

std::vector<TargetView> Targets::views() const {
    std::vector<TargetView> views;
    for (const auto& [store, entry] : targets_) {
        TargetView view;
        view.heard_at = entry.heard_at;
        view.source_site = entry.record.site;
        view.store = store;
        view.facts.unproven = entry.unproven;
        view.facts.seeding_since = entry.record.accepted;
        view.facts.watermarks.w_pub = entry.record.w_pub;
        view.facts.rpo_target_s = entry.record.rpo_target_s;
        view.rpo.dataset = entry.record.dataset;
        view.rpo.site = entry.record.site;
        view.rpo.role = "target";
        view.rpo.rescan_s = entry.record.rescan_s;
        view.rpo.eta_reason = "only the source knows what is pending";
        view.rpo.time_to_breach_reason = view.rpo.eta_reason;
        view.rpo.proof_interval_s = entry.record.rescan_s;
        view.facts.obstacle = connected_ ? entry.problem : "the dataplane is not connected";
        if (view.facts.obstacle.empty() && entry.order.waits_for_gap())
            view.facts.obstacle = std::to_string(entry.order.staged()) +
                                  " bundles are staged and wait for the one before them in their order";
        views.push_back(std::move(view));
    }
    return views;
}

}  // namespace longhaul::control
