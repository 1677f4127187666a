// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/verification.h"

#include <algorithm>

#include "control/state/state_store.h"
#include "dataplane/base/assert.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kPageObjects = 1024;
constexpr std::size_t kNameBytesMax = 2u << 20;  // of one draw: they have to fit into a head

// The smallest key behind it.
std::string key_after(const std::string& path) {
    return key_of_path(path) + '\0';
}

}  // namespace

Verification::Verification(VerificationRecord record)
    : record_(std::move(record)), draw_key_(record_.next_key), draw_offset_(record_.next_offset) {}

void Verification::start(WallNs now) {
    *this = Verification({});
    record_.started = now;
}

void Verification::stop(WallNs now) {
    if (running()) record_.ended = now;
}

bool Verification::Draw::room() const {
    return taken.empty() ||
           (taken.size() < entries_max_ && bytes_ < bytes_max_ && name_bytes_ < kNameBytesMax);
}

void Verification::Draw::take(Stretch&& stretch) {
    bytes_ += stretch.length;
    name_bytes_ += stretch.object.path.size() + stretch.object.link.size();
    taken.push_back(std::move(stretch));
}

void Verification::Draw::take_while_room(std::deque<Stretch>& from) {
    for (; !from.empty() && room(); from.pop_front())
        take(std::move(from.front()));
}

std::vector<Verification::Stretch> Verification::draw(std::size_t entries_max, std::uint64_t bytes_max,
                                                      const Page& page) {
    Draw draw(entries_max, bytes_max);
    draw.take_while_room(again_);
    if (!draw.taken.empty()) return std::move(draw.taken);
    Batch batch{draw_key_, draw_offset_, 0, {}};
    while (draw.room()) {
        if (page_.empty() && !drawn_all_) {
            auto objects = page(draw_key_, kPageObjects);
            drawn_all_ = objects.size() < kPageObjects;
            page_.assign(std::make_move_iterator(objects.begin()), std::make_move_iterator(objects.end()));
            // The file that was begun has gone, or is shorter by now.
            const bool begun = !page_.empty() && key_of_path(page_.front().path) == draw_key_;
            if (!begun || draw_offset_ >= page_.front().bytes()) draw_offset_ = 0;
        }
        if (page_.empty()) break;
        const PublishedObject& object = page_.front();
        Stretch stretch{object, draw_offset_, std::min(object.bytes() - draw_offset_, kStretchBytes),
                        next_batch_};
        draw_offset_ += stretch.length;
        draw_key_ = key_of_path(object.path);
        if (stretch.last()) {
            draw_key_ = key_after(object.path);
            draw_offset_ = 0;
            page_.pop_front();
        }
        draw.take(std::move(stretch));
    }
    if (draw.taken.empty()) return {};
    batch.left = draw.taken.size();
    batches_.emplace(next_batch_++, std::move(batch));
    return std::move(draw.taken);
}

void Verification::settle(const Stretch& stretch, Outcome outcome) {
    const auto found = batches_.find(stretch.batch);
    LH_ASSERT(found != batches_.end() && found->second.left > 0);
    --found->second.left;
    VerifyCounts& counts = found->second.counts;
    // The root is no object: nobody counts it unless other names stand in it.
    if (stretch.object.path.empty() && outcome != Outcome::differs) return;
    switch (outcome) {
        case Outcome::same:
            counts.bytes += stretch.length;
            if (stretch.last()) ++counts.objects;
            return;
        case Outcome::differs:
            ++counts.differing;
            return;
        case Outcome::metadata:
            ++counts.differing;
            ++counts.metadata;
            return;
        case Outcome::missing:
            ++counts.missing;
            return;
        case Outcome::changed:
            ++counts.changed;
            return;
        case Outcome::unreadable:
            ++counts.unreadable;
            return;
    }
}

bool Verification::waits(const std::string& path) const {
    return std::any_of(again_.begin(), again_.end(),
                       [&](const Stretch& stretch) { return stretch.object.path == path; });
}

bool Verification::fold(WallNs now) {
    if (!running()) return false;
    bool changed = false;
    while (!batches_.empty() && batches_.begin()->second.left == 0) {
        record_.counts += batches_.begin()->second.counts;
        batches_.erase(batches_.begin());
        changed = true;
    }
    const bool ended = batches_.empty() && page_.empty() && drawn_all_;
    if (ended) record_.ended = now;
    if (!changed) return ended;
    record_.next_key = batches_.empty() ? draw_key_ : batches_.begin()->second.key;
    record_.next_offset = batches_.empty() ? draw_offset_ : batches_.begin()->second.offset;
    return true;
}

}  // namespace longhaul::control
