// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/verification.h"

#include <algorithm>

#include "control/state/state_store.h"
#include "dataplane/base/assert.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kPageFiles = 1024;

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

std::vector<Verification::Stretch> Verification::draw(std::size_t entries_max, std::uint64_t bytes_max,
                                                      const Page& page) {
    std::vector<Stretch> drawn;
    std::uint64_t bytes = 0;
    const auto room = [&] { return drawn.empty() || (drawn.size() < entries_max && bytes < bytes_max); };
    for (; !again_.empty() && room(); again_.pop_front()) {
        bytes += again_.front().length;
        drawn.push_back(std::move(again_.front()));
    }
    if (!drawn.empty()) return drawn;
    Batch batch{draw_key_, draw_offset_, 0, {}};
    while (room()) {
        if (page_.empty() && !drawn_all_) {
            auto files = page(draw_key_, kPageFiles);
            drawn_all_ = files.size() < kPageFiles;
            page_.assign(std::make_move_iterator(files.begin()), std::make_move_iterator(files.end()));
            // The file that was begun has gone, or is shorter by now.
            const bool begun = !page_.empty() && key_of_path(page_.front().path) == draw_key_;
            if (!begun || draw_offset_ >= page_.front().size) draw_offset_ = 0;
        }
        if (page_.empty()) break;
        const PublishedFile& file = page_.front();
        Stretch stretch{file, draw_offset_, std::min(file.size - draw_offset_, kStretchBytes), next_batch_};
        bytes += stretch.length;
        draw_offset_ += stretch.length;
        draw_key_ = key_of_path(file.path);
        if (stretch.last()) {
            draw_key_ = key_after(file.path);
            draw_offset_ = 0;
            page_.pop_front();
        }
        drawn.push_back(std::move(stretch));
    }
    if (drawn.empty()) return drawn;
    batch.left = drawn.size();
    batches_.emplace(next_batch_++, std::move(batch));
    return drawn;
}

void Verification::settle(const Stretch& stretch, Outcome outcome) {
    const auto found = batches_.find(stretch.batch);
    LH_ASSERT(found != batches_.end() && found->second.left > 0);
    --found->second.left;
    VerifyCounts& counts = found->second.counts;
    switch (outcome) {
        case Outcome::same:
            counts.bytes += stretch.length;
            if (stretch.last()) ++counts.objects;
            return;
        case Outcome::differs:
            ++counts.differing;
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
