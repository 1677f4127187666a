// Devices: what is refused says what to change, keys are bounded and come back, and devices of other makers
// agree.
// SPDX-License-Identifier: Apache-2.0
#include <rte_cryptodev.h>
#include <rte_dev.h>
#include <rte_mempool.h>

#include "tests/unit/crypto/fixture.h"

namespace longhaul::crypto {
namespace {

using fixture::Packet;
using wire::DropReason;

void expect_refused(const AeadConfig& config, ErrorCode code, const std::string& hint) {
    const auto device = AeadDevice::create(config);
    ASSERT_FALSE(device.ok());
    EXPECT_EQ(device.error().code, code) << device.error().text;
    EXPECT_NE(device.error().text.find(hint), std::string::npos) << device.error().text;
}

// Proves that a wrong configuration ends in a text with a remedy, and leaves no device behind.
TEST(Device, WrongConfigurationIsRefused) {
    const auto devices_before = rte_cryptodev_count();
    AeadConfig config;
    config.device = "crypto_no_such";
    expect_refused(config, ErrorCode::unavailable, "crypto_device");
    config.device = "net_null";
    expect_refused(config, ErrorCode::unavailable, "crypto_device");
    config.device = "crypto_null";  // a real cryptodev, without AES-GCM
    expect_refused(config, ErrorCode::invalid_argument, "AES-256-GCM");
    for (const unsigned burst : {0u, 257u}) {
        config = AeadConfig{};
        config.burst = burst;
        expect_refused(config, ErrorCode::invalid_argument, "burst");
    }
    config = AeadConfig{};
    config.phase_packets_max = 0;
    expect_refused(config, ErrorCode::invalid_argument, "phase");
    config = AeadConfig{};
    config.phase_packets_max = kPhasePacketsMax + 1;
    expect_refused(config, ErrorCode::invalid_argument, "not safe");
    config = AeadConfig{};
    config.forgeries_max = kForgeriesMax + 1;
    expect_refused(config, ErrorCode::invalid_argument, "not safe");
    EXPECT_EQ(rte_cryptodev_count(), devices_before);
}

// Proves that two workers get devices of their own, that one number cannot be given twice, and that a device
// can be made again after it went.
TEST(Device, OneInstancePerWorker) {
    AeadConfig config;
    auto first = AeadDevice::create(config);
    ASSERT_TRUE(first.ok()) << first.error().text;
    EXPECT_EQ(first.value()->name(), "crypto_aesni_gcm0");
    expect_refused(config, ErrorCode::already_exists, "worker");
    config.worker = 1;
    auto second = AeadDevice::create(config);
    ASSERT_TRUE(second.ok()) << second.error().text;
    EXPECT_EQ(second.value()->name(), "crypto_aesni_gcm1");
    config.worker = 0;
    for (unsigned i = 0; i < 3; ++i) {
        { const auto gone = std::move(first).value(); }
        first = AeadDevice::create(config);
        ASSERT_TRUE(first.ok()) << first.error().text;
    }
}

// Proves that keys are bounded by the named limit, that the refusal says so, and that a lane's end gives them
// back.
TEST(Device, LaneKeysAreBoundedAndReused) {
    AeadConfig config;
    config.lane_keys_max = 7;
    auto created = AeadDevice::create(config);
    ASSERT_TRUE(created.ok());
    AeadDevice& device = *created.value();
    const LaneSecret secret = fixture::secret_of(9);
    Random random(3);
    auto sealer = device.make_sealer(secret, 1);
    auto other = device.make_sealer(fixture::secret_of(10), 2);
    ASSERT_TRUE(sealer.ok() && other.ok());
    for (unsigned round = 0; round < 50; ++round) {
        auto opener = device.make_opener(secret, 1);
        ASSERT_TRUE(opener.ok()) << opener.error().text;
        const auto refused = device.make_opener(secret, 1);
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
        Packet packet(100, random);
        std::array seals{packet.seal_job(*sealer.value())};
        device.seal(seals);
        std::array opens{packet.open_job(*opener.value())};
        device.open(opens);
        EXPECT_EQ(opens[0].result, DropReason::none);
        EXPECT_EQ(packet.opened_bytes(), packet.plaintext_bytes());
    }
}

// Counts where `needle` stands in the memory of a device's key pool.
unsigned occurrences_in_key_pool(const std::string& device, ByteView needle) {
    const int id = rte_cryptodev_get_dev_id(device.c_str());
    rte_mempool* const pool = rte_mempool_lookup(("lh_keys_" + std::to_string(id) + "_0").c_str());
    if (pool == nullptr) {
        ADD_FAILURE() << "no key pool";
        return 0;
    }
    struct Search {
        ByteView needle;
        unsigned found = 0;
    } search{needle};
    rte_mempool_obj_iter(
        pool,
        [](rte_mempool* of, void* argument, void* object, unsigned) {
            auto* const wanted = static_cast<Search*>(argument);
            const std::string_view memory(static_cast<const char*>(object), of->elt_size);
            wanted->found += memory.find(as_text(wanted->needle)) != std::string_view::npos;
        },
        &search);
    return search.found;
}

// Proves that a key leaves the device's memory with its lane, and an old phase's key with its turn. (The
// first round keys of AES-256 are the key itself, so it can be looked for.)
TEST(Device, KeysAreWipedWhenUnloaded) {
    AeadConfig config;
    config.phase_packets_max = 1;
    auto device = AeadDevice::create(config);
    ASSERT_TRUE(device.ok());
    const LaneSecret secret = fixture::secret_of(0x77);
    const KeyMaterial first = key_material(secret).value();
    const KeyMaterial second = key_material(next_phase(secret).value()).value();
    const auto found = [&](const KeyMaterial& material) {
        return occurrences_in_key_pool(device.value()->name(), material.key);
    };
    {
        auto sealer = device.value()->make_sealer(secret, 1);
        auto opener = device.value()->make_opener(secret, 1);
        ASSERT_TRUE(sealer.ok() && opener.ok());
        EXPECT_EQ(found(first), 2u);
        EXPECT_EQ(found(second), 2u);
        Random random(1);
        Packet one(16, random), two(16, random);
        std::array jobs{one.seal_job(*sealer.value()), two.seal_job(*sealer.value())};
        device.value()->seal(jobs);
        EXPECT_EQ(found(first), 1u) << "only the opener may still need it";
    }
    EXPECT_EQ(found(first), 0u);
    EXPECT_EQ(found(second), 0u);
}

// Proves that a device which exists already is shared by queue pairs, each worker on its own, and refuses one
// too many.
TEST(Device, ExistingDeviceIsShared) {
    ASSERT_EQ(rte_eal_hotplug_add("vdev", "crypto_aesni_gcm_shared", "max_nb_queue_pairs=2"), 0);
    {
        AeadConfig config;
        config.device = "crypto_aesni_gcm_shared";
        auto first = AeadDevice::create(config);
        ASSERT_TRUE(first.ok()) << first.error().text;
        config.worker = 1;
        auto second = AeadDevice::create(config);
        ASSERT_TRUE(second.ok()) << second.error().text;
        expect_refused(config, ErrorCode::already_exists, "worker");
        config.worker = 2;
        expect_refused(config, ErrorCode::exhausted, "workers");

        Random random(5);
        auto sealer = first.value()->make_sealer(fixture::secret_of(1), 1);
        auto opener = second.value()->make_opener(fixture::secret_of(1), 1);
        ASSERT_TRUE(sealer.ok() && opener.ok());
        Packet packet(1408, random);
        std::array seals{packet.seal_job(*sealer.value())};
        first.value()->seal(seals);
        std::array opens{packet.open_job(*opener.value())};
        second.value()->open(opens);
        EXPECT_EQ(opens[0].result, DropReason::none);
        EXPECT_EQ(packet.opened_bytes(), packet.plaintext_bytes());
    }
    EXPECT_GE(rte_cryptodev_get_dev_id("crypto_aesni_gcm_shared"), 0) << "it is not ours to remove";
    AeadConfig config;
    config.device = "crypto_aesni_gcm_shared";
    EXPECT_TRUE(AeadDevice::create(config).ok()) << "and can be used again";
    EXPECT_EQ(rte_eal_hotplug_remove("vdev", "crypto_aesni_gcm_shared"), 0);
}

// Proves that the interface, not one driver, is what we use: another software device opens what the first has
// sealed.
TEST(Device, AnotherDriverInteroperates) {
    AeadConfig config;
    auto sealing = AeadDevice::create(config);
    config.device = "crypto_openssl";
    auto opening = AeadDevice::create(config);
    ASSERT_TRUE(sealing.ok()) << sealing.error().text;
    ASSERT_TRUE(opening.ok()) << opening.error().text;
    auto sealer = sealing.value()->make_sealer(fixture::secret_of(1), 1);
    auto opener = opening.value()->make_opener(fixture::secret_of(1), 1);
    ASSERT_TRUE(sealer.ok() && opener.ok());
    Random random(11);
    for (const std::size_t size : {1u, 16u, 1408u, 8768u}) {
        Packet packet(size, random);
        std::array seals{packet.seal_job(*sealer.value())};
        sealing.value()->seal(seals);
        packet.sealed()[0] ^= 1;
        std::array opens{packet.open_job(*opener.value())};
        opening.value()->open(opens);
        EXPECT_EQ(opens[0].result, DropReason::tag_bad) << size;
        packet.sealed()[0] ^= 1;
        opening.value()->open(opens);
        EXPECT_EQ(opens[0].result, DropReason::none) << size;
        EXPECT_EQ(packet.opened_bytes(), packet.plaintext_bytes()) << size;
    }
    EXPECT_EQ(opening.value()->device_errors(), 0u);
}

// Proves that calls without jobs, and bursts of one, are calls like others.
TEST(Device, EmptyAndSmallestCalls) {
    AeadConfig config;
    config.burst = 1;
    auto device = AeadDevice::create(config);
    ASSERT_TRUE(device.ok());
    device.value()->seal({});
    device.value()->open({});
    auto sealer = device.value()->make_sealer(fixture::secret_of(1), 1);
    auto opener = device.value()->make_opener(fixture::secret_of(1), 1);
    ASSERT_TRUE(sealer.ok() && opener.ok());
    Random random(1);
    std::vector<Packet> packets;
    std::vector<SealJob> seals;
    std::vector<OpenJob> opens;
    for (unsigned i = 0; i < 5; ++i)
        packets.emplace_back(0, random);
    for (Packet& packet : packets) {
        seals.push_back(packet.seal_job(*sealer.value()));
        seals.back().plaintext = nullptr;  // close carries no payload
        opens.push_back(packet.open_job(*opener.value()));
        opens.back().plaintext = nullptr;
    }
    device.value()->seal(seals);
    device.value()->open(opens);
    for (const OpenJob& job : opens)
        EXPECT_EQ(job.result, DropReason::none);
}

}  // namespace
}  // namespace longhaul::crypto
