// One request on its way to the dataplane, and the wiping of bytes that held a secret.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/crypto.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "control/dataplane_client/dataplane_client.h"

namespace longhaul::control {

// Shared by the requester and the client's thread, under the client's mutex.
struct DataplaneClient::Waiter {
    std::uint64_t seq = 0;
    std::optional<Result<nlohmann::json>> answer;
};

inline void wipe(void* bytes, std::size_t count) noexcept {
    if (count) OPENSSL_cleanse(bytes, count);
}
inline void wipe(std::string& text) noexcept {
    wipe(text.data(), text.size());
}

}  // namespace longhaul::control
