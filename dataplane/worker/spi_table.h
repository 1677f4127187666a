// From a packet's SPI to the lane that holds its key: the first question asked of every packet, forged ones included.
// Open addressing in a flat array at most a quarter full; changes rebuild it, which happens once a session. Owned by one
// worker.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "dataplane/base/assert.h"

namespace longhaul::worker {

template <typename Value>
class SpiTable {
  public:
    SpiTable() { rebuild(); }

    const Value* find(std::uint32_t spi) const noexcept {
        for (std::size_t at = home(spi);; at = (at + 1) & mask_) {
            const Slot& slot = slots_[at];
            if (!slot.used) return nullptr;
            if (slot.entry.spi == spi) return &slot.entry.value;
        }
    }
    void insert(std::uint32_t spi, const Value& value) {
        LH_ASSERT(find(spi) == nullptr);
        entries_.push_back({spi, value});
        rebuild();
    }
    void erase(std::uint32_t spi) {
        std::erase_if(entries_, [spi](const Entry& entry) { return entry.spi == spi; });
        rebuild();
    }

  private:
    struct Entry {
        std::uint32_t spi = 0;
        Value value{};
    };
    struct Slot {
        bool used = false;
        Entry entry{};
    };
    // SPIs are drawn at random by us; the multiplier spreads those that are not.
    std::size_t home(std::uint32_t spi) const noexcept { return spi * 0x9e3779b1u >> 8 & mask_; }
    void rebuild() {
        slots_.assign(std::bit_ceil(entries_.size() * 4 + 64), Slot{});
        mask_ = slots_.size() - 1;
        for (const Entry& entry : entries_) {
            std::size_t at = home(entry.spi);
            while (slots_[at].used)
                at = (at + 1) & mask_;
            slots_[at] = {true, entry};
        }
    }

    std::vector<Entry> entries_;
    std::vector<Slot> slots_;
    std::size_t mask_ = 0;
};

}  // namespace longhaul::worker
