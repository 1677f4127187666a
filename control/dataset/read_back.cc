// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/read_back.h"

#include <algorithm>

namespace longhaul::control {

namespace {

constexpr std::size_t kLooksMax = 1024;  // of a draw: most may turn out to be replaced
constexpr TimeNs kTroubleWaitMin = 2 * kSecond, kTroubleWaitMax = 3600 * kSecond;

}  // namespace

void ReadBack::published(const std::string& path, const Fingerprint& print, TimeNs now) {
    if (print.size == 0) return;  // it has no bytes
    if (const auto trouble = troubled_.find(path); trouble != troubled_.end() && later_.size() < kFilesMax) {
        later_.emplace(std::max(now, trouble->second.not_before), File{path, print.size, print.mtime_ns});
        return;
    }
    earned_ = std::min(earned_ + share_, 1.0);
    // While so many differ, what else does teaches nothing new.
    if (troubled_.size() >= kTroubledMax) forget_trouble(now);
    if (earned_ < 1 || files_.size() >= kFilesMax || troubled_.size() >= kTroubledMax) {
        ++counts_.skipped;
        return;
    }
    earned_ -= 1;
    files_.push_back({path, print.size, print.mtime_ns});
}

void ReadBack::release_due(TimeNs now) {
    for (; !later_.empty() && later_.begin()->first <= now; later_.erase(later_.begin()))
        files_.push_back(std::move(later_.begin()->second));
}

// Of what is gone since nothing is heard any more.
void ReadBack::forget_trouble(TimeNs now) {
    if (now < forgot_at_ + kTroubleWaitMin) return;
    forgot_at_ = now;
    std::erase_if(troubled_,
                  [&](const auto& known) { return known.second.not_before + kTroubleWaitMax < now; });
}

void ReadBack::remember_trouble(const std::string& path, TimeNs now) {
    if (troubled_.size() >= kTroubledMax && !troubled_.contains(path)) return;
    Trouble& trouble = troubled_[path];
    const TimeNs wait = std::min(kTroubleWaitMax, kTroubleWaitMin << std::min(trouble.times, 11u));
    ++trouble.times;
    trouble.not_before = now + wait;
}

std::vector<ReadBack::Stretch> ReadBack::draw(std::size_t entries_max, std::uint64_t bytes_max,
                                              const Look& look) {
    Verification::Draw draw(entries_max, bytes_max);
    draw.take_while_room(again_);
    for (std::size_t looks = 0; !files_.empty() && draw.room() && looks < kLooksMax; ++looks) {
        if (!begun_) begun_ = look(files_.front());
        if (!begun_) {
            ++counts_.skipped;
            troubled_.erase(files_.front().path);
            files_.pop_front();
            continue;
        }
        Stretch stretch{*begun_, offset_, std::min(begun_->bytes() - offset_, Verification::kStretchBytes)};
        offset_ += stretch.length;
        if (stretch.last()) {
            begun_.reset();
            offset_ = 0;
            files_.pop_front();
        }
        draw.take(std::move(stretch));
    }
    return std::move(draw.taken);
}

void ReadBack::settle(const Stretch& stretch, Outcome outcome, TimeNs now) {
    const bool bad =
        outcome == Outcome::differs || outcome == Outcome::metadata || outcome == Outcome::missing;
    if (bad) remember_trouble(stretch.object.path, now);
    switch (outcome) {
        case Outcome::same:
            counts_.bytes += stretch.length;
            counts_.files += stretch.last() ? 1 : 0;
            if (stretch.last()) troubled_.erase(stretch.object.path);
            return;
        case Outcome::differs:
        case Outcome::metadata:
            ++counts_.differing;
            return;
        case Outcome::missing:
            ++counts_.missing;
            return;
        case Outcome::changed:
        case Outcome::unreadable:
            counts_.skipped += stretch.last() ? 1 : 0;
            return;
    }
}

bool ReadBack::waits_for(const std::string& path) const {
    return std::any_of(again_.begin(), again_.end(),
                       [&](const Stretch& stretch) { return stretch.object.path == path; });
}

ReadBackCounts ReadBack::counts() const {
    ReadBackCounts counts = counts_;
    counts.waiting = files_.size() + later_.size();
    return counts;
}

}  // namespace longhaul::control
