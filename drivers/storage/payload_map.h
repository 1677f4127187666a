// Which entries own which bytes of a bundle's payload.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dataplane/wire/manifest.h"

namespace longhaul::storage {

inline bool has_payload(const wire::Entry& entry) noexcept {
    return (entry.kind == wire::EntryKind::file || entry.kind == wire::EntryKind::range) && entry.size > 0;
}
// Where in its file an entry's first byte lies.
inline std::uint64_t file_offset_of(const wire::Entry& entry) noexcept {
    return entry.kind == wire::EntryKind::range ? entry.file_offset : 0;
}
inline bool may_be_direct(const wire::Entry& entry) noexcept {
    return entry.size >= wire::kDirectBytesMin && entry.payload_offset % wire::kDirectAlignment == 0 &&
           file_offset_of(entry) % wire::kDirectAlignment == 0;
}

class PayloadMap {
  public:
    struct Piece {
        std::uint32_t entry;
        std::uint64_t entry_offset;   // in the entry's payload
        std::uint64_t buffer_offset;  // in the request
        std::uint64_t bytes;
    };

    explicit PayloadMap(const wire::Manifest& manifest) : manifest_(manifest) {
        for (std::size_t i = 0; i < manifest.entries.size(); ++i)
            if (has_payload(manifest.entries[i])) entries_.push_back(static_cast<std::uint32_t>(i));
    }
    PayloadMap(const PayloadMap&) = delete;
    PayloadMap& operator=(const PayloadMap&) = delete;

    const std::vector<std::uint32_t>& entries() const noexcept {
        return entries_;
    }  // with payload, ascending

    // The pieces of [offset, offset + bytes) in ascending order; what lies between them belongs to nobody.
    template <typename Visit>
    void for_each(std::uint64_t offset, std::uint64_t bytes, Visit visit) const {
        const auto ends_after = [&](std::uint64_t at, std::uint32_t index) {
            const wire::Entry& entry = manifest_.entries[index];
            return at < entry.payload_offset + entry.size;
        };
        const std::uint64_t end = offset + bytes;
        for (auto at = std::upper_bound(entries_.begin(), entries_.end(), offset, ends_after);
             at != entries_.end(); ++at) {
            const wire::Entry& entry = manifest_.entries[*at];
            if (entry.payload_offset >= end) return;
            const std::uint64_t first = std::max(offset, entry.payload_offset);
            const std::uint64_t last = std::min(end, entry.payload_offset + entry.size);
            visit(Piece{*at, first - entry.payload_offset, first - offset, last - first});
        }
    }

  private:
    const wire::Manifest& manifest_;  // the owner of this map keeps it
    std::vector<std::uint32_t> entries_;
};

}  // namespace longhaul::storage
