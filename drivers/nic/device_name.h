// What an operator writes as `device`: a PCI address or a virtual device with its arguments, and what must be
// put right on the machine before such a device is opened.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace longhaul::nic {

struct DeviceName {
    std::string name;       // "0000:3b:00.0", "net_memif0"
    std::string arguments;  // behind the first comma
    bool pci = false;
    bool memif = false;
    bool memif_client = false;
};
Result<DeviceName> parse_device(std::string_view text);
std::string device_argument(const DeviceName& device, std::string_view key);  // empty: not given

std::string memif_socket(const DeviceName& device);  // its default included

// A killed memif server leaves its socket file and the next one could not bind: removes the file when nobody
// answers behind it, refuses when somebody does. Nothing to do for other devices.
Result<void> clear_stale_socket(const DeviceName& device);

}  // namespace longhaul::nic
