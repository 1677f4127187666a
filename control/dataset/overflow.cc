// Bounded memory: which changes a dataset lets go of when there is no room for more, and what that means for its epoch,
// its watermarks and the next sweep.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/overflow.h"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "control/dataset/runner.h"

namespace longhaul::control {

namespace {

// Of the memory for all datasets together one may always hold this part, however full it is: a giant starves nobody.
constexpr std::uint64_t kOwnPart = 16;

bool is_removal(const Change& change) {
    return change.action == Action::remove;
}

// Removals with the names that sort first, then the youngest of the others.
bool goes_before(const Pending::Handle& a, const Pending::Handle& b) {
    if (is_removal(*a) != is_removal(*b)) return is_removal(*a);
    if (is_removal(*a)) return a->path < b->path;
    return std::tie(a->changed_by_ns, a->path) > std::tie(b->changed_by_ns, b->path);
}

}  // namespace

bool Runner::memory_above(std::uint64_t bytes) const {
    return stats_.changes_bytes >= bytes && pending_.bytes() >= bytes / kOwnPart;
}

// Whether what was seen of a path may be taken in. A path that has a change already keeps it, unless it becomes a removal
// that has to be forgotten like those beneath it. Without an order all but removals are: who walks the tree
// waits meanwhile (wants_more), and what was found first goes as soon as there is a bundle to take it.
bool Runner::has_room_for(const std::string& path, bool removal, std::int64_t changed_by_ns,
                          const std::optional<Pending::Handle>& change) {
    const auto is_forgotten = [&] {  // it is of a part that has been let go of
        return removal ? !overflow_.may_hold(path) : ordered() && overflow_.is_behind(changed_by_ns, path);
    };
    if (change) return !removal || is_removal(**change) || overflow_.may_hold(path);
    if (is_forgotten()) return false;
    if (!memory_above(config_.changes_bytes_max)) {
        full_ = {};
        return true;
    }
    const bool made = make_room_for(path, removal, changed_by_ns) && !is_forgotten();
    return made || (!ordered() && !removal);
}

bool Runner::wants_more() const {
    return ordered() || !memory_above(config_.changes_bytes_max);
}

// Not what has its place in an epoch, is on its way, or has begun to arrive. Nothing but removals makes room for one.
std::vector<Pending::Handle> Runner::dispensable(bool only_removals) {
    std::vector<Pending::Handle> found;
    pending_.for_each_listed([&](Pending::Handle change) {
        if (change->action == Action::settle || change->cut_ns != 0 || change->promised) return;
        // Without an order what fails, or waits for an operator, stops nobody; the rest has its turn soon.
        const bool stays = only_removals || (!ordered() && change->place != Place::backoff);
        if (stays && !is_removal(*change)) return;
        if (change->place != Place::large && !news_.contains(change->path) && !larges_.contains(change->path))
            found.push_back(change);
    });
    return found;
}

// A quarter goes at a time, so that making room costs little for each. False: there is none, or whoever asks would be the
// first to go.
bool Runner::make_room_for(const std::string& path, bool removal, std::int64_t changed_by_ns) {
    if (removal ? full_.for_removals
                : std::tie(changed_by_ns, path) >= std::tie(full_.from_ns, full_.from_path))
        return false;
    auto candidates = dispensable(removal);
    const auto first = std::min_element(candidates.begin(), candidates.end(), goes_before);
    if (first == candidates.end()) {
        full_.for_removals = true;
        if (!removal) full_.from_ns = std::numeric_limits<std::int64_t>::min();
        return false;
    }
    const Change& youngest = **first;
    if (removal && path <= youngest.path) return false;
    if (!removal && ordered() && !is_removal(youngest) &&
        std::tie(changed_by_ns, path) >= std::tie(youngest.changed_by_ns, youngest.path)) {
        full_.from_ns = youngest.changed_by_ns;
        full_.from_path = youngest.path;
        return false;
    }
    const std::uint64_t each = pending_.bytes() / pending_.size();
    const std::uint64_t surplus =
        pending_.bytes() - std::min(pending_.bytes(), config_.changes_bytes_max) / 4 * 3;
    const auto count = static_cast<std::ptrdiff_t>(
        std::min<std::uint64_t>(surplus / each + 1, (candidates.size() + 1) / 2));  // something must stay
    std::nth_element(candidates.begin(), candidates.begin() + count - 1, candidates.end(), goes_before);
    for (const auto change : std::span(candidates).first(static_cast<std::size_t>(count)))
        let_go(change);
    return !memory_above(config_.changes_bytes_max);
}

void Runner::let_go(Pending::Handle change) {
    const bool carries = change->action == Action::create && change->print.kind == ObjectKind::file;
    const bool will_be_met = sweeping_ && change->seen < record_.sweeps;  // and counted then
    forget({change->first, is_removal(*change), change->changed_by_ns, carries ? change->print.size : 0,
            !will_be_met},
           change->path);
    if (is_removal(*change) && !change->moved) delete_hold_.unlisted(change->path);
    pending_.erase(change);
}

// No watermark passes what nobody remembers, and whatever is found from now on may be part of it.
void Runner::forget(const Forgotten& change, const std::string& path) {
    const auto before = overflow_.since();
    overflow_.add(change, path, record_.sweeps);
    if (before == overflow_.since()) return;
    if (before) ledger_.unseen.remove(*before);
    ledger_.unseen.add(*overflow_.since());
}

void Runner::forgotten_found() {
    const auto since = overflow_.since();
    if (!overflow_.made_good_by(record_.sweeps)) return;
    ledger_.unseen.remove(*since);
    delete_hold_.all_listed();
}

// What was forgotten is swept for when most of what was kept has gone. A source that cannot be read in full has its period:
// only a clean sweep makes good.
bool Runner::forgotten_may_return() const {
    return overflow_.since() && !memory_above(config_.changes_bytes_max / 4);
}

void Runner::sweep_for_forgotten(Moment now) {
    if (sweeping_ || !source_readable_ || !forgotten_may_return()) return;
    const auto took = static_cast<TimeNs>(sweep_took_s_ * 1e9);
    next_sweep_at_ =
        std::min(next_sweep_at_, std::max(sweep_ended_steady_ + std::max(kFollowUpMin, took), now.steady));
}

}  // namespace longhaul::control
