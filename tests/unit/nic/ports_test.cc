// Ports in one process: opening, limits, loopback through net_ring, drops, closing without leaks.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_mempool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "drivers/nic/burst_gate.h"
#include "drivers/nic/nic.h"
#include "drivers/nic/steering.h"
#include "tests/unit/nic/frames.h"
#include "tests/unit/nic/network_lab.h"

namespace longhaul::nic {
namespace {

PortConfig port_on(const std::string& device) {
    PortConfig config;
    config.name = "wan0";
    config.device = device;
    return config;
}

// What goes into a net_ring port comes out of it, byte for byte and in order, jumbo frames too, and is
// counted.
TEST(Ports, RingLoopsFramesBack) {
    auto config = port_on("net_ring_loop");
    config.mtu = 9000;
    auto opened = Port::open(config);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    Port& port = *opened.value();
    EXPECT_TRUE(port.link_up());
    EXPECT_EQ(port.link_epoch(), 1u);
    const unsigned free_before = rte_mempool_avail_count(port.pool());
    rte_mbuf* frames[32];
    for (std::uint8_t i = 0; i < 32; ++i)
        ASSERT_NE(frames[i] = make_frame(port, 9014, i), nullptr);
    EXPECT_EQ(port.transmit(0, frames, 32), 32u);
    rte_mbuf* back[64];
    ASSERT_EQ(port.receive(0, back, 64), 32u);
    for (std::uint8_t i = 0; i < 32; ++i)
        EXPECT_TRUE(frame_is(back[i], 9014, i)) << int{i};
    rte_pktmbuf_free_bulk(back, 32);
    EXPECT_EQ(rte_mempool_avail_count(port.pool()), free_before);
    const PortStats stats = port.stats();
    EXPECT_EQ(stats.rx_packets, 32u);
    EXPECT_EQ(stats.tx_bytes, 32u * 9014);
    EXPECT_EQ(stats.rx_bytes, 32u * 9014);
}

// A full device takes what it can; the rest is freed and counted, in bounded time.
TEST(Ports, FullRingDropsAndCounts) {
    auto opened = Port::open(port_on("net_ring_full"));
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    Port& port = *opened.value();
    const unsigned free_before = rte_mempool_avail_count(port.pool());
    unsigned accepted = 0, offered = 0;
    while (offered < 2048) {
        rte_mbuf* frames[64];
        for (rte_mbuf*& frame : frames)
            ASSERT_NE(frame = make_frame(port, 60, 0), nullptr);
        accepted += port.transmit(0, frames, 64);
        offered += 64;
    }
    EXPECT_LT(accepted, offered);
    EXPECT_EQ(port.transmit_dropped(), offered - accepted);
    rte_mbuf* back[64];
    unsigned received = 0;
    for (unsigned got = port.receive(0, back, 64); got != 0; got = port.receive(0, back, 64)) {
        received += got;
        rte_pktmbuf_free_bulk(back, got);
    }
    EXPECT_EQ(received, accepted);
    EXPECT_EQ(rte_mempool_avail_count(port.pool()), free_before);
}

// A port can be closed and opened again under its name, as often as one likes.
TEST(Ports, ReopensUnderTheSameName) {
    for (int round = 0; round < 5; ++round) {
        auto opened = Port::open(port_on("net_null_again"));
        ASSERT_TRUE(opened.ok()) << opened.error().text;
        EXPECT_TRUE(opened.value()->recover().ok());
        EXPECT_TRUE(opened.value()->link_up());
    }
}

// What cannot work is refused with a text that names the port and says what to change.
TEST(Ports, RefusalsSayWhatToChange) {
    const auto text_of = [](const PortConfig& config) {
        auto opened = Port::open(config);
        return opened.ok() ? std::string("opened") : opened.error().text;
    };
    EXPECT_NE(text_of(port_on("eth7")).find("PCI address"), std::string::npos);
    EXPECT_NE(text_of(port_on("net_af_packet9,iface=nosuchinterface")).find("wan0"), std::string::npos);
    auto jumbo = port_on("net_memif9,role=server,socket=/unit-nic-jumbo");
    jumbo.mtu = 9000;
    EXPECT_NE(text_of(jumbo).find("set mtu = 1500"), std::string::npos) << text_of(jumbo);
    auto huge = port_on("net_null8");
    huge.mbufs = 10'000'000;
    EXPECT_NE(text_of(huge).find("memory_mib"), std::string::npos) << text_of(huge);
}

// A port opens with the queues that it can have and says how many: workers without one go through those of others. memif's
// own limit is high, but a queue that its peer lacks must not be polled.
TEST(Ports, OpensWithTheQueuesThereAre) {
    const std::pair<const char*, unsigned> cases[] = {{"net_null6", 4},
                                                      {"net_memif6,role=server,socket=/unit-nic-queues", 1}};
    for (const auto& [device, queues] : cases) {
        auto wanting = port_on(device);
        wanting.queues = wanting.users = 4;
        wanting.descriptors = 64;
        wanting.mbufs = 1024;
        auto opened = Port::open(wanting);
        ASSERT_TRUE(opened.ok()) << opened.error().text;
        EXPECT_EQ(opened.value()->config().queues, queues) << device;
    }
}

// What the device is told: frames of that sender to that UDP port, behind that VLAN, and nothing else, go to the queue.
TEST(Steering, ARuleNamesSenderPortAndQueue) {
    const SteeredFlow flow{wire::parse_ip("fd00::2").value(), 49155};
    const SteeringRule rule(flow, 7, 3);
    EXPECT_EQ(rule.attributes().ingress, 1u);
    const rte_flow_item* item = rule.pattern();
    EXPECT_EQ(item[0].type, RTE_FLOW_ITEM_TYPE_ETH);
    EXPECT_EQ(item[0].spec, nullptr);
    ASSERT_EQ(item[1].type, RTE_FLOW_ITEM_TYPE_VLAN);
    EXPECT_EQ(static_cast<const rte_flow_item_vlan*>(item[1].spec)->tci, rte_cpu_to_be_16(7));
    EXPECT_EQ(static_cast<const rte_flow_item_vlan*>(item[1].mask)->tci, rte_cpu_to_be_16(0x0fff));
    ASSERT_EQ(item[2].type, RTE_FLOW_ITEM_TYPE_IPV6);
    const auto& source = static_cast<const rte_flow_item_ipv6*>(item[2].spec)->hdr.src_addr;
    EXPECT_EQ(std::memcmp(source, flow.source.bytes.data(), sizeof source), 0);
    ASSERT_EQ(item[3].type, RTE_FLOW_ITEM_TYPE_UDP);
    EXPECT_EQ(static_cast<const rte_flow_item_udp*>(item[3].spec)->hdr.dst_port, rte_cpu_to_be_16(49155));
    EXPECT_EQ(static_cast<const rte_flow_item_udp*>(item[3].mask)->hdr.src_port,
              0);  // it may change with a bad path
    EXPECT_EQ(item[4].type, RTE_FLOW_ITEM_TYPE_END);
    ASSERT_EQ(rule.actions()[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
    EXPECT_EQ(static_cast<const rte_flow_action_queue*>(rule.actions()[0].conf)->index, 3);
    EXPECT_EQ(rule.actions()[1].type, RTE_FLOW_ACTION_TYPE_END);
}

// A device without flow rules says so, once asked, and goes on working; with one queue there is nothing to ask for.
TEST(Steering, ADeviceWithoutRulesRefusesInWords) {
    const SteeredFlow flow{wire::parse_ip("10.9.0.2").value(), 49152};
    auto wanting = port_on("net_null11");
    wanting.queues = wanting.users = 2;
    wanting.descriptors = 64;
    wanting.mbufs = 1024;
    auto opened = Port::open(wanting);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    const auto refused = opened.value()->steer(flow, 1);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
    EXPECT_NE(refused.error().text.find("flow rule"), std::string::npos) << refused.error().text;
    EXPECT_EQ(opened.value()->steer(flow, 2).error().code, ErrorCode::invalid_argument);
    opened.value()->forget(flow);
    EXPECT_TRUE(opened.value()->recover().ok());

    auto single = port_on("net_null12");
    single.mbufs = 1024;
    auto one = Port::open(single);
    ASSERT_TRUE(one.ok()) << one.error().text;
    EXPECT_TRUE(one.value()->steer(flow, 0).ok());
}

// The socket file of a killed memif server is cleared away; one with a living server behind it, or a file
// that is no socket, is left alone and refused.
TEST(Ports, MemifServerClearsStaleSockets) {
    const std::string path =
        (std::filesystem::temp_directory_path() / ("unit-nic-" + std::to_string(getpid()) + ".sock"))
            .string();
    const auto device = "net_memif7,role=server,socket-abstract=no,socket=" + path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const auto listen_there = [&] {
        const int descriptor = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        EXPECT_EQ(bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(descriptor, 8), 0);
        return descriptor;
    };
    int other = listen_there();
    auto refused = Port::open(port_on(device));
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().text.find("another process serves"), std::string::npos) << refused.error().text;
    close(other);  // as a killed process leaves it: the file stays
    ASSERT_TRUE(std::filesystem::exists(path));
    {
        auto opened = Port::open(port_on(device));
        ASSERT_TRUE(opened.ok()) << opened.error().text;
        EXPECT_FALSE(opened.value()->link_up());
    }
    EXPECT_FALSE(std::filesystem::exists(path)) << "a clean close removes the file";
    ASSERT_TRUE(std::filesystem::create_directory(path));
    EXPECT_FALSE(Port::open(port_on(device)).ok());
    EXPECT_TRUE(std::filesystem::exists(path));
    std::filesystem::remove(path);
}

// EAL's interrupt thread cannot take memory away while a burst is under way: its munmap waits, and holds off
// new bursts.
TEST(BurstGate, UnmappingWaitsForTheBurst) {
    BurstGate gate;
    ASSERT_TRUE(gate.enter(0));
    void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    std::atomic<bool> unmapped{false};
    std::thread interrupts([&] {
        pthread_setname_np(pthread_self(), "eal-intr-thread");
        EXPECT_EQ(munmap(page, 4096), 0);
        unmapped = true;
    });
    // When the gate refuses another queue's burst, the wait has begun.
    const auto refused = [&] {
        const bool entered = gate.enter(2);
        if (entered) gate.leave(2);
        return !entered;
    };
    EXPECT_TRUE(lab::poll_until(refused, [] { sched_yield(); }));
    EXPECT_FALSE(unmapped);
    EXPECT_EQ(*static_cast<volatile char*>(page), 0) << "still there";
    gate.leave(0);
    interrupts.join();
    EXPECT_TRUE(unmapped);
    EXPECT_TRUE(gate.enter(2));
    gate.leave(2);
}

}  // namespace
}  // namespace longhaul::nic
