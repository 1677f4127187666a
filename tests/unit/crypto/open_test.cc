// Opening: what is not exactly what the sealer sent, or was sent before, is dropped with its reason and
// changes nothing.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto/fixture.h"

namespace longhaul::crypto {
namespace {

using fixture::Bytes;
using fixture::Packet;
using wire::DropReason;

class Open : public fixture::DeviceTest {
  protected:
    std::vector<Packet> sealed_packets(std::size_t count, std::size_t bytes = 64) {
        std::vector<Packet> packets;
        for (std::size_t i = 0; i < count; ++i)
            packets.emplace_back(bytes, random_);
        seal(packets);
        return packets;
    }
};

// Proves that every bit of header, ciphertext and tag is protected, and that the true packet still passes
// afterwards: a forgery has noted nothing.
TEST_F(Open, EveryBitIsProtected) {
    start();
    auto packets = sealed_packets(1, 48);
    Packet& packet = packets[0];
    std::uint64_t forgeries = 0;
    const auto expect_refused = [&](std::uint8_t* byte, std::uint8_t bit, std::size_t where) {
        *byte ^= bit;
        EXPECT_EQ(open(packet), DropReason::tag_bad) << where;
        *byte ^= bit;
        EXPECT_EQ(opener_->tags_bad(), ++forgeries);
    };
    for (std::size_t i = 0; i < wire::kHeaderBytes; ++i)
        for (unsigned bit = 0; bit < 8; ++bit)
            expect_refused(packet.header() + i, static_cast<std::uint8_t>(1u << bit), i);
    for (std::size_t i = 0; i < packet.bytes() + wire::kTagBytes; ++i)
        for (unsigned bit = 0; bit < 8; ++bit)
            expect_refused(packet.sealed() + i, static_cast<std::uint8_t>(1u << bit), 100 + i);
    EXPECT_EQ(opener_->packets_opened(), 0u);
    EXPECT_EQ(opener_->key_phases(), 0u);
    EXPECT_EQ(open(packet), DropReason::none);
    EXPECT_EQ(packet.opened_bytes(), packet.plaintext_bytes());
    EXPECT_EQ(opener_->packets_opened(), 1u);
}

// Proves that a packet cut or lengthened by a byte is refused.
TEST_F(Open, LengthIsProtected) {
    start();
    auto packets = sealed_packets(1, 48);
    for (const std::uint32_t bytes : {0u, 32u, 47u}) {
        std::array jobs{packets[0].open_job(*opener_)};
        jobs[0].bytes = bytes;
        device_->open(jobs);
        EXPECT_EQ(jobs[0].result, DropReason::tag_bad) << bytes;
    }
    EXPECT_EQ(open(packets[0]), DropReason::none);
}

// Proves that another lane's key, or the key of a session with another nonce, opens nothing.
TEST_F(Open, ForeignKeysOpenNothing) {
    start();
    auto packets = sealed_packets(1);
    auto other = device_->make_opener(fixture::secret_of(0x43), fixture::kSpi);
    ASSERT_TRUE(other.ok());
    std::array jobs{packets[0].open_job(*other.value())};
    device_->open(jobs);
    EXPECT_EQ(jobs[0].result, DropReason::tag_bad);
    EXPECT_EQ(other.value()->tags_bad(), 1u);
    EXPECT_EQ(opener_->tags_bad(), 0u);
}

// Proves that an authentic packet passes once: again at once, again later, each time `replayed`, without the
// device.
TEST_F(Open, ReplaysAreRefusedBeforeDecryption) {
    start();
    auto packets = sealed_packets(3);
    for (Packet& packet : packets)
        EXPECT_EQ(open(packet), DropReason::none);
    for (Packet& packet : packets) {
        std::fill_n(packet.opened(), packet.bytes(), std::uint8_t{0xee});
        EXPECT_EQ(open(packet), DropReason::replayed);
        EXPECT_EQ(packet.opened_bytes(), Bytes(packet.bytes(), 0xee))
            << "a replay must not even be decrypted";
    }
    EXPECT_EQ(opener_->tags_bad(), 0u);
    EXPECT_EQ(opener_->packets_opened(), 3u);
}

// Proves that of twins in one call exactly one passes, wherever they stand in the bursts, and that a forgery
// with the same number in front of the true packet does not shut it out.
TEST_F(Open, TwinsInOneCall) {
    AeadConfig config;
    config.burst = 8;
    start(config);
    for (const std::size_t distance : {1u, 3u, 7u, 8u, 20u}) {
        auto packets = sealed_packets(24);
        Bytes twin_slot(64), forged = packets[0].sealed_bytes();
        forged[5] ^= 1;
        Bytes forged_slot(64);
        std::vector<OpenJob> jobs;
        jobs.push_back(packets[0].open_job(*opener_));
        jobs.back().sealed = forged.data();
        jobs.back().plaintext = forged_slot.data();
        for (Packet& packet : packets)
            jobs.push_back(packet.open_job(*opener_));
        OpenJob twin = packets[0].open_job(*opener_);
        twin.plaintext = twin_slot.data();
        jobs.insert(jobs.begin() + 1 + static_cast<std::ptrdiff_t>(distance), twin);
        device_->open(jobs);
        unsigned passed = 0, replayed = 0, bad = 0;
        for (const OpenJob& job : jobs) {
            passed += job.result == DropReason::none;
            replayed += job.result == DropReason::replayed;
            bad += job.result == DropReason::tag_bad;
        }
        EXPECT_EQ(passed, 24u) << distance;
        EXPECT_EQ(replayed, 1u) << distance;
        EXPECT_EQ(bad, 1u) << distance;
        EXPECT_EQ(jobs[0].result, DropReason::tag_bad);
    }
}

// Proves the window through the device: the oldest number inside passes late, the one before it does not.
TEST_F(Open, WindowEdges) {
    start();
    auto packets = sealed_packets(kReplayWindow + 2, 16);
    EXPECT_EQ(open(packets.back()), DropReason::none);  // number kReplayWindow + 1
    EXPECT_EQ(open(packets[1]), DropReason::replayed);  // kReplayWindow behind
    EXPECT_EQ(open(packets[0]), DropReason::replayed);
    EXPECT_EQ(open(packets[2]), DropReason::none);
    EXPECT_EQ(open(packets[2]), DropReason::replayed);
    EXPECT_EQ(open(packets[3]), DropReason::none);
}

// Proves that a forged high number cannot move the window and shut true packets out.
TEST_F(Open, ForgedNumbersDoNotMoveTheWindow) {
    start();
    auto packets = sealed_packets(2);
    EXPECT_EQ(open(packets[0]), DropReason::none);
    for (const std::uint64_t number :
         {std::uint64_t{100'000}, std::uint64_t{1} << 63, ~std::uint64_t{0} - 1}) {
        Packet forged = packets[1];
        ByteWriter(MutableByteView(forged.header() + 8, 8)).u64(number);
        EXPECT_EQ(open(forged), DropReason::tag_bad);
    }
    EXPECT_EQ(open(packets[1]), DropReason::none);
}

// Proves that any order of arrival within the window gives every packet exactly once, through mixed bursts.
TEST_F(Open, RandomOrderWithDuplicates) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed) +
                     "; replay: unit-crypto --gtest_filter=Open.RandomOrder*");
        Random random(seed);
        sealer_.reset();
        opener_.reset();
        device_.reset();
        start();
        auto packets = sealed_packets(1000, 24);
        std::vector<std::size_t> order;
        for (std::size_t i = 0; i < packets.size(); ++i)
            order.insert(order.end(), 1 + random.below(2), i);
        for (std::size_t i = order.size() - 1; i > 0; --i)
            std::swap(order[i], order[random.below(i + 1)]);
        std::vector<unsigned> passed(packets.size());
        for (std::size_t from = 0; from < order.size();) {
            const std::size_t count = std::min<std::size_t>(1 + random.below(100), order.size() - from);
            std::vector<Bytes> slots(count, Bytes(24));  // twins may not share a slot within one call
            std::vector<OpenJob> jobs;
            for (std::size_t i = 0; i < count; ++i) {
                jobs.push_back(packets[order[from + i]].open_job(*opener_));
                jobs.back().plaintext = slots[i].data();
            }
            device_->open(jobs);
            for (std::size_t i = 0; i < count; ++i) {
                if (jobs[i].result != DropReason::none) {
                    ASSERT_EQ(jobs[i].result, DropReason::replayed);
                    continue;
                }
                ++passed[order[from + i]];
                ASSERT_EQ(slots[i], packets[order[from + i]].plaintext_bytes());
            }
            from += count;
        }
        EXPECT_EQ(passed, std::vector<unsigned>(packets.size(), 1u));
    }
}

// Proves that after the limit of forgeries nothing passes any more, true packets included, and that the count
// stands.
TEST_F(Open, ForgeryLimitRefusesEverything) {
    AeadConfig config;
    config.forgeries_max = 10;
    start(config);
    auto packets = sealed_packets(2);
    EXPECT_EQ(open(packets[0]), DropReason::none);
    Packet forged = packets[1];
    forged.sealed()[0] ^= 1;
    for (unsigned i = 0; i < 10; ++i) {
        EXPECT_FALSE(opener_->exhausted());
        EXPECT_EQ(open(forged), DropReason::tag_bad);
    }
    EXPECT_TRUE(opener_->exhausted());
    EXPECT_EQ(open(packets[1]), DropReason::tag_bad);
    EXPECT_EQ(opener_->packets_opened(), 1u);
    EXPECT_EQ(opener_->tags_bad(), 10u);
}

}  // namespace
}  // namespace longhaul::crypto
