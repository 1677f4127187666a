// Any datagram: refused, or its header written again gives the same 32 bytes.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "dataplane/wire/packet.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView datagram(data, size);
    wire::PacketView view;
    if (wire::parse_packet(datagram, view) != wire::DropReason::none) return 0;
    std::array<std::uint8_t, wire::kHeaderBytes> again{};
    wire::write_header(view.header, again.data());
    LH_ASSERT(std::equal(again.begin(), again.end(), data));
    LH_ASSERT(view.sealed.size() + wire::kHeaderBytes == size && view.sealed.size() >= wire::kTagBytes);
    return 0;
}
