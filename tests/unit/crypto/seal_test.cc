// Sealing: bit for bit what OpenSSL does with the documented key and nonce, from any alignment, touching
// nothing else.
// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "tests/unit/crypto/digits.h"
#include "tests/unit/crypto/fixture.h"

namespace longhaul::crypto {
namespace {

using fixture::Bytes;
using fixture::bytes_of;
using fixture::Packet;

class Seal : public fixture::DeviceTest {};

// Proves that the oracle is AES-256-GCM: test case 16 of the GCM specification (McGrew and Viega).
TEST(Oracle, PublishedVector) {
    const Bytes key = bytes_of("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    const Bytes nonce = bytes_of("cafebabefacedbaddecaf888");
    const Bytes associated = bytes_of("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    const Bytes plaintext = bytes_of(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16a"
        "edf5aa0de657"
        "ba637b39");
    const Bytes expected = bytes_of(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f6"
        "1e6393ba7a0a"
        "bcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    EXPECT_EQ(fixture::oracle_seal(key, nonce, associated, plaintext), expected);
}

// Proves for every length class that ciphertext and tag equal OpenSSL's, that the plaintext is left as it
// was, and that not a byte beside the packet is written.
TEST_F(Seal, EqualsOpenSslAtEveryLength) {
    start();
    std::vector<Packet> packets;
    std::vector<std::size_t> sizes{0,   1,    2,    15,   16,   17,   31,   32,   33,   47,
                                   48,  63,   64,   65,   127,  128,  129,  255,  256,  257,
                                   511, 1344, 1407, 1408, 1409, 4095, 4096, 8768, 8896, kAeadBytesMax};
    for (const std::size_t size : sizes)
        packets.emplace_back(size, random_);
    std::vector<Bytes> before;
    for (Packet& packet : packets)
        before.push_back(packet.plaintext_bytes());
    seal(packets);
    for (std::size_t i = 0; i < packets.size(); ++i) {
        Packet& packet = packets[i];
        EXPECT_EQ(packet.sealed_bytes(), fixture::oracle_packet(secret_, 0, packet.header_view(), before[i]))
            << sizes[i];
        EXPECT_EQ(packet.plaintext_bytes(), before[i])
            << "the source is somebody's block: out of place means untouched";
        EXPECT_TRUE(packet.guards_intact()) << sizes[i];
        EXPECT_EQ(open(packet), wire::DropReason::none) << sizes[i];
        EXPECT_EQ(packet.opened_bytes(), before[i]) << sizes[i];
        EXPECT_TRUE(packet.guards_intact()) << sizes[i];
    }
}

// Proves that source and destination may stand at any alignment within a cache line.
TEST_F(Seal, AnyAlignment) {
    start();
    for (std::size_t misalignment = 0; misalignment < 64; ++misalignment) {
        std::vector<Packet> packets;
        packets.emplace_back(1408, random_, misalignment);
        const Bytes before = packets[0].plaintext_bytes();
        seal(packets);
        EXPECT_EQ(packets[0].sealed_bytes(),
                  fixture::oracle_packet(secret_, 0, packets[0].header_view(), before))
            << misalignment;
        EXPECT_EQ(open(packets[0]), wire::DropReason::none);
        EXPECT_EQ(packets[0].opened_bytes(), before) << misalignment;
        EXPECT_TRUE(packets[0].guards_intact()) << misalignment;
    }
}

// Proves that a header straight before its payload, as packets lie in an mbuf, works like separate memory.
TEST_F(Seal, HeaderAndPayloadInOneBuffer) {
    start();
    Bytes packet(wire::kHeaderBytes + 1408 + wire::kTagBytes, 0x33), plaintext(1408, 0x44), opened(1408);
    std::array jobs{
        SealJob{sealer_.get(), packet.data(), plaintext.data(), packet.data() + wire::kHeaderBytes, 1408}};
    device_->seal(jobs);
    std::array back{
        OpenJob{opener_.get(), packet.data(), packet.data() + wire::kHeaderBytes, opened.data(), 1408}};
    device_->open(back);
    EXPECT_EQ(back[0].result, wire::DropReason::none);
    EXPECT_EQ(opened, plaintext);
}

// Proves that exactly the SPI, the packet number and the key phase are stamped and every other header bit is
// kept.
TEST_F(Seal, StampsOnlyItsOwnFields) {
    start();
    for (const std::uint8_t fill : {std::uint8_t{0x00}, std::uint8_t{0xff}}) {
        std::vector<Packet> packets;
        packets.emplace_back(100, random_);
        Packet& packet = packets[0];
        std::fill_n(packet.header(), wire::kHeaderBytes, fill);
        seal(packets);
        ByteReader reader(packet.header_view().subspan(4));
        EXPECT_EQ(reader.u32(), fixture::kSpi);
        EXPECT_EQ(reader.u64(), sealer_->packets_sealed() - 1);
        EXPECT_EQ(packet.header()[0], fill);
        EXPECT_EQ(packet.header()[1], fill & ~wire::Flags::key_phase);
        EXPECT_EQ(packet.header()[2], fill);
        EXPECT_EQ(packet.header()[3], fill);
        for (std::size_t i = 16; i < wire::kHeaderBytes; ++i)
            EXPECT_EQ(packet.header()[i], fill) << i;
    }
}

// Proves that lanes share nothing: mixed in one call, each counts from 0 and seals with its own key.
TEST_F(Seal, LanesOfOneCallAreIndependent) {
    start();
    constexpr unsigned kLanes = 5, kEach = 41;  // more jobs than a burst, and no multiple of it
    std::vector<std::unique_ptr<LaneSealer>> lanes;
    for (unsigned i = 0; i < kLanes; ++i) {
        auto lane = device_->make_sealer(fixture::secret_of(static_cast<std::uint8_t>(i)), 100 + i);
        ASSERT_TRUE(lane.ok());
        lanes.push_back(std::move(lane).value());
    }
    std::vector<Packet> packets;
    for (unsigned i = 0; i < kLanes * kEach; ++i)
        packets.emplace_back(random_.below(300), random_);
    std::vector<SealJob> jobs;
    for (unsigned i = 0; i < packets.size(); ++i)
        jobs.push_back(packets[i].seal_job(*lanes[i % kLanes]));
    device_->seal(jobs);
    for (unsigned i = 0; i < packets.size(); ++i) {
        EXPECT_EQ(packets[i].number(), i / kLanes);
        const LaneSecret secret = fixture::secret_of(static_cast<std::uint8_t>(i % kLanes));
        EXPECT_EQ(packets[i].sealed_bytes(),
                  fixture::oracle_packet(secret, 0, packets[i].header_view(), packets[i].plaintext_bytes()));
    }
    for (const auto& lane : lanes)
        EXPECT_EQ(lane->packets_sealed(), kEach);
}

// Proves over two turns of the key and 100,000 packets that no (key, nonce) pair is used twice: numbers only
// rise, and each phase has a key of its own.
TEST_F(Seal, NoncesAreNeverReused) {
    AeadConfig config;
    config.phase_packets_max = 45'000;
    start(config);
    std::set<std::pair<std::array<std::uint8_t, 32>, std::array<std::uint8_t, 12>>> used;
    std::vector<KeyMaterial> phases;
    LaneSecret phase_secret = secret_;
    for (unsigned i = 0; i < 3; ++i) {
        phases.push_back(key_material(phase_secret).value());
        phase_secret = next_phase(phase_secret).value();
    }
    std::vector<Packet> packets;
    for (unsigned i = 0; i < 100; ++i)
        packets.emplace_back(16, random_);
    for (std::uint64_t sealed = 0; sealed < 100'000;) {
        seal(packets);
        for (Packet& packet : packets) {
            const auto phase = static_cast<unsigned>(sealed / 45'000);
            ASSERT_EQ(packet.number(), sealed);
            ASSERT_EQ(packet.key_phase(), phase % 2 == 1);
            const auto nonce = fixture::nonce_of(phases[phase], packet.number());
            ASSERT_TRUE(used.emplace(phases[phase].key, nonce).second);
            ASSERT_EQ(packet.sealed_bytes(),  // it really was this key and this nonce
                      fixture::oracle_seal(phases[phase].key, nonce, packet.header_view(),
                                           packet.plaintext_bytes()));
            ++sealed;
        }
    }
    EXPECT_EQ(used.size(), 100'000u);
    EXPECT_EQ(sealer_->key_phases(), 2u);
}

}  // namespace
}  // namespace longhaul::crypto
