// A device, packets in guarded memory, and OpenSSL's AES-256-GCM as the oracle for what the device does.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/wire/packet.h"
#include "drivers/crypto/aead.h"

namespace longhaul::crypto::fixture {

using Bytes = std::vector<std::uint8_t>;
inline constexpr std::uint32_t kSpi = 0xa1b2c3d4;
inline constexpr std::uint8_t kGuard = 0xc7;
inline constexpr std::size_t kGuardBytes = 64;

inline LaneSecret secret_of(std::uint8_t fill) {
    LaneSecret secret;
    secret.bytes.fill(fill);
    return secret;
}

// Ciphertext followed by the tag, by OpenSSL.
inline Bytes oracle_seal(ByteView key, ByteView nonce, ByteView associated, ByteView plaintext) {
    Bytes out(plaintext.size() + wire::kTagBytes);
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                  EVP_CIPHER_CTX_free);
    int count = 0;
    bool ok = EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) == 1;
    ok = ok && EVP_EncryptUpdate(context.get(), nullptr, &count, associated.data(),
                                 static_cast<int>(associated.size())) == 1;
    if (!plaintext.empty())
        ok = ok && EVP_EncryptUpdate(context.get(), out.data(), &count, plaintext.data(),
                                     static_cast<int>(plaintext.size())) == 1;
    ok = ok && EVP_EncryptFinal_ex(context.get(), out.data() + plaintext.size(), &count) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, wire::kTagBytes,
                                   out.data() + plaintext.size()) == 1;
    EXPECT_TRUE(ok);
    return out;
}

inline std::array<std::uint8_t, 12> nonce_of(const KeyMaterial& material, std::uint64_t number) {
    auto nonce = material.iv;
    for (unsigned i = 0; i < 8; ++i)
        nonce[11 - i] ^= static_cast<std::uint8_t>(number >> (8 * i));
    return nonce;
}

// What a lane whose phase 0 is `secret` must send for this header and plaintext in the given phase.
inline Bytes oracle_packet(LaneSecret secret, unsigned phase, ByteView header, ByteView plaintext) {
    for (unsigned i = 0; i < phase; ++i)
        secret = next_phase(secret).value();
    const KeyMaterial material = key_material(secret).value();
    const std::uint64_t number = ByteReader(header.subspan(8)).u64();
    return oracle_seal(material.key, nonce_of(material, number), header, plaintext);
}

// One packet's memory: header, plaintext, sealed and opened, each between guards, plaintext at any offset.
class Packet {
  public:
    explicit Packet(std::size_t bytes, Random& random, std::size_t misalignment = 0)
        : bytes_(bytes),
          misalignment_(misalignment),
          plaintext_(guarded(bytes)),
          sealed_(guarded(bytes + wire::kTagBytes)),
          opened_(guarded(bytes)),
          header_(guarded(wire::kHeaderBytes)) {
        for (std::size_t i = 0; i < bytes; ++i)
            plaintext()[i] = static_cast<std::uint8_t>(random.next());
        for (std::size_t i = 0; i < wire::kHeaderBytes; ++i)
            header()[i] = static_cast<std::uint8_t>(random.next());
    }

    std::size_t bytes() const { return bytes_; }
    std::uint8_t* header() { return at(header_); }
    std::uint8_t* plaintext() { return at(plaintext_); }
    std::uint8_t* sealed() { return at(sealed_); }
    std::uint8_t* opened() { return at(opened_); }
    ByteView header_view() { return {header(), wire::kHeaderBytes}; }
    Bytes plaintext_bytes() { return Bytes(plaintext(), plaintext() + bytes_); }
    Bytes sealed_bytes() { return Bytes(sealed(), sealed() + bytes_ + wire::kTagBytes); }
    Bytes opened_bytes() { return Bytes(opened(), opened() + bytes_); }
    std::uint64_t number() { return ByteReader(header_view().subspan(8)).u64(); }
    bool key_phase() { return (header()[1] & wire::Flags::key_phase) != 0; }

    SealJob seal_job(LaneSealer& lane) {
        return {&lane, header(), plaintext(), sealed(), static_cast<std::uint32_t>(bytes_)};
    }
    OpenJob open_job(LaneOpener& lane) {
        return {&lane, header(), sealed(), opened(), static_cast<std::uint32_t>(bytes_)};
    }
    bool guards_intact() {
        return intact(plaintext_, bytes_) && intact(sealed_, bytes_ + wire::kTagBytes) &&
               intact(opened_, bytes_) && intact(header_, wire::kHeaderBytes);
    }

  private:
    Bytes guarded(std::size_t bytes) const { return Bytes(bytes + misalignment_ + 2 * kGuardBytes, kGuard); }
    std::uint8_t* at(Bytes& memory) const { return memory.data() + kGuardBytes + misalignment_; }
    bool intact(const Bytes& memory, std::size_t bytes) const {
        const std::size_t first = kGuardBytes + misalignment_;
        for (std::size_t i = 0; i < memory.size(); ++i)
            if ((i < first || i >= first + bytes) && memory[i] != kGuard) return false;
        return true;
    }
    std::size_t bytes_, misalignment_;
    Bytes plaintext_, sealed_, opened_, header_;
};

// A device with a sealer and an opener of the same secret.
class DeviceTest : public testing::Test {
  protected:
    void start(AeadConfig config = {}) {
        auto created = AeadDevice::create(config);
        ASSERT_TRUE(created.ok()) << created.error().text;
        device_ = std::move(created).value();
        auto sealer = device_->make_sealer(secret_, kSpi);
        auto opener = device_->make_opener(secret_, kSpi);
        ASSERT_TRUE(sealer.ok() && opener.ok());
        sealer_ = std::move(sealer).value();
        opener_ = std::move(opener).value();
    }
    void TearDown() override {
        if (device_) {
            EXPECT_EQ(device_->device_errors(), 0u);
        }
    }
    void seal(std::vector<Packet>& packets) {
        std::vector<SealJob> jobs;
        for (Packet& packet : packets)
            jobs.push_back(packet.seal_job(*sealer_));
        device_->seal(jobs);
    }
    wire::DropReason open(Packet& packet) {
        std::array jobs{packet.open_job(*opener_)};
        device_->open(jobs);
        return jobs[0].result;
    }

    const LaneSecret secret_ = secret_of(0x42);
    Random random_{7};
    std::unique_ptr<AeadDevice> device_;
    std::unique_ptr<LaneSealer> sealer_;
    std::unique_ptr<LaneOpener> opener_;
};

}  // namespace longhaul::crypto::fixture
