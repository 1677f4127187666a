// The process's cryptodevs: which exist, which we made, and how many workers stand on each. Brings a device
// up for its first user and down after its last.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"
#include "drivers/crypto/aead.h"

namespace longhaul::crypto {

struct AttachedDevice {
    std::string name;
    std::uint8_t device = 0;
    std::uint16_t queue_pair = 0;
    bool hardware = false;
};

// An existing cryptodev of the name config.device is shared, a queue pair per worker; otherwise a virtual
// device
// "<config.device><worker>" is made. Refuses devices without out-of-place AES-256-GCM.
Result<AttachedDevice> attach_device(const AeadConfig& config);
void detach_device(const AttachedDevice& device) noexcept;

}  // namespace longhaul::crypto
