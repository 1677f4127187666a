// Which fields decide: bytes for files, text for links, mode, owner, mtime and attributes for directories.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/difference.h"

namespace longhaul::control {

namespace {

bool same_owner_and_mode(const Fingerprint& a, const Fingerprint& b) noexcept {
    return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid;
}

// A row from before they travelled: the target has none.
std::uint64_t attributes_at_target(const Fingerprint& recorded) noexcept {
    return recorded.attributes == kAttributesUnknown ? 0 : recorded.attributes;
}

bool same_metadata(const Fingerprint& recorded, const Fingerprint& now) noexcept {
    return same_owner_and_mode(recorded, now) && attributes_at_target(recorded) == now.attributes;
}

Difference of_file(const Fingerprint& recorded, const Fingerprint& now) noexcept {
    const bool reborn = recorded.birth_ns != 0 && now.birth_ns != 0 && recorded.birth_ns != now.birth_ns;
    const bool same_bytes = recorded.size == now.size && recorded.mtime_ns == now.mtime_ns &&
                            recorded.inode == now.inode && !reborn;
    if (!same_bytes || recorded.ctime_ns == 0) return Difference::content;  // ctime 0: published while racy
    if (recorded.ctime_ns == now.ctime_ns)
        return same_metadata(recorded, now) ? Difference::none : Difference::metadata;
    // Whether the source's attributes moved its ctime is not known any more.
    if (recorded.attributes == kMetadataLost) return Difference::content;
    // One more hard link of it, or one less, explains a new ctime as a new mode does.
    const bool same_names = recorded.names == 0 || recorded.names == now.names;
    return same_metadata(recorded, now) && same_names ? Difference::content : Difference::metadata;
}

}  // namespace

std::string_view parent_of(std::string_view path) noexcept {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

Difference difference(const ObjectRecord* recorded, const Observed* now) noexcept {
    if (recorded == nullptr) return now == nullptr ? Difference::none : Difference::content;
    if (now == nullptr) return Difference::gone;
    const bool was_directory = recorded->print.kind == ObjectKind::directory;
    const bool is_directory = now->print.kind == ObjectKind::directory;
    if (was_directory != is_directory) return Difference::kind;
    if (!recorded->published || recorded->print.kind != now->print.kind) return Difference::content;
    const auto& before = recorded->print;
    const auto& after = now->print;
    if (is_directory) {
        const bool same = same_metadata(before, after) && before.mtime_ns == after.mtime_ns;
        return same ? Difference::none : Difference::metadata;
    }
    if (after.kind == ObjectKind::file) return of_file(before, after);
    const bool same = recorded->link == now->link && before.mtime_ns == after.mtime_ns &&
                      before.uid == after.uid && before.gid == after.gid;
    return same ? Difference::none : Difference::content;
}

}  // namespace longhaul::control
