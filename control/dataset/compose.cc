// From pending changes to bundles: what travels together, and where its bytes lie in the payload.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/dataset/draft.h"
#include "control/dataset/runner.h"
#include "dataplane/base/assert.h"

namespace longhaul::control {

namespace {

constexpr std::uint64_t kMebibyte = 1u << 20;
constexpr double kBundleSeconds = 0.1;  // LIFE_OF_A_BUNDLE: 50-100 ms of the flow's rate
// What may be open beyond two round trips: enough for a slow disk, little enough that a link slower than it was
// taken for still shares what it carries as assigned.
constexpr double kOpenSeconds = 2;
constexpr std::uint64_t kOpenBundlesMin = 2;
constexpr std::size_t kUnofferedMax = 8;
constexpr std::size_t kMarksOpenMax = 2;
constexpr std::size_t kHeadRoom = 3u << 20;   // below wire::kHeadBytesMax
constexpr std::size_t kEntryHeadBytes = 128;  // more than any entry's fixed part

constexpr std::uint64_t aligned(std::uint64_t offset) {
    return (offset + wire::kDirectAlignment - 1) / wire::kDirectAlignment * wire::kDirectAlignment;
}

std::uint64_t place_in_payload(std::uint64_t payload, std::uint64_t size) {
    return size >= wire::kDirectBytesMin ? aligned(payload) : payload;
}

bool carries_payload(const Change& change) {
    return change.action == Action::create && change.print.kind == ObjectKind::file && !change.assemble &&
           !change.link_to;
}

wire::EntryKind entry_kind(const Change& change) {
    switch (change.action) {
        case Action::metadata:
            return wire::EntryKind::metadata;
        case Action::remove:
            return wire::EntryKind::remove;
        case Action::settle:
            return wire::EntryKind::directory;
        case Action::create:
            break;
    }
    if (change.assemble) return wire::EntryKind::assemble;
    if (change.link_to) return wire::EntryKind::link;
    if (change.print.kind == ObjectKind::directory) return wire::EntryKind::directory;
    return change.print.kind == ObjectKind::symlink ? wire::EntryKind::symlink : wire::EntryKind::file;
}

EntryNote note_of(const Change& change) {
    return {change.print.inode,
            change.first,
            change.racy,
            change.print.kind,
            static_cast<std::uint8_t>(change.action),
            change.print.birth_ns,
            change.print.names};
}

wire::Entry entry_of(const Change& change) {
    wire::Entry entry;
    entry.kind = entry_kind(change);
    entry.path = change.path;
    if (change.action == Action::remove) return entry;
    entry.mode = change.print.mode;
    entry.uid = change.print.uid;
    entry.gid = change.print.gid;
    entry.mtime_ns = change.print.mtime_ns;
    entry.ctime_ns = change.print.ctime_ns;
    if (change.print.kind == ObjectKind::file) entry.size = change.print.size;
    if (entry.kind == wire::EntryKind::symlink && change.link) entry.target = *change.link;
    if (entry.kind == wire::EntryKind::link) entry.target = *change.link_to;
    if (change.attributes) entry.attributes = *change.attributes;
    // A directory must take its content before it may become read-only: settling brings the true mode.
    if (change.action == Action::create && entry.kind == wire::EntryKind::directory) entry.mode |= 0700;
    return entry;
}

}  // namespace

bool Runner::Open::is_mark() const {
    return manifest.entries.size() == 1 && manifest.entries[0].kind == wire::EntryKind::mark;
}
bool Runner::Open::is_range() const {
    return !manifest.entries.empty() && manifest.entries[0].kind == wire::EntryKind::range;
}

std::uint64_t Runner::bundle_bound() const {
    const auto by_rate = static_cast<std::uint64_t>(static_cast<double>(flow_.rate_bps) / 8 * kBundleSeconds);
    const auto bound =
        std::min({config_.bundle_bytes_max, std::max(kMebibyte, by_rate), wire::kPayloadBytesMax});
    return std::max(bound / wire::kDirectAlignment * wire::kDirectAlignment, wire::kDirectAlignment);
}

bool Runner::may_compose() const {
    return flow_.assigned && connected_ && store_open_ && to_offer_.size() < kUnofferedMax;
}

std::uint64_t Runner::open_bound() const {
    const double seconds = kOpenSeconds + 2 * flow_.link.rtt_s;
    const auto by_rate = static_cast<std::uint64_t>(static_cast<double>(flow_.rate_bps) / 8 * seconds);
    return std::max(by_rate, kOpenBundlesMin * bundle_bound());
}

bool Runner::compose(Moment now) {
    if (!may_compose()) return false;
    if (compose_mark(now)) return true;
    if (!pace_.may_send(now.steady)) return false;
    if (verify_earned() && compose_verify(now)) return true;
    if (bytes_open_ >= open_bound()) {
        // What is stuck on a link that was lost must not keep the flow from using the one it has now.
        std::uint64_t open_here = 0;
        for (const auto& [id, bundle] : open_)
            if (bundle.link == flow_.link.link) open_here += bundle.manifest.payload_bytes;
        if (open_here >= open_bound()) return false;
    }
    range_next_ = !range_next_;
    // Among the objects some may turn out to be large: their ranges need not wait for the next turn.
    if (range_next_ && compose_range(now)) return true;
    return compose_objects(now) || compose_range(now) || compose_verify(now);
}

bool Runner::compose_objects(Moment now) {
    if (ordered()) return compose_in_order(now);
    Draft draft;
    draft.bound = bundle_bound();
    draft.entries_max = std::min<std::size_t>({config_.bundle_entries_max, wire::kEntriesMax, entries_cap_});
    pending_.begin_draft();
    const bool room =
        fill(draft, Place::directories) && fill(draft, Place::objects) && fill(draft, Place::removes);
    const auto& settles = pending_.list(Place::settles);
    if (room && !settles.empty() && pending_.settle_may_go(settles.front())) fill(draft, Place::settles);
    if (draft.manifest.entries.empty()) return false;
    seal(std::move(draft), now);
    return true;
}

// Takes from the front of a list what may go and fits. False: the bundle is full.
bool Runner::fill(Draft& draft, Place place) {
    auto& list = pending_.list(place);
    for (auto next = list.begin(); next != list.end();) {
        const Pending::Handle change = next++;
        if (place == Place::settles && (!change->known || !pending_.settle_may_go(*change))) continue;
        if (change->action == Action::remove && !remove_may_go(*change)) continue;
        if (const auto path = pending_.obstacle(*change)) {
            pending_.wait_for(change, *path);
            continue;
        }
        if (const auto path = same_file_in_the_way(*change)) {
            pending_.wait_for(change, *path);
            continue;
        }
        choose_name(*change);
        if (becomes_large(change)) continue;
        if (!fits(draft, *change)) return false;
        add_entry(draft, *change);
        pending_.take(change);
    }
    return true;
}

// A removal that the running sweep has found waits for its end: only then is it known how many there are.
bool Runner::remove_may_go(const Change& change) const {
    return !delete_hold_.holds() && !(sweeping_ && change.found >= record_.sweeps);
}

bool Runner::fits(const Draft& draft, const Change& change) const {
    if (draft.manifest.entries.empty()) return true;
    if (draft.manifest.entries.size() >= draft.entries_max) return false;
    const std::size_t names = change.path.size() + (change.link ? change.link->size() : 0) +
                              (change.link_to ? change.link_to->size() : 0) +
                              (change.attributes ? change.attributes->size() : 0);
    if (draft.head_bytes + names + kEntryHeadBytes > kHeadRoom) return false;
    if (!carries_payload(change)) return true;
    return place_in_payload(draft.payload, change.print.size) + change.print.size <= draft.bound;
}

void Runner::add_entry(Draft& draft, const Change& change) {
    wire::Entry entry = entry_of(change);
    if (entry.kind == wire::EntryKind::file) {
        entry.payload_offset = place_in_payload(draft.payload, entry.size);
        draft.payload = entry.payload_offset + entry.size;
    }
    if (entry.kind == wire::EntryKind::assemble) {
        const Large& large = larges_.at(change.path);
        entry.object = large.key;
        entry.file_size = large.size - large.hole_bytes;
    }
    if (change.action == Action::create) know_parents(draft, change);
    if (change.action == Action::create && change.unheard_of)
        state_.object_first_offered(record_.id, change.path, change.print_at_target(),
                                    change.link ? *change.link : std::string());
    else if (change.action == Action::create)
        state_.object_offered(record_.id, change.path, change.print.kind);
    // Its outcome may never be heard of. Should the source be as recorded again by then, that must not count.
    if (!change.unheard_of) state_.object_in_doubt(record_.id, change.path);
    if (change.action == Action::remove) doubt_removed(change.path);
    draft.head_bytes += entry.path.size() + entry.target.size() + entry.attributes.size() + kEntryHeadBytes;
    draft.notes.push_back(note_of(change));
    draft.manifest.entries.push_back(std::move(entry));
}

// The target makes what a name stands in. Where that is recorded nowhere (it came and went before it was sent), it would
// stay there for good: it is recorded, and no watermark passes before the source has been asked.
void Runner::know_parents(Draft& draft, const Change& change) {
    std::string_view above = parent_of(change.path);
    if (above == draft.parent_known) return;
    draft.parent_known = above;
    for (; !above.empty() && !pending_.find(above) && !state_.object(record_.id, above);
         above = parent_of(above)) {
        state_.object_offered(record_.id, above, ObjectKind::directory);
        look_later(std::string(above), ObjectKind::directory, change.first);
    }
}

// Should it stand at the source again by the time that its removal comes true, unheard, it must be found missing. Not
// even a file's ctime tells: it stays the same when a directory above is renamed away and back.
void Runner::doubt_removed(const std::string& path) {
    const auto before = state_.object(record_.id, path);
    if (!before || !before->published) return;
    count_published(before, nullptr);
    state_.object_may_be_gone(record_.id, path);
}

// A file that no single bundle takes, or that has holes, goes to the list of those that travel in ranges. One whose ranges
// are all durable is assembled like any other object.
bool Runner::travels_in_ranges(const Change& change) const {
    return carries_payload(change) &&
           (change.print.size > bundle_bound() || change.holes || larges_.contains(change.path));
}

bool Runner::becomes_large(Pending::Handle change) {
    if (!travels_in_ranges(*change)) return false;
    const auto [large, fresh] = larges_.try_emplace(change->path);
    if (fresh) begin_large(*change, large->second);
    if (large->second.complete()) {
        change->assemble = true;
        return false;
    }
    pending_.move(change, Place::large);
    return true;
}

// Holes count as durable from the beginning, and are recorded as such: nobody else knows of them after a restart.
void Runner::begin_large(const Change& change, Large& large) {
    large.size = change.print.size;
    large.key = object_key(record_.spec.name, change.path, change.print);
    if (change.holes) {
        Intervals holes;
        for (const RangeRecord& hole : *change.holes)
            holes.add(hole.offset, hole.length);
        if (holes.covers(0, large.size)) {
            large.become_hollow();
        } else {
            for (const RangeRecord& hole : *change.holes)
                state_.range_put(record_.id, change.path, large.key, {hole.offset, hole.length, true});
        }
    }
    load_durable(change.path, large);
}

void Runner::load_durable(const std::string& path, Large& large) {
    if (large.key != kHollowObject)
        for (const auto& range : state_.ranges(record_.id, path, large.key))
            large.add_durable(range);
    large_durable_bytes_ += large.durable.total();
}

// The next stretches of one file, as many as a bundle takes: of a file without holes that is one.
bool Runner::compose_range(Moment now) {
    for (const auto& change : pending_.list(Place::large)) {
        auto& large = larges_.at(change.path);
        Draft draft;
        draft.bound = bundle_bound();
        while (add_range(draft, change, large)) {
        }
        if (draft.manifest.entries.empty()) continue;
        seal(std::move(draft), now);
        return true;
    }
    return false;
}

bool Runner::add_range(Draft& draft, const Change& change, Large& large) {
    const std::size_t entry_bytes =
        kEntryHeadBytes + change.path.size() + (change.attributes ? change.attributes->size() : 0);
    if (draft.manifest.entries.size() >= std::min<std::size_t>(config_.bundle_entries_max, entries_cap_) ||
        (!draft.manifest.entries.empty() && draft.head_bytes + entry_bytes > kHeadRoom))
        return false;
    const std::uint64_t from = aligned(draft.payload);
    if (from >= draft.bound) return false;
    const RangeRecord gap = large.taken.gap(large.size, draft.bound - from);
    if (gap.length == 0) return false;
    large.taken.add(gap.offset, gap.length);
    wire::Entry entry = entry_of(change);
    entry.kind = wire::EntryKind::range;
    entry.size = gap.length;
    entry.payload_offset = from;
    entry.file_offset = gap.offset;
    entry.file_size = large.size;
    entry.object = large.key;
    draft.payload = from + gap.length;
    draft.head_bytes += entry_bytes;
    draft.notes.push_back(note_of(change));
    draft.manifest.entries.push_back(std::move(entry));
    return true;
}

bool Runner::mark_wanted() const {
    const auto proven = ledger_.published();
    return proven && (!record_.watermarks.w_pub || *proven > *record_.watermarks.w_pub);
}

// Everything up to a sweep's start is published: the target is told so on the way that the data took. Its
// answer is the proof that moves W_pub, also when nothing has changed.
bool Runner::compose_mark(Moment now) {
    if (!mark_wanted() || marks_open_ >= kMarksOpenMax || now.steady < mark_retry_at_) return false;
    const WallNs watermark = *ledger_.published();
    if (mark_sent_ && watermark <= *mark_sent_) return false;
    mark_sent_ = watermark;
    raise(mark_highest_, watermark);
    ++marks_open_;
    Draft draft;
    wire::Entry entry;
    entry.kind = wire::EntryKind::mark;
    entry.mtime_ns = watermark;
    draft.notes.emplace_back();
    draft.manifest.entries.push_back(std::move(entry));
    seal(std::move(draft), now);
    return true;
}

// What is only compared changes nothing at the target: a process that does not know it cancels it, and compares again.
void Runner::remember(const Open& bundle) {
    if (bundle.is_verify()) return;
    state_.bundle_put({bundle.manifest.id, record_.id, bundle.link, bundle.manifest.generation,
                       bundle.offered_at, bundle.head, bundle.notes});
}

wire::BundleId Runner::seal(Draft&& draft, Moment now) {
    Open bundle;
    bundle.manifest = std::move(draft.manifest);
    bundle.manifest.id = make_id_();
    bundle.manifest.generation = 1;
    bundle.manifest.store = record_.target_store;
    bundle.manifest.payload_bytes = draft.payload;
    bundle.notes = std::move(draft.notes);
    bundle.link = flow_.link.link;
    bundle.order = next_order_++;
    bundle.offered_at = now.wall;
    auto head = write_manifest(bundle.manifest);
    LH_ASSERT(head.ok());  // paths were checked when they were found, sizes and places are chosen above
    bundle.head = std::move(head).value();
    const auto id = bundle.manifest.id;
    remember(bundle);
    bytes_open_ += draft.payload;
    earn_verify_credit(draft.payload);
    if (!bundle.is_mark()) pace_.spend(draft.payload + bundle.head.size());
    to_offer_.push_back(id);
    open_.emplace(id, std::move(bundle));
    return id;
}

void Runner::flush(Moment now) {
    if (!connected_) return;
    if (!to_ack_.empty() && ports_.bundle_ack(to_ack_)) to_ack_.clear();
    if (!flow_.assigned || !store_open_ || now.steady < offer_retry_at_) return;
    std::size_t offered = 0;
    for (; offered < to_offer_.size(); ++offered) {
        const auto found = open_.find(to_offer_[offered]);
        if (found == open_.end()) continue;  // given back meanwhile
        Open& bundle = found->second;
        bundle.link = flow_.link.link;
        const command::BundleOfferMessage offer{bundle.link, bundle.manifest.id, bundle.manifest.generation,
                                                static_cast<std::uint64_t>(record_.id)};
        const auto answer = ports_.bundle_offer(offer, bundle.head);
        if (!answer) {
            offer_problem_ = answer.error().text;
            offer_retry_at_ = now.steady + kSecond;
            break;
        }
        offer_problem_.clear();
        if (!answer.value()) {
            offer_retry_at_ = now.steady + 20 * kMillisecond;
            break;
        }
        if (!bundle.moving) ++stats_.bundles_offered;
        bundle.accepted = true;
        bundle.moving = false;
        bundle.head = {};
    }
    to_offer_.erase(to_offer_.begin(), to_offer_.begin() + static_cast<std::ptrdiff_t>(offered));
}

}  // namespace longhaul::control
