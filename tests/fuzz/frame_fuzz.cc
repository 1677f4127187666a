// Any Ethernet frame: refused, or its payload lies inside and its addresses make a frame that parses alike.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "dataplane/wire/frame.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

namespace {

void check(ByteView frame, bool verify) {
    wire::UdpFrameView view;
    if (wire::parse_udp_frame(frame, verify, view) != wire::DropReason::none) return;
    const std::uint8_t* const end = frame.data() + frame.size();
    LH_ASSERT(view.payload.data() >= frame.data() && view.payload.data() + view.payload.size() <= end);
    std::vector<std::uint8_t> again(wire::udp_overhead_bytes(view.tuple) + view.payload.size());
    std::copy(view.payload.begin(), view.payload.end(),
              again.end() - static_cast<std::ptrdiff_t>(view.payload.size()));
    wire::write_udp_frame(view.tuple, view.payload.size(), wire::UdpChecksum::computed, again.data());
    wire::UdpFrameView second;
    LH_ASSERT(wire::parse_udp_frame(again, true, second) == wire::DropReason::none);
    LH_ASSERT(second.tuple.source_ip == view.tuple.source_ip && second.tuple.vlan == view.tuple.vlan);
    LH_ASSERT(second.tuple.target_port == view.tuple.target_port);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check({data, size}, true);
    check({data, size}, false);
    // The same bytes behind an Ethernet header of each kind, the IPv4 header's checksum made right: no fuzzer
    // guesses it.
    std::vector<std::uint8_t> frame(14 + size);
    std::copy(data, data + size, frame.begin() + 14);
    const bool v6 = size > 0 && data[0] >> 4 == 6;
    ByteWriter(MutableByteView(frame).subspan(12)).u16(v6 ? 0x86dd : 0x0800);
    const std::size_t header_bytes = size > 0 ? (data[0] & 0x0fu) * 4 : 0;
    if (!v6 && header_bytes >= 20 && header_bytes <= size) {
        const MutableByteView header = MutableByteView(frame).subspan(14, header_bytes);
        header[10] = header[11] = 0;
        const std::uint16_t checksum = wire::internet_checksum(header);
        ByteWriter(header.subspan(10, 2)).u16(checksum);
    }
    check(frame, false);
    return 0;
}
