// Secrets and the key schedule of a link session (HKDF-SHA-256, RFC 5869; labels in
// dataplane/wire/README.md). Both dataplanes contribute a nonce that lives in their memory only and is used
// once, so a replayed or re-sent link secret can never bring an old key back.
//
//   session  = HKDF-Extract(salt = initiator nonce || responder nonce, ikm = link secret)
//   lane     = HKDF-Expand(session, "longhaul lane" || u32 spi || u8 path || u8 lane, 32)
//   phase 0  = lane;  phase n+1 = HKDF-Expand(phase n, "longhaul phase", 32)
//   key, iv  = HKDF-Expand(phase n, "longhaul key", 32), HKDF-Expand(phase n, "longhaul iv", 12)
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

namespace longhaul::crypto {

class LaneSecret {  // 32 secret bytes, wiped on destruction
  public:
    LaneSecret() = default;
    LaneSecret(const LaneSecret&) = default;
    LaneSecret& operator=(const LaneSecret&) = default;
    ~LaneSecret();
    std::array<std::uint8_t, 32> bytes{};
};
using LinkSecret = LaneSecret;
using SessionNonce = std::array<std::uint8_t, 32>;

// RFC 5869 with SHA-256. Expand writes at most 255 x 32 bytes (invalid_argument beyond).
Result<LaneSecret> hkdf_extract(ByteView salt, ByteView input_key);
Result<void> hkdf_expand(const LaneSecret& secret, ByteView info, MutableByteView out);

Result<void> random_bytes(MutableByteView out);  // from the system's generator, never predictable
Result<LaneSecret> session_secret(const LinkSecret& link, const SessionNonce& initiator,
                                  const SessionNonce& responder);
// spi: chosen by the receiver of this direction, so the two directions of a lane differ.
Result<LaneSecret> lane_secret(const LaneSecret& session, std::uint32_t spi, std::uint8_t path,
                               std::uint8_t lane);
Result<LaneSecret> next_phase(const LaneSecret& phase);
struct KeyMaterial {
    std::array<std::uint8_t, 32> key{};
    std::array<std::uint8_t, 12> iv{};
    ~KeyMaterial();
};
Result<KeyMaterial> key_material(const LaneSecret& phase);

}  // namespace longhaul::crypto
