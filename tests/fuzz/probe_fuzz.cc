// Any PROBE payload: refused, or written again gives the same first bytes and the same length.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "dataplane/wire/probe.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    wire::Probe probe;
    if (wire::parse_probe({data, size}, probe) != wire::DropReason::none) return 0;
    LH_ASSERT(size == wire::probe_bytes(probe));
    std::vector<std::uint8_t> again(size);
    wire::write_probe(probe, again.data());
    LH_ASSERT(std::equal(again.begin(), again.begin() + wire::kProbeBytes, data));
    return 0;
}
