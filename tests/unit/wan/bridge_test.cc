// The tool as a user runs it: longhaul-wan between two network namespaces with Linux's own stack at both
// ends, and between two processes over memif by way of its control socket.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "drivers/wan/tool/control_socket.h"
#include "tests/unit/nic/network_lab.h"

namespace longhaul::wan {
namespace {

namespace lab = nic::lab;
using std::chrono::milliseconds;

class BridgeTest : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string why = lab::why_no_namespaces(); !why.empty()) GTEST_SKIP() << why;
        const char* tool = std::getenv("LONGHAUL_WAN");
        ASSERT_NE(tool, nullptr) << "set LONGHAUL_WAN to the built longhaul-wan";
        tool_ = tool;
        std::filesystem::create_directories(directory_);
        a_ = lab::Child::namespace_holder();
        b_ = lab::Child::namespace_holder();
        ASSERT_GT(a_.pid(), 0);
        ASSERT_GT(b_.pid(), 0);
    }
    void TearDown() override {
        wan_.kill_now();
        std::filesystem::remove_all(directory_);
    }
    void start_tool(std::vector<std::string> arguments) {
        for (const char* word : {"--socket", socket_.c_str(), "--run-directory", directory_.c_str(),
                                 "--no-hugepages", "--file-prefix", "unit-wan-bridge"})
            arguments.emplace_back(word);
        wan_ = lab::Child(arguments, tool_);
        ASSERT_TRUE(lab::poll_until([&] { return !wan_.running() || ask(socket_, "show").ok(); },
                                    [] { sched_yield(); }));
        ASSERT_TRUE(wan_.running()) << "it ended; its own lines above say why";
    }
    void start_between_namespaces(std::vector<std::string> settings) {
        settings.insert(settings.begin(),
                        {"--a", "tap:lhwan@/proc/" + std::to_string(a_.pid()) + "/ns/net",  //
                         "--b", "tap:lhwan2@/proc/" + std::to_string(b_.pid()) + "/ns/net"});
        ASSERT_NO_FATAL_FAILURE(start_tool(settings));
        const std::pair<const lab::Child&, const char*> ends[] = {{a_, "lhwan"}, {b_, "lhwan2"}};
        for (const auto& [end, device] : ends) {
            const std::string last = device == std::string("lhwan") ? "1" : "2";
            ASSERT_EQ(lab::run(lab::inside(end, "ip addr add 10.78.0." + last + "/24 dev " + device)), 0);
            ASSERT_EQ(lab::run(lab::inside(end, std::string("ip link set ") + device + " up")), 0);
        }
    }
    nlohmann::json show() { return nlohmann::json::parse(ask(socket_, "show").value()); }
    std::string tell(const std::string& line) {
        auto answer = ask(socket_, line);
        return answer ? answer.value() : answer.error().text;
    }

    std::string tool_;
    std::string directory_ =
        (std::filesystem::temp_directory_path() / ("unit-wan-bridge-" + std::to_string(getpid()))).string();
    std::string socket_ = directory_ + "/wan.sock";
    lab::Child a_, b_, wan_;
};

// Linux pings Linux across the link: never faster than twice the delay, cut by loss and by down, back when
// these end.
TEST_F(BridgeTest, LinuxSeesTheLink) {
    ASSERT_NO_FATAL_FAILURE(
        start_between_namespaces({"--rate", "100M", "--delay", "20ms", "--b-delay", "30ms"}));
    const auto answers = lab::ping(a_, "10.78.0.2", 5);
    EXPECT_EQ(answers.size(), 5u);
    for (const auto& took : answers)
        EXPECT_GE(took, milliseconds(50));

    EXPECT_EQ(tell("set a loss 100%"), "ok");
    EXPECT_EQ(lab::ping(a_, "10.78.0.2", 2, milliseconds(300)).size(), 0u);
    EXPECT_GE(show()["a"]["lost"].get<int>(), 2);
    EXPECT_EQ(tell("set a loss 0"), "ok");
    EXPECT_EQ(lab::ping(a_, "10.78.0.2", 2).size(), 2u);

    EXPECT_EQ(tell("set both down true"), "ok");
    EXPECT_EQ(lab::ping(a_, "10.78.0.2", 2, milliseconds(300)).size(), 0u);
    EXPECT_EQ(tell("set both down false"), "ok");
    EXPECT_EQ(lab::ping(a_, "10.78.0.2", 2).size(), 2u);

    EXPECT_EQ(tell("set both delay 60ms"), "ok");
    for (const auto& took : lab::ping(a_, "10.78.0.2", 2))
        EXPECT_GE(took, milliseconds(120));
    const auto state = show();
    EXPECT_EQ(state["a"]["settings"]["rate"], "100000000");
    EXPECT_GE(state["a"]["in_packets"].get<int>(), 11);
    EXPECT_EQ(state["a"]["held_dropped"], 0);
    EXPECT_EQ(state["a"]["ports"][0]["link_up"], true);
}

