// Which random histories a test plays: LONGHAUL_SEED=n one of them, LONGHAUL_SEEDS=count so many from it on, or from 1.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>

namespace longhaul::control::test {

struct Seeds {
    std::uint64_t first, last;
};

inline Seeds seeds_to_play(std::uint64_t by_default) {
    const char* chosen = std::getenv("LONGHAUL_SEED");
    const char* many = std::getenv("LONGHAUL_SEEDS");
    const std::uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
    const std::uint64_t count = many != nullptr     ? std::strtoull(many, nullptr, 10)
                                : chosen != nullptr ? 1
                                                    : by_default;
    return {first, first + count - 1};
}

}  // namespace longhaul::control::test
