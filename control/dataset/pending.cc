// Moving changes between lists while the counters that watermarks hang on stay exact.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/pending.h"

#include <algorithm>

#include "control/capture/tree.h"
#include "dataplane/base/assert.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kChainMax = 64;
// Its places in the indices and in the queue, and what the allocator adds: measured with a million changes (bench control).
constexpr std::size_t kBytesAround = 160;

std::uint32_t bytes_of(const Change& change) {
    std::size_t bytes = sizeof(Change) + kBytesAround + 2 * change.path.size();  // the queue has it once more
    for (const auto* text : {change.link.get(), change.attributes.get()})
        if (text != nullptr) bytes += sizeof(*text) + text->size();
    if (change.holes) bytes += sizeof(*change.holes) + change.holes->size() * sizeof(RangeRecord);
    return static_cast<std::uint32_t>(bytes);
}

// Of a file that only got a name or a mode the ctime is young because of that: a write would show in its mtime.
bool next_write_may_hide(const Change& change) {
    if (change.print.kind != ObjectKind::file) return false;
    const bool bytes_sent = change.action == Action::create && !change.link_to;
    return bytes_sent || change.print.ctime_ns - change.print.mtime_ns < kRacyNs;
}

}  // namespace

Place Pending::place_of(const Change& change) {
    switch (change.action) {
        case Action::remove:
            return Place::removes;
        case Action::settle:
            return Place::settles;
        case Action::create:
        case Action::metadata:
            break;
    }
    return change.print.kind == ObjectKind::directory ? Place::directories : Place::objects;
}

std::uint64_t Pending::weight(const Change& change) {
    const bool carries = change.action == Action::create && change.print.kind == ObjectKind::file;
    return carries && !change.durable ? change.print.size : 0;
}

void Pending::weigh(const Change& change, bool in) {
    const std::uint64_t bytes = weight(change);
    if (bytes == 0) return;
    if (in) {
        undurable_bytes_ += bytes;
        bytes_by_sweep_[change.first] += bytes;
        return;
    }
    undurable_bytes_ -= bytes;
    const auto sweep = bytes_by_sweep_.find(change.first);
    LH_ASSERT(sweep != bytes_by_sweep_.end());
    if ((sweep->second -= bytes) == 0) bytes_by_sweep_.erase(sweep);
}

// Those of a file system that tells no birth times are never the same as another.
bool Pending::has_file(const Change& change) {
    const bool stands_there = change.action == Action::create || change.action == Action::metadata;
    return stands_there && change.print.kind == ObjectKind::file && change.print.birth_ns != 0;
}

void Pending::forget_file(const Change& change) {
    if (!has_file(change)) return;
    auto [next, end] = files_.equal_range(change.print.inode);
    while (next != end && next->second != &change)
        ++next;
    LH_ASSERT(next != end);
    files_.erase(next);
}

template <typename Wanted>
const Change* Pending::same_file(const Fingerprint& print, std::string_view path, Wanted wanted) const {
    const auto [from, to] = files_.equal_range(print.inode);
    for (auto next = from; next != to; ++next) {
        const Change& other = *next->second;
        if (other.path != path && control::same_file(other.print, print) && wanted(other)) return &other;
    }
    return nullptr;
}

const Change* Pending::heir_of(const Fingerprint& print, std::string_view path) const {
    return same_file(print, path, [](const Change& other) { return other.action == Action::create; });
}

const Change* Pending::giver_of(const Fingerprint& print, std::string_view path) const {
    return same_file(print, path, [](const Change& other) {
        return other.place == Place::in_flight || other.place == Place::large;
    });
}

bool Pending::will_come(const std::string& path, const std::string& asking) const {
    const std::string* at = &path;
    for (std::size_t steps = 0; steps < kChainMax; ++steps) {
        const auto next = waits_for_.find(*at);
        if (next == waits_for_.end()) {
            const auto last = index_.find(*at);
            return last == index_.end() || last->second->place != Place::backoff;
        }
        if (next->second == asking) return false;
        at = &next->second;
    }
    return false;
}

void Pending::count_in(const Change& change) {
    bytes_ += change.bytes;
    bytes_of_all_ += change.bytes;
    ledger_.unpublished.add(change.first);
    if (!change.arrived) ledger_.unarrived.add(change.first);
    if (!change.durable) ledger_.undurable.add(change.first);
    if (change.action != Action::settle) main_.add(change.first);
    if (change.action == Action::remove) {
        ++removes_under_[std::string(parent_of(change.path))];
        ++removes_;
    }
    if (has_file(change)) files_.emplace(change.print.inode, &change);
    weigh(change, true);
}

