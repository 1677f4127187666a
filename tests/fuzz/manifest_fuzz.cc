// Any bundle head: refused, or every path is safe and written again gives the same bytes.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "dataplane/wire/attributes.h"
#include "dataplane/wire/manifest.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

namespace {

void check(ByteView head) {
    const auto manifest = wire::parse_manifest(head);
    if (!manifest.ok()) return;
    for (const wire::Entry& entry : manifest.value().entries) {
        LH_ASSERT(entry.path.empty() || wire::path_is_safe(entry.path));
        LH_ASSERT(wire::fault_of_attributes(entry.attributes, true) == nullptr);
    }
    const auto again = wire::write_manifest(manifest.value());
    LH_ASSERT(again.ok() && std::equal(head.begin(), head.end(), again.value().begin(), again.value().end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check({data, size});
    // The same with magic and length right and reserved bytes zero, so that the fuzzer's bytes reach the
    // entries.
    if (size < wire::kHeadPrefixBytes + 16) return 0;
    std::vector<std::uint8_t> head(data, data + size);
    ByteWriter prefix(head);
    prefix.u32(0x4c484d35);
    prefix.u32(static_cast<std::uint32_t>(size));
    prefix.u32(0);  // payload bytes below 2^32
    std::fill_n(head.begin() + 36, 4, std::uint8_t{0});
    std::fill_n(head.begin() + 48, 6, std::uint8_t{0});  // publish rule, reserved, entries below 2^16
    check(head);
    return 0;
}
