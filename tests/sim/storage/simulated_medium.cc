// What reaches the medium: by a flush, and by chance at a crash.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <utility>

#include "tests/sim/storage/simulated_disk.h"

namespace longhaul::storage::sim {

bool SimulatedDisk::Change::touches(InodeNumber a_directory) const {
    if (of_content()) return false;
    if (kind == Kind::attributes) return inode == a_directory;
    return directory == a_directory || (kind == Kind::rename && to_directory == a_directory);
}

bool SimulatedDisk::Change::touches(InodeNumber a_directory, const std::string& a_name) const {
    if (of_content() || kind == Kind::attributes) return false;
    return (directory == a_directory && name == a_name) ||
           (kind == Kind::rename && to_directory == a_directory && to_name == a_name);
}

bool SimulatedDisk::Change::shares_a_name_with(const Change& other) const {
    if (kind == Kind::attributes) return other.kind == Kind::attributes && other.inode == inode;
    return other.touches(directory, name) || (kind == Kind::rename && other.touches(to_directory, to_name));
}

void SimulatedDisk::apply(Image& image, const Change& change) {
    Inode& inode = image[change.inode];
    const auto changed_names_of = [&](InodeNumber directory) -> std::map<std::string, InodeNumber>& {
        Attributes& attributes = image[directory].attributes;
        attributes.mtime_ns = attributes.ctime_ns = change.when_ns;
        return image[directory].names;
    };
    switch (change.kind) {
        case Change::Kind::link:
            changed_names_of(change.directory)[change.name] = change.inode;
            return;
        case Change::Kind::unlink:
            changed_names_of(change.directory).erase(change.name);
            return;
        case Change::Kind::rename:
            changed_names_of(change.directory).erase(change.name);
            changed_names_of(change.to_directory)[change.to_name] = change.inode;
            return;
        case Change::Kind::attributes:
            inode.attributes = change.attributes;
            return;
        case Change::Kind::write:
            inode.bytes.resize(
                std::max<std::size_t>(inode.bytes.size(), change.offset + change.bytes.size()));
            inode.bytes.replace(change.offset, change.bytes.size(), change.bytes);
            inode.attributes.mtime_ns = inode.attributes.ctime_ns = change.when_ns;
            return;
        case Change::Kind::resize:
            inode.bytes.resize(change.offset);
            inode.attributes.mtime_ns = inode.attributes.ctime_ns = change.when_ns;
            return;
    }
}

// Some sectors, in any order; or only the size, over zeros.
void SimulatedDisk::apply_in_part(Image& image, const Change& change, Random& random) {
    if (change.kind != Change::Kind::write) return;
    Inode& inode = image[change.inode];
    const bool size_only = random.chance(0.3);
    for (std::uint64_t at = 0; at < change.bytes.size();) {
        const std::uint64_t sector_end = (change.offset + at) / kSectorBytes * kSectorBytes + kSectorBytes;
        const std::uint64_t bytes = std::min(sector_end - change.offset, change.bytes.size()) - at;
        const std::uint64_t end = change.offset + at + bytes;
        if (size_only || random.chance(0.5))
            inode.bytes.resize(std::max<std::size_t>(inode.bytes.size(), end));
        if (!size_only && end <= inode.bytes.size() && random.chance(0.7))
            inode.bytes.replace(change.offset + at, bytes, change.bytes, at, bytes);
        at += bytes;
    }
}

void SimulatedDisk::commit_if(const std::function<bool(const Change&)>& chosen) {
    std::erase_if(pending_, [&](const Change& change) {
        if (!chosen(change)) return false;
        apply(medium_, change);
        return true;
    });
}

// A journal: whatever came before it goes with it.
void SimulatedDisk::commit_names_up_to_last(const std::function<bool(const Change&)>& wanted) {
    const auto last = std::find_if(pending_.rbegin(), pending_.rend(), wanted);
    if (last == pending_.rend()) return;
    const Change* end = &*last;
    bool passed = false;
    commit_if([&](const Change& change) {
        if (passed || change.of_content()) return false;
        passed = &change == end;
        return true;
    });
}

// No journal: only what it names, and earlier fates of the same names.
void SimulatedDisk::commit_names_with_what_they_need(const std::function<bool(const Change&)>& wanted) {
    std::vector<bool> chosen(pending_.size());
    for (std::size_t i = pending_.size(); i-- > 0;) {
        if (pending_[i].of_content()) continue;
        chosen[i] = wanted(pending_[i]);
        for (std::size_t later = i + 1; later < pending_.size() && !chosen[i]; ++later)
            chosen[i] = chosen[later] && pending_[later].shares_a_name_with(pending_[i]);
    }
    std::vector<Change> left;
    for (std::size_t i = 0; i < pending_.size(); ++i) {
        if (chosen[i])
            apply(medium_, pending_[i]);
        else
            left.push_back(std::move(pending_[i]));
    }
    pending_ = std::move(left);
}

// After a failure the pages count as clean: what was written is lost although everybody still sees it. Each descriptor
// that is open then is told once, and nobody else ever.
int SimulatedDisk::flush_file(int fd, bool attributes, int error) {
    const InodeNumber inode = inode_of(fd);
    if (error != 0) {
        std::erase_if(pending_,
                      [&](const Change& change) { return change.of_content() && change.inode == inode; });
        for (auto& [other, open] : open_)
            if (open.inode == inode && other != fd) open.owed_an_error = true;
        return error;
    }
    if (std::exchange(open_.at(fd).owed_an_error, false)) return EIO;
    commit_if([&](const Change& change) { return change.of_content() && change.inode == inode; });
    if (!attributes) return 0;
    const auto of_this = [&](const Change& change) {
        return change.kind == Change::Kind::attributes && change.inode == inode;
    };
    if (journal_ == Journal::ordered)
        commit_names_up_to_last(of_this);
    else
        commit_names_with_what_they_need(of_this);
    return 0;
}

int SimulatedDisk::flush_directory(InodeNumber inode, int error) {
    if (error != 0) return error;
    const auto of_this = [&](const Change& change) { return change.touches(inode); };
    if (journal_ == Journal::ordered)
        commit_names_up_to_last(of_this);
    else
        commit_names_with_what_they_need(of_this);
    return 0;
}

int SimulatedDisk::fdatasync(int fd) {
    const int error = begin_change();
    return -flush_file(fd, false, error);
}

int SimulatedDisk::fsync(int fd) {
    const int injected = begin_change();
    const InodeNumber inode = inode_of(fd);
    const bool directory = seen_.at(inode).kind == Inode::Kind::directory;
    const int error = directory ? flush_directory(inode, injected) : flush_file(fd, true, injected);
    return error == 0 ? 0 : refused(error);
}

int SimulatedDisk::syncfs(int fd) {
    (void)inode_of(fd);
    if (const int error = begin_change(); error != 0) {
        std::erase_if(pending_, [](const Change& change) { return change.of_content(); });
        return refused(error);
    }
    commit_if([](const Change&) { return true; });
    return 0;
}

std::vector<bool> SimulatedDisk::surviving_names(Survival survival, Random& random) const {
    std::vector<bool> survives(pending_.size());
    if (survival == Survival::nothing || survival == Survival::content_only) return survives;
    const std::uint64_t prefix = random.below(pending_.size() + 1);
    for (std::size_t i = 0; i < pending_.size(); ++i) {
        const Change& change = pending_[i];
        if (change.of_content()) continue;
        if (survival != Survival::random) {
            survives[i] = true;
        } else if (journal_ == Journal::ordered) {
            survives[i] = i < prefix;
        } else {
            survives[i] = random.chance(0.5);
            for (std::size_t earlier = 0; earlier < i && survives[i]; ++earlier)
                survives[i] = pending_[earlier].of_content() || survives[earlier] ||
                              !change.shares_a_name_with(pending_[earlier]);
        }
    }
    return survives;
}

Image SimulatedDisk::crash(Survival survival, Random& random) const {
    Image image = medium_;
    const std::vector<bool> names = surviving_names(survival, random);
    for (std::size_t i = 0; i < pending_.size(); ++i) {
        const Change& change = pending_[i];
        if (!change.of_content()) {
            if (names[i]) apply(image, change);
        } else if (survival == Survival::content_only || survival == Survival::everything) {
            apply(image, change);
        } else if (survival == Survival::random) {
            const std::uint64_t fate = random.below(3);
            if (fate == 0) apply(image, change);
            if (fate == 1) apply_in_part(image, change, random);
        }
    }
    return image;
}

}  // namespace longhaul::storage::sim
