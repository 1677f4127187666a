// AES-256-GCM of one worker through rte_cryptodev (crypto_aesni_gcm and whatever else speaks that interface), out of
// place: plaintext block -> packet, packet -> stripe slot. There is no way to seal without a fresh packet number and
// no way to hand one in: nonce reuse is impossible by construction. No plaintext mode exists.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/wire/drop_reason.h"
#include "drivers/crypto/secret.h"

namespace longhaul::crypto {

struct AeadConfig {
    std::string device = "crypto_aesni_gcm";   // rte_vdev driver, or the name of an existing cryptodev (QAT)
    unsigned worker = 0;                       // one device instance (or queue pair) per worker
    unsigned burst = 32;
    int socket = -1;                           // NUMA node, -1 any
    unsigned lane_keys_max = 1024;             // sessions
};

inline constexpr std::uint64_t kPhasePacketsMax = std::uint64_t{1} << 27;  // then the key phase turns (RFC 9001 limits, 4x margin)
inline constexpr std::uint64_t kPhaseBytesMax = std::uint64_t{1} << 37;

class LaneSealer;   // one lane, our direction: key, iv, next packet number, key phase
class LaneOpener;   // one lane, the peer's direction: keys of this phase and its neighbours, replay window

struct SealJob {
    LaneSealer* lane = nullptr;
    std::uint8_t* header = nullptr;          // 32 bytes, everything set but spi, packet number and key phase: stamped here
    const std::uint8_t* plaintext = nullptr; // `bytes` of it; may be anywhere; not modified
    std::uint8_t* sealed = nullptr;          // bytes + 16: ciphertext and tag
    std::uint32_t bytes = 0;
};

struct OpenJob {
    LaneOpener* lane = nullptr;
    const std::uint8_t* header = nullptr;    // 32 bytes as received
    std::uint8_t* sealed = nullptr;          // ciphertext and tag, as received
    std::uint8_t* plaintext = nullptr;       // bytes; on failure its content is undefined and must not be used
    std::uint32_t bytes = 0;                 // without the tag
    wire::DropReason result = wire::DropReason::none;  // none: authentic (packet number noted in the replay window), replayed, tag_bad
};

class AeadDevice {
  public:
    static Result<std::unique_ptr<AeadDevice>> create(const AeadConfig& config);   // after eal_start
    virtual ~AeadDevice() = default;

    virtual Result<std::unique_ptr<LaneSealer>> make_sealer(const LaneSecret& secret, std::uint32_t spi) = 0;
    virtual Result<std::unique_ptr<LaneOpener>> make_opener(const LaneSecret& secret, std::uint32_t spi) = 0;

    // Synchronous in effect; any number of jobs. Two jobs of one call must not write to the same place.
    virtual void seal(std::span<SealJob> jobs) = 0;
    virtual void open(std::span<OpenJob> jobs) = 0;
    virtual const std::string& name() const = 0;
};

class LaneSealer {
  public:
    virtual ~LaneSealer() = default;
    virtual std::uint64_t packets_sealed() const = 0;
    virtual std::uint32_t key_phases() const = 0;       // how often the key has turned
};
class LaneOpener {
  public:
    virtual ~LaneOpener() = default;
    virtual std::uint64_t packets_opened() const = 0;
    virtual std::uint64_t tags_bad() const = 0;
};

}  // namespace longhaul::crypto
