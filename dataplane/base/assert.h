// Assertions that stay on in production: a broken invariant ends the process, it never corrupts a replica.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>

namespace longhaul {

[[noreturn]] inline void assertion_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "longhaul: invariant broken: %s at %s:%d\n", expression, file, line);
    std::fflush(stderr);
    std::abort();
}

}  // namespace longhaul

#define LH_ASSERT(expression) \
    ((expression) ? (void)0 : ::longhaul::assertion_failed(#expression, __FILE__, __LINE__))
