// The port tests' program: without arguments the tests, with --echo DEVICE the other process of the memif
// tests, which sends back what it receives until it is killed.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "drivers/nic/nic.h"
#include "tests/unit/nic/network_lab.h"

// LeakSanitizer asks for it by this name: libxdp keeps 80 bytes of every AF_XDP socket that DPDK closes. Named by its
// library, because a machine without a symbolizer knows no functions.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
    return "leak:libxdp.so";
}

namespace longhaul::nic {
namespace {

std::string run_directory;  // of this process's DPDK; removed at the end

Result<EalReport> start_eal(const std::string& directory) {
    EalConfig config;
    config.program = "unit-nic-ports";
    config.file_prefix = "unit-nic-" + std::to_string(getpid());
    config.run_directory = directory;
    config.hugepages = false;
    config.memory_mib = 96;
    config.workers = 0;
    return eal_start(config);
}

int echo_for_ever(const std::string& device, const std::string& directory) {
    if (auto started = start_eal(directory); !started) {
        std::fprintf(stderr, "%s\n", started.error().text.c_str());
        return 1;
    }
    PortConfig config;
    config.name = "echo";
    config.device = device;
    auto port = Port::open(config);
    if (!port) {
        std::fprintf(stderr, "%s\n", port.error().text.c_str());
        return 1;
    }
    for (;;) {
        rte_mbuf* frames[32];
        const unsigned received = port.value()->receive(0, frames, 32);
        if (received != 0)
            port.value()->transmit(0, frames, received);
        else
            sched_yield();
    }
}

// DPDK starts once a process: before the first test, inside a network namespace of its own where that is
// allowed.
class DpdkEnvironment : public testing::Environment {
  public:
    void SetUp() override {
        lab::why_no_namespaces();
        run_directory =
            (std::filesystem::temp_directory_path() / ("unit-nic-" + std::to_string(getpid()))).string();
        auto started = start_eal(run_directory);
        ASSERT_TRUE(started.ok()) << started.error().text;
        EXPECT_FALSE(started.value().hugepages);
        EXPECT_NE(started.value().text.find("96 MiB in ordinary pages"), std::string::npos)
            << started.value().text;
    }
    void TearDown() override { std::filesystem::remove_all(run_directory); }
};

}  // namespace

// DPDK starts once: the second start is refused in words, and wrong configurations before they reach DPDK.
TEST(Eal, RefusalsSayWhatToChange) {
    EXPECT_TRUE(std::filesystem::exists(run_directory + "/dpdk")) << "DPDK took the run directory";
    EalConfig config;
    config.file_prefix = "unit-nic-second";
    config.hugepages = false;
    auto again = eal_start(config);
    ASSERT_FALSE(again.ok());
    EXPECT_NE(again.error().text.find("already"), std::string::npos) << again.error().text;
    config.cores = "two";
    again = eal_start(config);
    ASSERT_FALSE(again.ok());
    EXPECT_NE(again.error().text.find("2-3"), std::string::npos) << again.error().text;
    config.cores.clear();
    config.memory_mib = 1;
    again = eal_start(config);
    ASSERT_FALSE(again.ok());
    EXPECT_NE(again.error().text.find("memory_mib"), std::string::npos) << again.error().text;
}

}  // namespace longhaul::nic

int main(int argc, char** argv) {
    if (argc == 4 && std::string(argv[1]) == "--echo") return longhaul::nic::echo_for_ever(argv[2], argv[3]);
    testing::InitGoogleTest(&argc, argv);
    testing::AddGlobalTestEnvironment(new longhaul::nic::DpdkEnvironment);
    return RUN_ALL_TESTS();
}
