// Operations, their mbuf views and the enqueue/dequeue pair; see gcm_queue.h. crypto_aesni_gcm computes
// within dequeue on the calling lcore, so enqueue and dequeue back to back are a function call; a hardware
// device is polled. (Its synchronous CPU path works in place only and would modify the plaintext: never
// used.)
// SPDX-License-Identifier: Apache-2.0
#include "drivers/crypto/gcm_queue.h"

#include <openssl/crypto.h>
#include <rte_crypto.h>
#include <rte_cryptodev.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <rte_pause.h>

#include <cstring>

#include "dataplane/base/assert.h"
#include "dataplane/wire/packet.h"

namespace longhaul::crypto {
namespace {

constexpr std::uint16_t kNonceBytes = 12;
constexpr unsigned kBurstMax = 256;
constexpr std::uint64_t kDeviceTimeoutSeconds = 2;

// Behind the symmetric operation, where the device expects the nonce.
struct Trailer {
    std::uint8_t nonce[16];
    std::uint32_t slot;
};
constexpr std::uint16_t kTrailerOffset = sizeof(rte_crypto_op) + sizeof(rte_crypto_sym_op);

Trailer* trailer_of(rte_crypto_op* operation) noexcept {
    return reinterpret_cast<Trailer*>(reinterpret_cast<std::uint8_t*>(operation) + kTrailerOffset);
}

rte_crypto_sym_op* symmetric_of(rte_crypto_op* operation) noexcept {
    return reinterpret_cast<rte_crypto_sym_op*>(reinterpret_cast<std::uint8_t*>(operation) +
                                                sizeof(rte_crypto_op));
}

rte_iova_t iova_of(bool hardware, const void* address) noexcept {
    return hardware ? rte_mem_virt2iova(address) : reinterpret_cast<rte_iova_t>(address);
}

void point(rte_mbuf* view, bool hardware, const std::uint8_t* address, std::uint32_t bytes) noexcept {
    view->buf_addr = const_cast<std::uint8_t*>(address);
    rte_mbuf_iova_set(view, iova_of(hardware, address));
    view->buf_len = static_cast<std::uint16_t>(bytes);
    view->data_off = 0;
    view->data_len = static_cast<std::uint16_t>(bytes);
    view->pkt_len = bytes;
}

GcmOutcome outcome_of(std::uint8_t status) noexcept {
    if (status == RTE_CRYPTO_OP_STATUS_SUCCESS) return GcmOutcome::good;
    if (status == RTE_CRYPTO_OP_STATUS_AUTH_FAILED) return GcmOutcome::tag_bad;
    return GcmOutcome::device_error;
}

}  // namespace

GcmKey::~GcmKey() {
    OPENSSL_cleanse(iv_.data(), iv_.size());
    if (session_ != nullptr) queue_->unload(session_);
}

Result<std::unique_ptr<GcmQueue>> GcmQueue::open(const AeadConfig& config) {
    if (config.burst < 1 || config.burst > kBurstMax)
        return Error{ErrorCode::invalid_argument, "crypto burst must be from 1 to 256"};
    auto attached = attach_device(config);
    if (!attached.ok()) return attached.error();
    std::unique_ptr<GcmQueue> queue(new GcmQueue);
    queue->device_ = std::move(attached).value();
    queue->attached_ = true;
    if (auto allocated = queue->allocate(config); !allocated.ok()) return allocated.error();
    return queue;
}

Result<void> GcmQueue::allocate(const AeadConfig& config) {
    const std::string suffix = std::to_string(device_.device) + "_" + std::to_string(device_.queue_pair);
    const auto session_bytes = rte_cryptodev_sym_get_private_session_size(device_.device);
    sessions_ = rte_cryptodev_sym_session_pool_create(("lh_keys_" + suffix).c_str(), config.lane_keys_max,
                                                      session_bytes, 0, 0, config.socket);
    operation_pool_ = rte_crypto_op_pool_create(("lh_gcm_" + suffix).c_str(), RTE_CRYPTO_OP_TYPE_SYMMETRIC,
                                                config.burst, 0, sizeof(Trailer), config.socket);
    view_pool_ =
        rte_pktmbuf_pool_create(("lh_view_" + suffix).c_str(), config.burst * 2, 0, 0, 0, config.socket);
    if (sessions_ == nullptr || operation_pool_ == nullptr || view_pool_ == nullptr)
        return Error{ErrorCode::exhausted, "crypto device '" + name() + "': no memory for " +
                                               std::to_string(config.lane_keys_max) + " keys (" +
                                               rte_strerror(rte_errno) + "): raise memory_mib"};

    operations_.resize(config.burst);
    returned_.resize(config.burst);
    views_.resize(config.burst * 2);
    const auto got = rte_crypto_op_bulk_alloc(operation_pool_, RTE_CRYPTO_OP_TYPE_SYMMETRIC,
                                              operations_.data(), static_cast<std::uint16_t>(config.burst));
    LH_ASSERT(got == config.burst);  // both pools are ours and exactly as large
    LH_ASSERT(rte_pktmbuf_alloc_bulk(view_pool_, views_.data(), config.burst * 2) == 0);
    return {};
}

GcmQueue::~GcmQueue() {
    if (attached_) detach_device(device_);
    // What the views pointed at was never theirs: the pools go without a look at their elements.
    rte_mempool_free(view_pool_);
    rte_mempool_free(operation_pool_);
    rte_mempool_free(sessions_);
}

Result<GcmKey> GcmQueue::load_key(const LaneSecret& phase, bool sealing) {
    const auto material = key_material(phase);
    if (!material.ok()) return material.error();
    rte_crypto_sym_xform transform{};
    transform.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    transform.aead.op = sealing ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
    transform.aead.algo = RTE_CRYPTO_AEAD_AES_GCM;
    transform.aead.key.data = material.value().key.data();
    transform.aead.key.length = static_cast<std::uint16_t>(material.value().key.size());
    transform.aead.iv.offset = kTrailerOffset;
    transform.aead.iv.length = kNonceBytes;
    transform.aead.digest_length = wire::kTagBytes;
    transform.aead.aad_length = wire::kHeaderBytes;
    void* session = rte_cryptodev_sym_session_create(device_.device, &transform, sessions_);
    if (session == nullptr)
        return Error{ErrorCode::exhausted, "crypto device '" + name() + "': cannot load another key (" +
                                               rte_strerror(rte_errno) + "): use fewer lanes or links"};
    return GcmKey(this, session, material.value().iv);
}

void GcmQueue::unload(void* session) noexcept {
    LH_ASSERT(rte_cryptodev_sym_session_free(device_.device, session) == 0);
    // The element lies in a pool that only this queue draws from, so it may still be wiped after it went
    // back.
    OPENSSL_cleanse(session, sessions_->elt_size);
}

void GcmQueue::prepare(std::size_t slot, const GcmOperation& operation) noexcept {
    LH_ASSERT(operation.bytes <= kAeadBytesMax);
    rte_mbuf* const source = views_[slot * 2];
    rte_mbuf* const destination = views_[slot * 2 + 1];
    point(source, device_.hardware, operation.bytes > 0 ? operation.source : operation.associated,
          operation.bytes);
    point(destination, device_.hardware, operation.bytes > 0 ? operation.destination : operation.associated,
          operation.bytes);

    rte_crypto_op* const op = operations_[slot];
    op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
    op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
    Trailer* const trailer = trailer_of(op);
    trailer->slot = static_cast<std::uint32_t>(slot);
    const auto& iv = operation.key->iv();
    std::memcpy(trailer->nonce, iv.data(), iv.size());
    for (unsigned i = 0; i < 8; ++i)
        trailer->nonce[4 + i] ^= static_cast<std::uint8_t>(operation.packet_number >> (56 - 8 * i));

    rte_crypto_sym_op* const symmetric = symmetric_of(op);
    symmetric->session = operation.key->session();
    symmetric->m_src = source;
    symmetric->m_dst = destination;
    symmetric->aead.data.offset = 0;
    symmetric->aead.data.length = operation.bytes;
    symmetric->aead.aad.data = const_cast<std::uint8_t*>(operation.associated);
    symmetric->aead.aad.phys_addr = iova_of(device_.hardware, operation.associated);
    symmetric->aead.digest.data = operation.tag;
    symmetric->aead.digest.phys_addr = iova_of(device_.hardware, operation.tag);
}

void GcmQueue::run(std::span<GcmOperation> operations) noexcept {
    LH_ASSERT(operations.size() <= burst());
    for (std::size_t slot = 0; slot < operations.size(); ++slot)
        prepare(slot, operations[slot]);

    const auto total = static_cast<std::uint16_t>(operations.size());
    std::uint16_t sent = 0, back = 0;
    std::uint64_t deadline = 0;  // the clock is read only when the device makes us wait
    while (back < total) {
        if (sent < total) {
            auto* const next = operations_.data() + sent;
            sent = static_cast<std::uint16_t>(
                sent + rte_cryptodev_enqueue_burst(device_.device, device_.queue_pair, next,
                                                   static_cast<std::uint16_t>(total - sent)));
        }
        const std::uint16_t count = rte_cryptodev_dequeue_burst(
            device_.device, device_.queue_pair, returned_.data(), static_cast<std::uint16_t>(total - back));
        for (std::uint16_t i = 0; i < count; ++i) {
            const std::uint32_t slot = trailer_of(returned_[i])->slot;
            operations[slot].outcome = outcome_of(returned_[i]->status);
        }
        back = static_cast<std::uint16_t>(back + count);
        if (count != 0 || back == total) continue;
        // A device that keeps our memory and never answers cannot be survived: it may write to it at any
        // time.
        if (deadline == 0) deadline = rte_get_timer_cycles() + kDeviceTimeoutSeconds * rte_get_timer_hz();
        LH_ASSERT(rte_get_timer_cycles() < deadline && "the crypto device answers");
        rte_pause();
    }
    // operations_ keeps its order: a slot is refilled only by the next call.
}

}  // namespace longhaul::crypto
