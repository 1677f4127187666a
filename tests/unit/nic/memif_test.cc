// memif between two processes, and what happens when the other one is killed in the middle of traffic: this
// process survives, drops and counts what it cannot send, and the port works again when the other one comes
// back.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_mempool.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/nic/frames.h"
#include "tests/unit/nic/network_lab.h"

namespace longhaul::nic {
namespace {

constexpr int kKills = 5;

class MemifTest : public testing::TestWithParam<std::string> {
  protected:
    // Abstract socket names live in the network namespace; this one is the test process's own.
    static std::string device(const std::string& role) {
        return "net_memif_" + role + ",role=" + role + ",socket=/unit-nic-memif-" + std::to_string(getpid());
    }
    std::string peer_directory_ =
        (std::filesystem::temp_directory_path() / ("unit-nic-peer-" + std::to_string(getpid()))).string();
    lab::Child start_peer(const std::string& role) {
        return lab::Child(std::vector<std::string>{"--echo", device(role), peer_directory_});
    }
    ~MemifTest() override { std::filesystem::remove_all(peer_directory_); }

    // One burst out, whatever there is back in; counts frames that came back whole.
    void exchange(Port& port) {
        rte_mbuf* frames[16];
        if (rte_pktmbuf_alloc_bulk(port.pool(), frames, 16) == 0) {
            for (rte_mbuf* frame : frames) {
                auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, 1200));
                for (unsigned i = 0; i < 1200; ++i)
                    data[i] = static_cast<std::uint8_t>(5 + i);
            }
            sent_ += port.transmit(0, frames, 16);
        }
        rte_mbuf* back[64];
        const unsigned received = port.receive(0, back, 64);
        for (unsigned i = 0; i < received; ++i) {
            whole_ += frame_is(back[i], 1200, 5);
            broken_ += !frame_is(back[i], 1200, 5);
        }
        rte_pktmbuf_free_bulk(back, received);
        if (received == 0) sched_yield();
    }
    std::uint64_t sent_ = 0, whole_ = 0, broken_ = 0;
};

TEST_P(MemifTest, SurvivesAKilledPeerAndWorksAgain) {
    const std::string peer_role = GetParam();
    PortConfig config;
    config.name = "wan0";
    config.device = device(peer_role == "server" ? "client" : "server");
    auto opened = Port::open(config);
    ASSERT_TRUE(opened.ok()) << opened.error().text
                             << " (a client without a server opens with its link down)";
    Port& port = *opened.value();
    EXPECT_FALSE(port.link_up());
    const unsigned free_before = rte_mempool_avail_count(port.pool());

    rte_mbuf* early = make_frame(port, 60, 0);
    EXPECT_EQ(port.transmit(0, &early, 1), 0u);
    EXPECT_EQ(port.transmit_dropped(), 1u) << "a link that is down drops and counts";

    for (int round = 1; round <= kKills; ++round) {
        lab::Child peer = start_peer(peer_role);
        const std::uint64_t before = whole_;
        ASSERT_TRUE(lab::poll_until([&] { return whole_ > before + 2000; }, [&] { exchange(port); }))
            << "round " << round << ", peer " << (peer.running() ? "alive" : "dead") << ": "
            << whole_ - before << " frames came back, link " << port.link_up();
        EXPECT_EQ(port.link_epoch(), static_cast<std::uint64_t>(round));
        const std::uint64_t counted = port.stats().rx_packets;
        // The kill falls into the middle of bursts: they go on until the link is seen to be down.
        peer.kill_now();
        ASSERT_TRUE(lab::poll_until([&] { return !port.link_up(); }, [&] { exchange(port); }))
            << "round " << round;
        const std::uint64_t dropped = port.transmit_dropped();
        for (int i = 0; i < 100; ++i)
            exchange(port);
        EXPECT_GT(port.transmit_dropped(), dropped);
        EXPECT_GE(port.stats().rx_packets, counted) << "counters do not go back";
    }
    EXPECT_EQ(broken_, 0u);
    EXPECT_EQ(rte_mempool_avail_count(port.pool()), free_before) << "no frame is lost with a peer";
}

INSTANTIATE_TEST_SUITE_P(BothWays, MemifTest, testing::Values("client", "server"), [](const auto& role) {
    return "Peer" + std::string(role.param == "client" ? "Client" : "Server");
});

}  // namespace
}  // namespace longhaul::nic
