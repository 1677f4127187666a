// Any bundle trailer: refused, or written again gives the same bytes.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "dataplane/wire/manifest.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

namespace {

void check(ByteView bytes) {
    const auto trailer = wire::parse_trailer(bytes);
    if (!trailer.ok()) return;
    const auto again = wire::write_trailer(trailer.value());
    LH_ASSERT(std::equal(bytes.begin(), bytes.end(), again.begin(), again.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check({data, size});
    // The same with magic and length right, so that the fuzzer's bytes reach count and verdicts.
    if (size < wire::kTrailerPrefixBytes) return 0;
    std::vector<std::uint8_t> bytes(data, data + size);
    ByteWriter prefix(bytes);
    prefix.u32(0x4c485431);
    prefix.u32(static_cast<std::uint32_t>(size));
    check(bytes);
    return 0;
}
