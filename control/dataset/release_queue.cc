// Few changes stand one by one; the many of an epoch in one sorted piece, which costs a tenth of the memory.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/release_queue.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "dataplane/base/assert.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kEpochMin = 256;  // of fewer every one is queued by itself: there are never many epochs
constexpr std::size_t kPieceBytes = 64u << 10;

static_assert(wire::kPathBytesMax <= std::numeric_limits<std::uint16_t>::max());

bool leaves_before(bool a_removes, std::int64_t a_changed, std::string_view a_path, bool b_removes,
                   std::int64_t b_changed, std::string_view b_path) {
    if (a_removes != b_removes) return b_removes;
    if (a_removes) return a_path > b_path;
    return std::tie(a_changed, a_path) < std::tie(b_changed, b_path);
}

}  // namespace

bool Release::operator<(const Release& other) const {
    if (cut_ns != other.cut_ns) return cut_ns < other.cut_ns;
    return leaves_before(removal, changed_by_ns, path, other.removal, other.changed_by_ns, other.path);
}

void ReleaseQueue::Epoch::add(bool removal, std::int64_t changed_by_ns, std::string_view path) {
    LH_ASSERT(path.size() <= wire::kPathBytesMax);
    if (paths_.empty() || paths_.back().size() + path.size() > kPieceBytes)
        paths_.emplace_back().reserve(kPieceBytes);
    std::string& piece = paths_.back();
    members_.push_back({changed_by_ns, static_cast<std::uint32_t>(paths_.size() - 1),
                        static_cast<std::uint32_t>(piece.size()), static_cast<std::uint16_t>(path.size()),
                        removal, false});
    piece += path;
}

bool ReleaseQueue::Epoch::before(const Member& a, const Member& b) const {
    return leaves_before(a.removal, a.changed_by_ns, path(a), b.removal, b.changed_by_ns, path(b));
}

void ReleaseQueue::Epoch::pass_erased() {
    while (next_ < members_.size() && members_[next_].erased)
        ++next_;
}

bool ReleaseQueue::epoch_is_first() const {
    if (epochs_.empty()) return false;
    if (single_.empty()) return true;
    const auto& [cut_ns, epoch] = *epochs_.begin();
    const Release& other = *single_.begin();
    if (cut_ns != other.cut_ns) return cut_ns < other.cut_ns;
    const auto& next = epoch.members_[epoch.next_];
    return leaves_before(next.removal, next.changed_by_ns, epoch.path(next), other.removal,
                         other.changed_by_ns, other.path);
}

std::size_t ReleaseQueue::size() const {
    std::size_t count = single_.size();
    for (const auto& [cut, epoch] : epochs_)
        count += epoch.members_.size() - epoch.next_;
    return count;
}

Release ReleaseQueue::front() const {
    if (!epoch_is_first()) return *single_.begin();
    const auto& [cut_ns, epoch] = *epochs_.begin();
    const auto& next = epoch.members_[epoch.next_];
    return {cut_ns, next.removal, next.changed_by_ns, std::string(epoch.path(next))};
}

void ReleaseQueue::pop_front() {
    if (!epoch_is_first()) {
        single_.erase(single_.begin());
        return;
    }
    Epoch& epoch = epochs_.begin()->second;
    ++epoch.next_;
    epoch.pass_erased();
    if (epoch.next_ == epoch.members_.size()) epochs_.erase(epochs_.begin());
}

void ReleaseQueue::insert(std::int64_t cut_ns, Epoch&& epoch) {
    if (epoch.size() < kEpochMin || epochs_.contains(cut_ns)) {
        for (const auto& member : epoch.members_)
            insert({cut_ns, member.removal, member.changed_by_ns, std::string(epoch.path(member))});
        return;
    }
    std::sort(epoch.members_.begin(), epoch.members_.end(),
              [&](const auto& a, const auto& b) { return epoch.before(a, b); });
    epoch.members_.shrink_to_fit();
    epochs_.emplace(cut_ns, std::move(epoch));
}

void ReleaseQueue::erase(const Release& release) {
    single_.erase(release);
    const auto found = epochs_.find(release.cut_ns);
    if (found == epochs_.end()) return;
    Epoch& epoch = found->second;
    const auto from = epoch.members_.begin() + static_cast<std::ptrdiff_t>(epoch.next_);
    const auto member = std::lower_bound(
        from, epoch.members_.end(), release, [&](const Epoch::Member& one, const Release& wanted) {
            return leaves_before(one.removal, one.changed_by_ns, epoch.path(one), wanted.removal,
                                 wanted.changed_by_ns, wanted.path);
        });
    const bool found_it = member != epoch.members_.end() &&
                          !leaves_before(release.removal, release.changed_by_ns, release.path,
                                         member->removal, member->changed_by_ns, epoch.path(*member));
    if (!found_it) return;
    member->erased = true;
    epoch.pass_erased();
    if (epoch.next_ == epoch.members_.size()) epochs_.erase(found);
}

}  // namespace longhaul::control
