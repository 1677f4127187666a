// Takes a memif server's listening socket away when its port closes.
//
// The PMD (DPDK 22.11) forgets it: the descriptor stays open and in EAL's interrupt loop with a callback on
// freed memory. The name stays taken, and the first client that connects to it makes that thread spin for
// ever. The descriptor cannot simply be closed either: EAL panics when one of its descriptors is gone. So a
// silent one takes its place under the same number.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "drivers/nic/device_name.h"

namespace longhaul::nic {

class MemifListener {
  public:
    // After the device was made; several servers of one process may share a socket, the last one takes it
    // away.
    explicit MemifListener(const DeviceName& device);
    ~MemifListener();  // after the device was removed
    MemifListener(const MemifListener&) = delete;
    MemifListener& operator=(const MemifListener&) = delete;

  private:
    std::string path_;  // empty: no memif server
    bool abstract_ = true;
};

}  // namespace longhaul::nic
