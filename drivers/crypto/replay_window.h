// The replay window of one lane: which of the last packet numbers have been accepted (the ring bitmap of RFC
// 6479: moving up clears whole words instead of shifting). Ask before the tag is checked, note only after it
// was good.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "drivers/crypto/aead.h"

namespace longhaul::crypto {

class ReplayWindow {
  public:
    bool any() const noexcept { return above_ != 0; }
    bool is_above_all(std::uint64_t number) const noexcept { return number >= above_; }

    // True for a number that was not noted yet and is not below the window of kReplayWindow numbers.
    bool is_fresh(std::uint64_t number) const noexcept {
        if (is_above_all(number)) return number != kNoNumber;
        if (above_ - number > kReplayWindow) return false;
        return (words_[word_of(number)] & bit_of(number)) == 0;
    }

    // `number` is fresh.
    void note(std::uint64_t number) noexcept {
        if (is_above_all(number)) move_up_to(number);
        words_[word_of(number)] |= bit_of(number);
    }

  private:
    // One word more than the window, so that the word being filled never holds bits that still count.
    static constexpr std::uint64_t kWords = kReplayWindow / 64 * 2;
    static constexpr std::uint64_t kNoNumber = ~std::uint64_t{0};  // above_ would wrap; no sender reaches it
    static_assert((kWords & (kWords - 1)) == 0 && kWords * 64 >= kReplayWindow + 64);

    static std::size_t word_of(std::uint64_t number) noexcept { return number / 64 & (kWords - 1); }
    static std::uint64_t bit_of(std::uint64_t number) noexcept { return std::uint64_t{1} << (number & 63); }

    void move_up_to(std::uint64_t number) noexcept {
        // Words from the one after the highest number's to the new number's leave the past and start empty.
        const std::uint64_t first = above_ == 0 ? 0 : (above_ - 1) / 64 + 1;
        const std::uint64_t last = number / 64;
        if (last >= first && last - first >= kWords) {
            words_.fill(0);
        } else {
            for (std::uint64_t word = first; word <= last; ++word)
                words_[word & (kWords - 1)] = 0;
        }
        above_ = number + 1;
    }

    std::uint64_t above_ = 0;  // one above the highest number noted; 0: none
    std::array<std::uint64_t, kWords> words_{};
};

}  // namespace longhaul::crypto
