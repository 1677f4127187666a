// Where a device is made: an ordinary DPDK device here, or `tap:NAME[@NETNS]`, a TAP interface in a network
// namespace so that kernel programs cross the link.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "drivers/nic/nic.h"

namespace longhaul::wan {

// NETNS: a name as `ip netns` knows it, or the path of a namespace (/proc/PID/ns/net). `config.device` is
// replaced. The kernel does checksums and segmentation for a TAP of this kind itself: no super-packets cross
// the link.
Result<std::unique_ptr<nic::Port>> open_device(nic::PortConfig config);

}  // namespace longhaul::wan
