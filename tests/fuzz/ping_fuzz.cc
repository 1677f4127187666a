// Any PING payload: refused, or written again gives the same bytes.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "dataplane/wire/ping.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    wire::Ping ping;
    if (wire::parse_ping({data, size}, ping) != wire::DropReason::none) return 0;
    std::array<std::uint8_t, wire::kPingBytes> again{};
    wire::write_ping(ping, again.data());
    LH_ASSERT(size == again.size() && std::equal(again.begin(), again.end(), data));
    return 0;
}
