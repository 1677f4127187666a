// Starts DPDK without hugepages, NICs and telemetry, under a name of its own, then runs the tests of the
// crypto room.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_eal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
    std::vector<std::string> words{"unit-crypto", "--no-huge",     "-m",
                                   "128",         "--no-pci",      "--no-telemetry",
                                   "--lcores",    "0@0",           "--log-level",
                                   "warning",     "--file-prefix", "lh-crypto-" + std::to_string(getpid())};
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
        std::fputs("unit-crypto: DPDK did not start; it needs 128 MiB of memory\n", stderr);
        return 1;
    }
    const int result = RUN_ALL_TESTS();
    const std::string left_behind = rte_eal_get_runtime_dir();  // named after our process: nobody else's
    rte_eal_cleanup();
    std::error_code ignored;
    std::filesystem::remove_all(left_behind, ignored);
    return result;
}