void Pending::count_out(const Change& change) {
    bytes_ -= change.bytes;
    bytes_of_all_ -= change.bytes;
    ledger_.unpublished.remove(change.first);
    if (!change.arrived) ledger_.unarrived.remove(change.first);
    if (!change.durable) ledger_.undurable.remove(change.first);
    if (change.action != Action::settle) main_.remove(change.first);
    forget_file(change);
    weigh(change, false);
    if (change.action != Action::remove) return;
    --removes_;
    const std::string parent(parent_of(change.path));
    const auto count = removes_under_.find(parent);
    LH_ASSERT(count != removes_under_.end());
    if (--count->second > 0) return;
    removes_under_.erase(count);
    wake(parent);
}

void Change::describe(const Observed& now) {
    print = now.print;
    racy = now.racy;
    link = now.link.empty() ? nullptr : std::make_unique<std::string>(now.link);
    attributes = now.attributes.empty() ? nullptr : std::make_unique<std::string>(now.attributes);
    holes = now.holes.empty() ? nullptr : std::make_unique<std::vector<RangeRecord>>(now.holes);
}

// A directory must take its content before it may become read-only; a racy file is sent once more by the next sweep.
Fingerprint Change::print_at_target() const {
    Fingerprint as = print;
    if (action == Action::create && as.kind == ObjectKind::directory) as.mode |= 0700;
    if (racy && next_write_may_hide(*this))
        as.ctime_ns = 0;
    else if (racy)
        as.attributes = as.attributes == 0 ? kAttributesUnknown : kAttributesInDoubt;
    return as;
}

Pending::List& Pending::list_of(const Change& change) {
    if (change.place != Place::waiting) return list(change.place);
    const auto found = waiting_.find(waits_for_.at(change.path));
    LH_ASSERT(found != waiting_.end());
    return found->second;
}

std::optional<Pending::Handle> Pending::find(std::string_view path) {
    const auto found = index_.find(path);
    if (found == index_.end()) return std::nullopt;
    return found->second;
}

Pending::Handle Pending::insert(Change change) {
    change.place = place_of(change);
    change.bytes = bytes_of(change);
    List& into = list(change.place);
    // Sweeps find a directory before its content; removals have to go the other way round.
    const Handle handle =
        into.insert(change.action == Action::remove ? into.begin() : into.end(), std::move(change));
    index_.emplace(handle->path, handle);
    count_in(*handle);
    return handle;
}

// Bundles overtake each other: a name that is made after its directory was removed brings that back, and nobody knows.
void Pending::count_flying_creates(const Change& change, Place place) {
    if (change.action != Action::create || (change.place == Place::in_flight) == (place == Place::in_flight))
        return;
    const std::string parent(parent_of(change.path));
    if (place == Place::in_flight) {
        ++creates_flying_[parent];
    } else if (--creates_flying_.at(parent) == 0) {
        creates_flying_.erase(parent);
        wake(parent);
    }
}

void Pending::move(Handle handle, Place place) {
    LH_ASSERT(place != Place::waiting);
    count_flying_creates(*handle, place);
    if (handle->action == Action::remove &&
        (handle->place == Place::in_flight) != (place == Place::in_flight)) {
        const std::string parent(parent_of(handle->path));
        if (place == Place::in_flight)
            ++removes_flying_[parent];
        else if (--removes_flying_.at(parent) == 0)
            removes_flying_.erase(parent);
    }
    if (handle->action != Action::settle) {
        if (handle->place == Place::in_flight) --main_in_flight_;
        if (place == Place::in_flight) ++main_in_flight_;
    }
    List& from = list_of(*handle);
    List& to = list(place);
    to.splice(to.end(), from, handle);
    if (handle->place == Place::waiting) {
        const auto waited = waits_for_.find(handle->path);
        if (const auto empty = waiting_.find(waited->second); empty->second.empty()) waiting_.erase(empty);
        waits_for_.erase(waited);
    }
    handle->place = place;
}

void Pending::ready(Handle handle) {
    move(handle, place_of(*handle));
    List& list_now = list(handle->place);
    list_now.splice(list_now.begin(), list_now, handle);
}

void Pending::erase(Handle handle) {
    move(handle, Place::backoff);  // out of any list that counts
    count_out(*handle);
    const std::string path = handle->path;
    index_.erase(handle->path);
    list(Place::backoff).erase(handle);
    wake(path);
}

void Pending::replace(Handle handle, Action action, const Observed* now) {
    LH_ASSERT(handle->place != Place::in_flight);
    move(handle, Place::backoff);
    count_out(*handle);
    handle->action = action;
    handle->arrived = handle->durable = handle->assemble = handle->asked = handle->as_bytes = handle->moved =
        handle->unsettled = handle->unheard_of = false;
    handle->link_to.reset();
    handle->known = true;
    if (now != nullptr) handle->describe(*now);
    handle->bytes = bytes_of(*handle);
    count_in(*handle);
    ready(handle);
    wake(handle->path);
}

