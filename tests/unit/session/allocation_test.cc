// The per-packet path allocates nothing once it runs: every operator new between two marks is counted.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <new>

#include "tests/unit/session/fixture.h"

namespace {
std::uint64_t allocations = 0;
}

void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* memory = std::malloc(bytes)) return memory;
    std::abort();
}
void* operator new[](std::size_t bytes) {
    return ::operator new(bytes);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace longhaul::session {
namespace {

using testing::head_for;
using testing::Pool;

// One large bundle over a wire that drops every 50th packet: reads, stripes, parity, feedback, repairs,
// decoding and writes of the steady state happen without a single allocation.
TEST(Allocation, SteadyStateAllocatesNothing) {
    Parameters parameters;
    parameters.symbol_bytes = 1024;
    parameters.stripe_symbols = 16;
    parameters.lanes = 2;
    constexpr std::uint64_t kPayload = 3000ull * 16 * 1024;
    Pool send_memory(parameters, 256), receive_memory(parameters, 256);
    fec::Codec codec;
    TimeNs now = kSecond;
    SenderConfig sender_config;
    sender_config.parameters = parameters;
    ReceiverConfig receiver_config;
    receiver_config.parameters = parameters;
    Sender sender(sender_config, codec, send_memory.pool, congestion::make_reserved({}), now);
    Receiver receiver(receiver_config, codec, receive_memory.pool, now);

    BundleOffer offer;
    offer.id = {1, 1};
    offer.head = head_for(kPayload);
    offer.payload_bytes = kPayload;
    ASSERT_TRUE(sender.offer(std::move(offer), now));

    std::uint64_t numbers[2] = {0, 0}, reverse[2] = {0, 0}, packets = 0, written = 0;
    std::vector<std::uint8_t> feedback_bytes;
    wire::Feedback feedback;
    std::uint64_t mark = 0, counted = 0, marked_at = 0;
    const auto deliver = [&](PacketOut packet) {
        packet.header.packet_number = numbers[packet.header.lane]++;
        if (++packets % 50 == 0) return;
        if (packet.header.type == wire::PacketType::ping) {
            wire::Ping ping;
            ASSERT_EQ(wire::parse_ping({packet.payload, packet.payload_bytes}, ping), wire::DropReason::none);
            receiver.on_authentic(packet.header, 72, now);
            receiver.on_ping(packet.header.lane, ping, now);
            return;
        }
        const Ticket ticket = receiver.admit(packet.header, packet.payload_bytes, now);
        if (ticket.drop == wire::DropReason::none) {
            std::memcpy(ticket.into, packet.payload, packet.payload_bytes);
            receiver.settle(packet.header, ticket, true, now);
        }
        receiver.on_authentic(packet.header, packet.payload_bytes + 48, now);
    };
    for (; written < kPayload && now < 100 * kSecond; now += 20 * kMicrosecond) {
        while (auto read = sender.next_read(now)) {
            std::memset(read->into, 5, read->bytes);
            sender.read_done(read->block, now);
        }
        while (auto ping = sender.next_ping(now))
            deliver(*ping);
        while (auto packet = sender.next_packet(now))
            deliver(*packet);
        while (auto head = receiver.next_head())
            receiver.open_bundle(head->bundle);
        while (auto write = receiver.next_write()) {
            written += write->bytes;
            receiver.write_done(write->block, now);
        }
        while (const auto lane = receiver.next_feedback(now, feedback_bytes)) {
            ASSERT_EQ(wire::parse_feedback({feedback_bytes.data(), feedback_bytes.size()}, feedback),
                      wire::DropReason::none);
            wire::Header header;
            header.type = wire::PacketType::feedback;
            header.lane = *lane;
            header.packet_number = reverse[*lane]++;
            header.tx_time_us = wire_clock_us(now);
            sender.on_authentic(header, now);
            sender.on_feedback(feedback, now);
        }
        if (marked_at == 0 && written > kPayload / 3) {
            mark = allocations;
            marked_at = written;
        }
        if (marked_at != 0 && written < kPayload * 9 / 10) counted = allocations - mark;
    }
    EXPECT_EQ(written, kPayload);
    EXPECT_GT(sender.stats().repair_packets + sender.stats().resent_packets, 0u);
    EXPECT_GT(receiver.stats().symbols_restored, 0u);
    EXPECT_EQ(counted, 0u);
}

}  // namespace
}  // namespace longhaul::session
