// AES-256-GCM of one worker through rte_cryptodev (crypto_aesni_gcm and whatever else speaks that interface),
// out of place: plaintext block -> packet, packet -> stripe slot. There is no way to seal without a fresh
// packet number and no way to hand one in: nonce reuse is impossible by construction. No plaintext mode
// exists.
//
// Nonce: iv xor (0^32 || packet number, 64 bits big endian). The key phase turns at the limits below and the
// packet number goes on; the header's key_phase flag is the lowest bit of the number of turns. The opener
// keeps the phase before, so reordering may span one turn, not two.
//
// One thread owns a device and its lanes, though the thread may change between calls. Lanes die before their
// device.
//
// Memory: a device that computes on the CPU takes any address. A hardware device (QAT) reaches header,
// plaintext and sealed by DMA: they must lie in memory that DPDK knows (its heap, or rte_extmem_register'ed)
// and be contiguous in IOVA space, which IOVA-as-VA mode gives.
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

// The key phase turns at these (RFC 9001 limits, 4x margin).
inline constexpr std::uint64_t kPhasePacketsMax = std::uint64_t{1} << 27;
inline constexpr std::uint64_t kPhaseBytesMax = std::uint64_t{1} << 37;
// After so many bad tags the opener refuses everything (RFC 9001, 6.6).
inline constexpr std::uint64_t kForgeriesMax = std::uint64_t{1} << 36;
inline constexpr std::uint64_t kReplayWindow = 8192;    // packet numbers that may arrive out of order
inline constexpr std::uint32_t kAeadBytesMax = 65'000;  // of one packet

struct AeadConfig {
    std::string device = "crypto_aesni_gcm";  // rte_vdev driver, or the name of an existing cryptodev (QAT)
    unsigned worker = 0;                      // one device instance (or queue pair) per worker
    unsigned burst = 32;                      // operations handed to the device at once, 1..256
    int socket = -1;                          // NUMA node, -1 any
    unsigned lane_keys_max = 1024;  // sessions: a sealer takes 2 (this phase, the next), an opener 3
    std::uint64_t phase_packets_max = kPhasePacketsMax;  // at least 1
    std::uint64_t phase_bytes_max = kPhaseBytesMax;      // at least kAeadBytesMax
    std::uint64_t forgeries_max = kForgeriesMax;
};

class LaneSealer;  // one lane, our direction: key, iv, next packet number, key phase
class LaneOpener;  // one lane, the peer's direction: keys of this phase and its neighbours, replay window

struct SealJob {
    LaneSealer* lane = nullptr;
    std::uint8_t* header = nullptr;           // 32 bytes; spi, packet number and key phase are stamped here
    const std::uint8_t* plaintext = nullptr;  // `bytes` of it; may be anywhere; not modified
    std::uint8_t* sealed = nullptr;           // bytes + 16: ciphertext and tag
    std::uint32_t bytes = 0;
};

struct OpenJob {
    LaneOpener* lane = nullptr;
    const std::uint8_t* header = nullptr;  // 32 bytes as received
    const std::uint8_t* sealed = nullptr;  // ciphertext and tag, as received; not modified
    std::uint8_t* plaintext = nullptr;     // bytes; on failure its content is undefined and must not be used
    std::uint32_t bytes = 0;               // without the tag
    // none: authentic, its packet number noted in the replay window; or replayed, or tag_bad.
    wire::DropReason result = wire::DropReason::none;
};

class AeadDevice {
  public:
    static Result<std::unique_ptr<AeadDevice>> create(const AeadConfig& config);  // after eal_start
    virtual ~AeadDevice() = default;

    virtual Result<std::unique_ptr<LaneSealer>> make_sealer(const LaneSecret& secret, std::uint32_t spi) = 0;
    virtual Result<std::unique_ptr<LaneOpener>> make_opener(const LaneSecret& secret, std::uint32_t spi) = 0;

    // Synchronous in effect; any number of jobs. Two jobs of one call must not write to the same place.
    // A packet that the device fails to seal is zeroed: it goes out as noise, is lost for the peer, and is
    // counted in device_errors. A device that stops answering for 2 s ends the process (LH_ASSERT).
    virtual void seal(std::span<SealJob> jobs) = 0;
    virtual void open(std::span<OpenJob> jobs) = 0;
    virtual const std::string& name() const = 0;
    // Operations that failed for another reason than their tag.
    virtual std::uint64_t device_errors() const = 0;
};

class LaneSealer {
  public:
    virtual ~LaneSealer() = default;
    virtual std::uint64_t packets_sealed() const = 0;
    virtual std::uint32_t key_phases() const = 0;  // how often the key has turned
};
class LaneOpener {
  public:
    virtual ~LaneOpener() = default;
    virtual std::uint64_t packets_opened() const = 0;
    virtual std::uint64_t tags_bad() const = 0;
    // forgeries_max reached: every packet is tag_bad until the link gets new secrets.
    virtual bool exhausted() const = 0;
    virtual std::uint32_t key_phases() const = 0;
};

}  // namespace longhaul::crypto
