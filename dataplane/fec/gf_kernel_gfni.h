// The pass of gf_kernel.h in AVX-512 with GFNI. Only its own file is compiled for that processor.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/fec/gf_kernel.h"

namespace longhaul::fec {

bool gfni_runs_here() noexcept;
// `matrices[c]`: multiplication by c as VGF2P8AFFINEQB wants it.
void run_gfni(const Pass& pass, const std::uint64_t* matrices) noexcept;

}  // namespace longhaul::fec