void Pending::back_off(Handle handle, TimeNs until) {
    move(handle, Place::backoff);
    // Who waits for somebody that now waits for a failure may decide anew (will_come).
    if (const auto behind = waiting_.find(handle->path); behind != waiting_.end())
        for (const Change& change : behind->second)
            wake(change.path);
    due_.emplace(until, handle->path);
}

void Pending::release_due(TimeNs now) {
    while (!due_.empty() && due_.top().first <= now) {
        // Whoever has left the list since is not touched: its own news has moved it.
        if (auto handle = find(due_.top().second); handle && (*handle)->place == Place::backoff) {
            move(*handle, place_of(**handle));
        }
        due_.pop();
    }
}

void Pending::set_arrived(Handle handle) {
    if (handle->arrived) return;
    handle->arrived = true;
    ledger_.unarrived.remove(handle->first);
}

void Pending::set_durable(Handle handle, bool durable) {
    if (durable) {
        set_arrived(handle);
    } else if (handle->arrived) {
        handle->arrived = false;
        ledger_.unarrived.add(handle->first);
    }
    if (handle->durable == durable) return;
    weigh(*handle, false);
    handle->durable = durable;
    weigh(*handle, true);
    if (durable)
        ledger_.undurable.remove(handle->first);
    else
        ledger_.undurable.add(handle->first);
}

void Pending::set_first(Handle handle, SweepNumber first) {
    if (first >= handle->first) return;
    count_out(*handle);
    handle->first = first;
    count_in(*handle);
}

void Pending::begin_draft() {
    ++draft_;
    removes_drafted_.clear();
}

void Pending::take(Handle handle) {
    move(handle, Place::in_flight);
    handle->draft = draft_;
    if (handle->action == Action::remove) ++removes_drafted_[std::string(parent_of(handle->path))];
}

std::optional<std::string> Pending::obstacle(const Change& change) {
    if (change.action == Action::remove) {
        if (creates_flying_.contains(change.path)) return change.path;
        const auto under = removes_under_.find(change.path);
        if (under == removes_under_.end()) return std::nullopt;
        const auto drafted = removes_drafted_.find(change.path);
        if (drafted != removes_drafted_.end() && drafted->second == under->second) return std::nullopt;
        return change.path;
    }
    if (change.action != Action::create) return std::nullopt;
    const auto parent = find(parent_of(change.path));
    if (!parent) return std::nullopt;
    const Change& above = **parent;
    if (above.action == Action::settle || above.action == Action::metadata) return std::nullopt;
    const bool travels_along =
        above.action == Action::create && above.place == Place::in_flight && above.draft == draft_;
    if (travels_along) return std::nullopt;
    return above.path;
}

void Pending::wait_for(Handle handle, const std::string& path) {
    LH_ASSERT(handle->place != Place::waiting && handle->place != Place::in_flight);
    List& from = list_of(*handle);
    List& to = waiting_[path];
    to.splice(to.end(), from, handle);
    waits_for_.emplace(handle->path, path);
    handle->place = Place::waiting;
}

void Pending::wake(std::string_view path) {
    const auto found = waiting_.find(std::string(path));
    if (found == waiting_.end()) return;
    List woken = std::move(found->second);
    waiting_.erase(found);
    while (!woken.empty()) {
        const Handle handle = woken.begin();
        waits_for_.erase(handle->path);
        handle->place = place_of(*handle);
        List& to = list(handle->place);
        to.splice(to.end(), woken, handle);
    }
}

bool Pending::flies_into(const std::string& directory) const {
    return creates_flying_.contains(directory) || removes_flying_.contains(directory);
}

bool Pending::removals_wait_under(const std::string& directory) const {
    const auto all = removes_under_.find(directory);
    if (all == removes_under_.end()) return false;
    const auto flying = removes_flying_.find(directory);
    return flying == removes_flying_.end() || flying->second < all->second;
}

bool Pending::main_active() const {
    return main_in_flight_ > 0 || !list(Place::directories).empty() || !list(Place::objects).empty() ||
           !list(Place::removes).empty() || !list(Place::large).empty();
}

bool Pending::settle_may_go(const Change& change) const {
    // Under constant change there is always something active. Then it is enough that nothing as old is
    // pending, or the watermark would wait for a pause that never comes.
    const auto oldest = main_.oldest();
    return !main_active() || (oldest && *oldest > change.first);
}

const Change* Pending::oldest() const {
    const Change* found = nullptr;
    for (const auto& listed : lists_) {
        if (!listed.empty() && (found == nullptr || listed.front().first < found->first))
            found = &listed.front();
    }
    return found;
}

}  // namespace longhaul::control
