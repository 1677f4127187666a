// Joining of parts by crc32c_combine, at most once a part.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/entry_crc.h"

#include "dataplane/fec/crc32c.h"

namespace longhaul::storage {

void EntryCrc::add(std::uint64_t offset, ByteView bytes) {
    if (bytes.empty() || offset < bytes_) return;  // read again for a late repair: already counted
    if (offset > bytes_) {
        early_.try_emplace(offset, Part{bytes.size(), fec::crc32c(0, bytes)});
        return;
    }
    crc_ = fec::crc32c(crc_, bytes);
    bytes_ += bytes.size();
    for (auto next = early_.begin(); next != early_.end() && next->first <= bytes_;
         next = early_.erase(next)) {
        if (next->first < bytes_)
            continue;  // overlaps what is counted: dropped, the sum then falls short and fails
        crc_ = fec::crc32c_combine(crc_, next->second.crc, next->second.bytes);
        bytes_ += next->second.bytes;
    }
}

}  // namespace longhaul::storage
