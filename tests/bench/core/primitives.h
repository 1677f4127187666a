// What the stages of the pipeline cost alone, on one core, from memory that no cache holds: the limit that the whole
// is measured against. bytes per second each.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "dataplane/base/result.h"
#include "dataplane/fec/gf_kernel.h"

namespace longhaul::bench {

struct Primitives {
    double copy = 0;  // memcpy
    double seal = 0, open = 0;
    double encode = 0;       // data bytes, `parity` rows, the kernel that the product picks; 0 without rows
    double encode_isal = 0;  // the same by ISA-L's kernel, group by group
    double encode_isal_whole = 0;  // by ISA-L over all k sources at once
    const char* kernel = "";
};

Result<Primitives> measure_primitives(std::size_t symbol_bytes, unsigned parity, double seconds_each);

}  // namespace longhaul::bench
