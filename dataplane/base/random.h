// Seeded pseudo-random numbers (xoshiro256**, Blackman and Vigna 2018) for simulation and jitter, never for secrets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/base/time.h"

namespace longhaul {

class Random {
  public:
    explicit Random(std::uint64_t seed) noexcept {
        for (auto& word : state_) {  // splitmix64 spreads any seed, zero included, over the state
            seed += 0x9e3779b97f4a7c15ULL;
            std::uint64_t mixed = seed;
            mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
            mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
            word = mixed ^ (mixed >> 31);
        }
    }

    std::uint64_t next() noexcept {
        const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return result;
    }

    // Uniform in [0, bound); bound > 0. The bias of the multiply-shift is below 2^-32 for the bounds used here.
    std::uint64_t below(std::uint64_t bound) noexcept {
        return static_cast<std::uint64_t>(static_cast<Uint128>(next()) * bound >> 64);
    }
    double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
    bool chance(double probability) noexcept { return unit() < probability; }

  private:
    static std::uint64_t rotate(std::uint64_t value, int by) noexcept {
        return value << by | value >> (64 - by);
    }
    std::uint64_t state_[4];
};

}  // namespace longhaul
