// From hints to looks: at single paths, beneath directories that came or went whole, and everywhere when sight was lost.
//
// Nothing here touches a watermark. What a look finds is observed as a sweep's findings are, and counts as first seen by
// the sweep under way or the next one, so no proof passes it.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/dataset/runner.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kScansMax = 256;

}  // namespace

bool Runner::wants_hints() const {
    // Until the first sweep has ended nobody knows which root it was that is looked beneath.
    const bool root_known = record_.root_device != 0 || record_.root_inode != 0;
    return root_known && look_ups_.size() < kLookUpsMax;
}

void Runner::hinted(Hints&& hints) {
    if (!hints.lost.empty()) sweep_soon();
    if (ordered()) {  // only a sweep proves what came before: a look at one path would only say that it has to wait
        if (!hints.paths.empty()) sweep_soon();
        return;
    }
    for (const auto& hint : hints.paths) {
        look_soon(hint.path);
        if (hint.whole) scan_soon(hint.path);
        // What it stands in has to be there first, and may be as new.
        for (std::string_view above = parent_of(hint.path); !above.empty(); above = parent_of(above)) {
            if (pending_.find(above) || state_.object(record_.id, above)) break;
            look_soon(std::string(above));
        }
    }
    if (scans_.size() <= kScansMax) return;
    scans_.clear();
    sweep_soon();
}

void Runner::look_soon(const std::string& path) {
    look_ups_.insert(path);
    if (!ordered()) hinted_.insert(path);
}

// One scan does for a directory and all beneath it.
void Runner::scan_soon(const std::string& path) {
    auto next = scans_.lower_bound(path);
    if (next != scans_.end() && *next == path) return;
    for (std::string_view above = parent_of(path); !above.empty(); above = parent_of(above))
        if (scans_.contains(std::string(above))) return;
    std::erase_if(scans_, [&](const std::string& other) { return is_beneath(other, path); });
    scans_.insert(path);
}

// A sweep may be wanted again as soon as it has ended. Half of the time at most goes into such sweeps.
void Runner::sweep_soon() {
    sweep_wanted_ = true;
    if (!sweeping_) next_sweep_at_ = std::min(next_sweep_at_, std::max(turn_at_, sweep_not_before_));
}

// A directory is recorded there, and it is not this one, or none is any more: its content came or went with it. True:
// what has gone is left to the scan, which finds its content too, and removes that first.
bool Runner::scan_instead(const Observation& seen) {
    const auto row = state_.object(record_.id, seen.path);
    if (!row || row->print.kind != ObjectKind::directory) return false;
    const bool is_directory = seen.now && seen.now->print.kind == ObjectKind::directory;
    if (is_directory && (!row->published || row->print.inode == seen.now->print.inode)) return false;
    scan_soon(seen.path);
    return !is_directory;
}

std::optional<SweepRequest> Runner::take_scan() {
    if (!scanning_.empty() || scans_.empty()) return std::nullopt;
    scanning_ = std::move(scans_.extract(scans_.begin()).value());
    scanning_since_ = seen_now();
    crossings_.begin_scan(scanning_);
    SweepRequest request;
    request.root = record_.spec.source.substr(std::string_view("posix:").size());
    request.state_path = state_.path();
    request.dataset = record_.id;
    request.root_before = {record_.root_device, record_.root_inode};
    request.beneath = scanning_;
    request.threads = config_.sweep_threads;
    return request;
}

void Runner::scanned(std::vector<Observation>&& observations) {
    if (outdated(scanning_since_)) return;
    for (const auto& seen : observations) {
        if (seen.content_unseen) continue;  // a scan proves nothing of what it did not find
        if (!crossings_.believed(Crossings::kScan, seen.path)) {
            look_soon(seen.path);
            continue;
        }
        observe(seen.path, seen.now, scanning_since_);
    }
}

void Runner::end_scan(const SweepResult& result) {
    const std::string directory = std::exchange(scanning_, {});
    if (outdated(scanning_since_)) scan_soon(directory);
    if (crossings_.end(Crossings::kScan) || !result.clean) sweep_soon();
}

}  // namespace longhaul::control
