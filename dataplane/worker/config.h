// What the operator says about this dataplane: a TOML file and flags that override its scalars. Wrong values are
// refused with file, line and remedy. Links are not in here: control adds them while the process runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "drivers/nic/nic.h"

namespace longhaul::worker {

struct DataplaneConfig {
    std::string name = "longhaul";
    std::string socket = "/run/longhaul/dataplane.sock";  // control connects here
    std::string run_directory = "/run/longhaul";          // DPDK's sockets
    unsigned workers = 1;
    bool poll = false;             // true: never sleep
    unsigned idle_sleep_us = 100;  // longest sleep of an idle worker, 10..10000
    bool hugepages = true;         // "auto" uses them when some are free, "never" does not
    unsigned memory_mib = 256;     // for the packet library when there are no hugepages
    std::string cores;             // e.g. "2-3"; empty: float
    std::vector<std::string> pci_allow;
    std::uint64_t plan_rate_bps = 1'000'000'000;  // memory is sized once: rate x RTT per link
    unsigned plan_rtt_ms = 200;
    unsigned links_max = 2;
    std::string crypto_device = "crypto_aesni_gcm";
    std::string log_level = "info";
    std::vector<nic::PortConfig> ports;
};

struct CommandLine {
    DataplaneConfig config;
    bool exit_now = false;  // --help, --version or --check were served
    std::string text;       // what to print then
};

Result<CommandLine> read_command_line(int argc, const char* const* argv);
Result<DataplaneConfig> parse_config(const std::string& text, const std::string& file_name);

}  // namespace longhaul::worker
