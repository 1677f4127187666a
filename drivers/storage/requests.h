// The caller's requests in work: each is done when all the parts it was cut into are. Slots are reused.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/base/assert.h"

namespace longhaul::storage {

class Requests {
  public:
    // A new request with one part, the caller's own, so that it cannot end while it is being cut.
    std::uint64_t open(std::uint64_t token) {
        if (free_.empty()) {
            slots_.push_back({});
            free_.push_back(slots_.size() - 1);
        }
        const std::uint64_t request = free_.back();
        free_.pop_back();
        slots_[request] = {token, 1};
        ++open_count_;
        return request;
    }
    void add_part(std::uint64_t request) { ++slots_[request].parts; }
    // The token when that was the last part.
    std::optional<std::uint64_t> finish_part(std::uint64_t request) {
        Slot& slot = slots_[request];
        LH_ASSERT(slot.parts > 0);
        if (--slot.parts > 0) return std::nullopt;
        free_.push_back(request);
        --open_count_;
        return slot.token;
    }
    std::size_t open_count() const noexcept { return open_count_; }

  private:
    struct Slot {
        std::uint64_t token = 0;
        std::uint64_t parts = 0;
    };
    std::vector<Slot> slots_;
    std::vector<std::uint64_t> free_;
    std::size_t open_count_ = 0;
};

}  // namespace longhaul::storage