// Two pairs of ports share one link: a frame leaves by the port of its own pair, and what the link does to one
// pair it does to both, in one set of counters.
TEST_F(BridgeTest, PairsShareTheLinkAndNotTheirFrames) {
    const std::string at_a = "@/proc/" + std::to_string(a_.pid()) + "/ns/net";
    const std::string at_b = "@/proc/" + std::to_string(b_.pid()) + "/ns/net";
    ASSERT_NO_FATAL_FAILURE(
        start_between_namespaces({"--a", "tap:lhwan3" + at_a, "--b", "tap:lhwan4" + at_b}));
    ASSERT_EQ(lab::run(lab::inside(a_, "ip addr add 10.79.0.1/24 dev lhwan3")), 0);
    ASSERT_EQ(lab::run(lab::inside(b_, "ip addr add 10.79.0.2/24 dev lhwan4")), 0);
    ASSERT_EQ(lab::run(lab::inside(a_, "ip link set lhwan3 up")), 0);
    ASSERT_EQ(lab::run(lab::inside(b_, "ip link set lhwan4 up")), 0);
    EXPECT_EQ(lab::ping(a_, "10.78.0.2", 3).size(), 3u);
    const auto first = show();
    EXPECT_EQ(lab::ping(a_, "10.79.0.2", 5).size(), 5u);
    const auto second = show();
    // IPv6 neighbour discovery may add frames of its own: 1000-byte echoes are told from those by their bytes.
    const auto bytes_out = [](const nlohmann::json& state, unsigned pair) {
        return state["b"]["ports"][pair]["tx_bytes"].get<int>();
    };
    EXPECT_GE(bytes_out(first, 0), 3000);
    EXPECT_LT(bytes_out(first, 1), 3000);
    EXPECT_GE(bytes_out(second, 1) - bytes_out(first, 1), 5000);
    EXPECT_LT(bytes_out(second, 0) - bytes_out(first, 0), 3000);
    EXPECT_GE(second["a"]["in_packets"].get<int>(), 8);

    EXPECT_EQ(tell("set a loss 100%"), "ok");
    for (const char* target : {"10.78.0.2", "10.79.0.2"})
        EXPECT_EQ(lab::ping(a_, target, 1, milliseconds(300)).size(), 0u) << target;
    EXPECT_GE(show()["a"]["lost"].get<int>(), 2);
}

// SIGTERM and `quit` end it with 0 and leave nothing; a killed one leaves nothing that stops the next.
TEST_F(BridgeTest, EndsCleanlyAndRestartsAfterAKill) {
    for (int round = 0; round < 2; ++round) {
        ASSERT_NO_FATAL_FAILURE(start_between_namespaces({}));
        wan_.kill_now();
        EXPECT_TRUE(std::filesystem::exists(socket_)) << "a killed process cannot clean up";
    }
    ASSERT_NO_FATAL_FAILURE(start_between_namespaces({}));
    EXPECT_EQ(lab::ping(a_, "10.78.0.2", 1).size(), 1u);
    EXPECT_EQ(wan_.end_with(SIGTERM), 0);
    EXPECT_FALSE(std::filesystem::exists(socket_));
    ASSERT_NO_FATAL_FAILURE(start_between_namespaces({}));
    EXPECT_EQ(lab::run(tool_ + " ctl --socket " + socket_ + " quit"), 0);
    EXPECT_EQ(wan_.end_with(0), 0);
}

// The control line says what is wrong with a wrong command, on the socket and by the ctl program.
TEST_F(BridgeTest, ControlRefusesInWords) {
    ASSERT_NO_FATAL_FAILURE(
        start_tool({"--a", "net_null0", "--b", "net_null1,no-rx=1", "--rate", "1M", "--a-loss", "100%"}));
    EXPECT_NE(tell("set c loss 1%").find("error: write: set a|b|both"), std::string::npos);
    EXPECT_NE(tell("set a loss").find("error: "), std::string::npos);
    EXPECT_NE(tell("set a loss lots").find("0.1%"), std::string::npos);
    EXPECT_NE(tell("dance").find("set a|b|both NAME VALUE, show, quit"), std::string::npos);
    std::string output;
    EXPECT_EQ(lab::run(tool_ + " ctl --socket " + socket_ + " set both delay 5", &output), 1);
    EXPECT_NE(output.find("25ms"), std::string::npos) << output;
    EXPECT_EQ(lab::run(tool_ + " ctl --socket " + socket_ + " set both delay 5ms", &output), 0) << output;
    EXPECT_EQ(show()["b"]["settings"]["delay"], "5000000ns");
    EXPECT_EQ(lab::run(tool_ + " --a net_null0 --b net_null1 --loss 200%", &output), 2);
    EXPECT_NE(output.find("--loss"), std::string::npos) << output;
    EXPECT_EQ(lab::run(tool_ + " --a net_null0 --a net_null1 --b net_null2", &output), 2);
    EXPECT_NE(output.find("equally many"), std::string::npos) << output;
    EXPECT_EQ(lab::run(tool_ + " --help", &output), 0);
    EXPECT_NE(output.find("--a-loss"), std::string::npos);
    EXPECT_NE(lab::run(tool_ + " ctl --socket /nonexistent/x show", &output), 0);
    EXPECT_NE(output.find("--socket"), std::string::npos) << output;
}

}  // namespace
}  // namespace longhaul::wan
