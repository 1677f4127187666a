// Key phases: the key turns at its limits, both ends turn together, and reordering across the turn loses
// nothing.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto/fixture.h"

namespace longhaul::crypto {
namespace {

using fixture::Packet;
using wire::DropReason;

class KeyPhase : public fixture::DeviceTest {
  protected:
    std::vector<Packet> sealed_packets(std::size_t count, std::size_t bytes = 64) {
        std::vector<Packet> packets;
        for (std::size_t i = 0; i < count; ++i)
            packets.emplace_back(bytes, random_);
        seal(packets);
        return packets;
    }
    void start_with(std::uint64_t phase_packets) {
        AeadConfig config;
        config.phase_packets_max = phase_packets;
        start(config);
    }
};

// Proves that the key turns after exactly the allowed packets, in the middle of a call, while the number goes
// on.
TEST_F(KeyPhase, TurnsAtThePacketLimit) {
    start_with(50);
    auto packets = sealed_packets(175);
    for (unsigned i = 0; i < packets.size(); ++i) {
        EXPECT_EQ(packets[i].number(), i);
        EXPECT_EQ(packets[i].key_phase(), i / 50 % 2 == 1) << i;
        EXPECT_EQ(packets[i].sealed_bytes(), fixture::oracle_packet(secret_, i / 50, packets[i].header_view(),
                                                                    packets[i].plaintext_bytes()))
            << i;
    }
    EXPECT_EQ(sealer_->key_phases(), 3u);
}

// Proves that bytes count as well as packets: no phase seals more than its byte limit.
TEST_F(KeyPhase, TurnsAtTheByteLimit) {
    AeadConfig config;
    config.phase_bytes_max = kAeadBytesMax;
    start(config);
    const std::size_t each = 8768, per_phase = kAeadBytesMax / each;
    auto packets = sealed_packets(per_phase * 3, each);
    EXPECT_EQ(sealer_->key_phases(), 2u);
    for (std::size_t i = 0; i < packets.size(); ++i)
        EXPECT_EQ(packets[i].key_phase(), i / per_phase % 2 == 1) << i;
    for (Packet& packet : packets)
        EXPECT_EQ(open(packet), DropReason::none);
}

// Proves that the opener follows through many phases, in one call as well as packet by packet.
TEST_F(KeyPhase, OpenerFollows) {
    start_with(40);
    auto packets = sealed_packets(40 * 10);
    for (std::size_t i = 0; i < 200; ++i)
        ASSERT_EQ(open(packets[i]), DropReason::none) << i;
    for (std::size_t from = 200; from < packets.size(); from += 25) {
        std::vector<OpenJob> jobs;
        for (std::size_t i = from; i < from + 25; ++i)
            jobs.push_back(packets[i].open_job(*opener_));
        device_->open(jobs);
        for (std::size_t i = 0; i < jobs.size(); ++i)
            ASSERT_EQ(jobs[i].result, DropReason::none) << from + i;
    }
    for (Packet& packet : packets)
        EXPECT_EQ(packet.opened_bytes(), packet.plaintext_bytes());
    EXPECT_EQ(opener_->key_phases(), 9u);
    EXPECT_EQ(opener_->tags_bad(), 0u);
}

// Proves that packets of the old phase that arrive after the turn still pass, once each.
TEST_F(KeyPhase, ReorderingAcrossTheTurn) {
    start_with(100);
    auto packets = sealed_packets(200);
    for (unsigned i = 0; i < 90; ++i)
        EXPECT_EQ(open(packets[i]), DropReason::none);
    for (unsigned i = 110; i < 120; ++i)
        EXPECT_EQ(open(packets[i]), DropReason::none) << i;  // the turn
    for (unsigned i = 90; i < 110; ++i)
        EXPECT_EQ(open(packets[i]), DropReason::none) << i;  // late, of both phases
    for (unsigned i = 0; i < 120; ++i)
        EXPECT_EQ(open(packets[i]), DropReason::replayed) << i;
    EXPECT_EQ(opener_->key_phases(), 1u);
    EXPECT_EQ(opener_->tags_bad(), 0u);
}

// Proves the same for one call in which both phases are mixed, the new one first.
TEST_F(KeyPhase, MixedPhasesInOneCall) {
    start_with(20);
    auto packets = sealed_packets(40);
    EXPECT_EQ(open(packets[0]), DropReason::none);
    std::vector<OpenJob> jobs;
    for (unsigned i = 1; i < 20; ++i) {
        jobs.push_back(packets[40 - i].open_job(*opener_));
        jobs.push_back(packets[i].open_job(*opener_));
    }
    device_->open(jobs);
    for (const OpenJob& job : jobs)
        EXPECT_EQ(job.result, DropReason::none);
    EXPECT_EQ(opener_->key_phases(), 1u);
}

// Proves that a lane whose first packets were all lost still comes up in the next phase, and takes
// latecomers.
TEST_F(KeyPhase, FirstPacketSeenIsOfTheNextPhase) {
    start_with(10);
    auto packets = sealed_packets(15);
    EXPECT_EQ(open(packets[12]), DropReason::none);
    EXPECT_EQ(opener_->key_phases(), 1u);
    EXPECT_EQ(open(packets[3]), DropReason::none);
}

// Proves that a forged phase flag turns nothing: the true packets of the present phase go on passing, and so
// does the next phase when it really comes.
TEST_F(KeyPhase, ForgedFlagsTurnNothing) {
    start_with(30);
    auto packets = sealed_packets(60);
    EXPECT_EQ(open(packets[0]), DropReason::none);
    for (unsigned i = 1; i < 30; ++i) {
        Packet forged = packets[i];
        forged.header()[1] ^= wire::Flags::key_phase;
        EXPECT_EQ(open(forged), DropReason::tag_bad);
        EXPECT_EQ(opener_->key_phases(), 0u);
    }
    Packet low = packets[0];  // below all seen, with the other flag: no previous key exists in phase 0
    low.header()[1] ^= wire::Flags::key_phase;
    EXPECT_NE(open(low), DropReason::none);
    for (unsigned i = 1; i < 60; ++i)
        EXPECT_EQ(open(packets[i]), DropReason::none) << i;
    EXPECT_EQ(opener_->key_phases(), 1u);
    for (unsigned i = 0; i < 60; ++i) {
        Packet forged = packets[i];
        forged.header()[1] ^= wire::Flags::key_phase;
        EXPECT_EQ(open(forged), DropReason::replayed);
    }
}

// Proves the branch of phase 0 with a number that is fresh, low and flagged for another phase: refused and
// counted.
TEST_F(KeyPhase, NoKeyBeforePhaseZero) {
    start_with(30);
    auto packets = sealed_packets(10);
    EXPECT_EQ(open(packets[9]), DropReason::none);
    Packet forged = packets[4];
    forged.header()[1] ^= wire::Flags::key_phase;
    EXPECT_EQ(open(forged), DropReason::tag_bad);
    EXPECT_EQ(opener_->tags_bad(), 1u);
    EXPECT_EQ(open(packets[4]), DropReason::none);
}

// Proves that an old phase's key is gone two turns later: its packets fail although they are inside the
// window.
TEST_F(KeyPhase, OnlyOnePhaseBackIsKept) {
    start_with(20);
    auto packets = sealed_packets(60);
    for (const unsigned i : {0u, 25u, 45u})
        EXPECT_EQ(open(packets[i]), DropReason::none) << i;
    EXPECT_EQ(opener_->key_phases(), 2u);
    EXPECT_EQ(open(packets[26]), DropReason::none);
    EXPECT_EQ(open(packets[5]), DropReason::tag_bad);
}

}  // namespace
}  // namespace longhaul::crypto
