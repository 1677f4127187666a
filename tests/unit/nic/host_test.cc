// The neighbour duties against Linux's own stack, through real ports: Linux resolves and pings the port's
// addresses, the port resolves Linux.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sched.h>

#include <chrono>
#include <future>

#include "drivers/nic/nic.h"
#include "tests/unit/nic/network_lab.h"

namespace longhaul::nic {
namespace {

TimeNs now_ns() {
    return static_cast<TimeNs>(std::chrono::steady_clock::now().time_since_epoch().count());
}

void send_bytes(Port& port, ByteView bytes) {
    rte_mbuf* frame = rte_pktmbuf_alloc(port.pool());
    ASSERT_NE(frame, nullptr);
    std::copy(
        bytes.begin(), bytes.end(),
        reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, static_cast<std::uint16_t>(bytes.size()))));
    port.transmit(0, &frame, 1);
}

void serve(Port& port, Neighbours& host) {
    std::uint8_t out[2048];
    rte_mbuf* frames[32];
    const unsigned received = port.receive(0, frames, 32);
    for (unsigned i = 0; i < received; ++i) {
        const ByteView frame(rte_pktmbuf_mtod(frames[i], const std::uint8_t*), frames[i]->data_len);
        const std::size_t bytes = host.handle(frame, now_ns(), out);
        if (bytes != 0) send_bytes(port, {out, bytes});
    }
    rte_pktmbuf_free_bulk(frames, received);
    const std::size_t bytes = host.next_request(now_ns(), out);
    if (bytes != 0) send_bytes(port, {out, bytes});
    if (received == 0) sched_yield();
}

// Pings both addresses from the kernel on the other end while the port serves; then the port asks for the
// kernel.
void expect_a_good_host(Port& port, const lab::Child& holder) {
    Neighbours host(port.mac(), port.config().addresses, {}, {}, 0);
    for (const char* target : {"10.77.0.1", "fd00:77::1"}) {
        auto pinging = std::async(std::launch::async, [&] { return lab::ping(holder, target, 3).size(); });
        ASSERT_TRUE(lab::poll_until(
            [&] { return pinging.wait_for(std::chrono::seconds(0)) == std::future_status::ready; },
            [&] { serve(port, host); }));
        EXPECT_EQ(pinging.get(), 3u) << target;
    }
    EXPECT_GE(host.counters().arp_replies, 1u);
    EXPECT_GE(host.counters().nd_replies, 1u);
    EXPECT_EQ(host.counters().echo_replies, 6u);
    std::string table;
    lab::run(lab::inside(holder, "ip neigh"), &table);
    EXPECT_NE(table.find("lladdr " + wire::to_string(port.mac())), std::string::npos) << table;

    for (const char* target : {"10.77.0.2", "fd00:77::2"}) {
        const auto address = wire::parse_ip(target).value();
        ASSERT_TRUE(lab::poll_until([&] { return host.resolve(address, now_ns()).has_value(); },
                                    [&] { serve(port, host); }))
            << target;
        EXPECT_NE(*host.resolve(address, now_ns()), port.mac());
    }
    EXPECT_EQ(host.known(now_ns()).size(), 2u);
    EXPECT_EQ(host.counters().conflicts, 0u);
}

Result<std::unique_ptr<Port>> open_host(const std::string& device) {
    PortConfig config;
    config.name = "wan0";
    config.device = device;
    config.addresses = {parse_prefix("10.77.0.1/24").value(), parse_prefix("fd00:77::1/64").value()};
    return Port::open(config);
}

class HostTest : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string why = lab::why_no_namespaces(); !why.empty()) GTEST_SKIP() << why;
        holder_ = lab::Child::namespace_holder();
        ASSERT_GT(holder_.pid(), 0);
        ASSERT_TRUE(lab::make_veth("lhnic0", "lhnic1", holder_));
    }
    void TearDown() override { lab::run("ip link del lhnic0"); }
    lab::Child holder_;
};

TEST_F(HostTest, AnswersLinuxThroughAfPacket) {
    auto opened = open_host("net_af_packet0,iface=lhnic0");
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    expect_a_good_host(*opened.value(), holder_);
}

TEST_F(HostTest, AnswersLinuxThroughAfXdp) {
    auto opened = open_host("net_af_xdp0,iface=lhnic0,force_copy=1");
    if (!opened) GTEST_SKIP() << "AF_XDP is not to be had here: " << opened.error().text;
    expect_a_good_host(*opened.value(), holder_);
}

}  // namespace
}  // namespace longhaul::nic
