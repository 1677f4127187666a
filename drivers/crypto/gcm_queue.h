// One queue pair of a cryptodev, used as a function: AES-256-GCM operations go in, and have been done when it
// returns. Source and destination become mbufs that merely point at the caller's memory: the device reads and
// writes it in place, nothing is copied.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"
#include "drivers/crypto/aead.h"
#include "drivers/crypto/crypto_devices.h"

struct rte_mempool;
struct rte_mbuf;
struct rte_crypto_op;

namespace longhaul::crypto {

class GcmQueue;

// A key loaded into the device; unloaded and wiped with the handle. Move-only.
class GcmKey {
  public:
    GcmKey() = default;
    GcmKey(GcmQueue* queue, void* session, const std::array<std::uint8_t, 12>& iv)
        : queue_(queue), session_(session), iv_(iv) {}
    GcmKey(GcmKey&& other) noexcept { swap(other); }
    GcmKey& operator=(GcmKey&& other) noexcept {
        GcmKey taken(std::move(other));
        swap(taken);
        return *this;
    }
    ~GcmKey();

    bool loaded() const noexcept { return session_ != nullptr; }
    void* session() const noexcept { return session_; }
    const std::array<std::uint8_t, 12>& iv() const noexcept { return iv_; }

  private:
    void swap(GcmKey& other) noexcept {
        std::swap(queue_, other.queue_);
        std::swap(session_, other.session_);
        std::swap(iv_, other.iv_);
    }
    GcmQueue* queue_ = nullptr;
    void* session_ = nullptr;
    std::array<std::uint8_t, 12> iv_{};
};

enum class GcmOutcome : std::uint8_t { good, tag_bad, device_error };

struct GcmOperation {
    const GcmKey* key = nullptr;
    std::uint64_t packet_number = 0;
    const std::uint8_t* associated = nullptr;  // the packet header, wire::kHeaderBytes
    const std::uint8_t* source = nullptr;
    std::uint8_t* destination = nullptr;
    std::uint8_t* tag = nullptr;  // written when sealing, read when opening
    std::uint32_t bytes = 0;
    GcmOutcome outcome = GcmOutcome::device_error;
};

class GcmQueue {
  public:
    static Result<std::unique_ptr<GcmQueue>> open(const AeadConfig& config);
    ~GcmQueue();
    GcmQueue(const GcmQueue&) = delete;
    GcmQueue& operator=(const GcmQueue&) = delete;

    Result<GcmKey> load_key(const LaneSecret& phase, bool sealing);
    void unload(void* session) noexcept;

    // At most burst() operations; every one has its outcome on return. The keys' direction decides what is
    // done.
    void run(std::span<GcmOperation> operations) noexcept;
    std::size_t burst() const noexcept { return operations_.size(); }
    // Not a device beside this core: run() is a function call, and a large burst has no advantage.
    bool computes_here() const noexcept { return !device_.hardware; }
    const std::string& name() const noexcept { return device_.name; }

  private:
    GcmQueue() = default;
    Result<void> allocate(const AeadConfig& config);
    void prepare(std::size_t slot, const GcmOperation& operation) noexcept;

    AttachedDevice device_;
    bool attached_ = false;
    rte_mempool* sessions_ = nullptr;
    rte_mempool* operation_pool_ = nullptr;
    rte_mempool* view_pool_ = nullptr;
    std::vector<rte_crypto_op*> operations_;
    std::vector<rte_mbuf*> views_;  // two an operation: source, destination
    std::vector<rte_crypto_op*> returned_;
};

}  // namespace longhaul::crypto
