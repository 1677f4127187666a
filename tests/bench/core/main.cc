// bench-core: one configuration of the bench `core`, measured once, as one JSON object on standard output.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "drivers/nic/nic.h"
#include "tests/bench/core/primitives.h"
#include "tests/bench/core/rig.h"

namespace {

using namespace longhaul;

nlohmann::json side_object(const bench::RigFigures& figures, const bench::SideFigures& side) {
    const auto bytes = static_cast<double>(figures.payload_bytes);
    nlohmann::json stages;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < worker::kStages; ++i) {
        stages[worker::kStageNames[i]] = static_cast<double>(side.busy_cycles[i]) / bytes;
        total += side.busy_cycles[i];
    }
    return {{"cycles_per_byte", static_cast<double>(total) / bytes},
            {"stages_cycles_per_byte", stages},
            {"waited_share", static_cast<double>(side.waited_cycles) /
                                 static_cast<double>(figures.cycles_per_second) / figures.seconds},
            {"core_share", side.cpu_share}};
}

int fail(const Error& error) {
    std::fprintf(stderr, "bench-core: %s\n", error.text.c_str());
    return 1;
}

int run(const bench::RigConfig& config, double primitive_seconds, const std::string& run_directory) {
    nic::EalConfig eal;
    eal.program = "bench-core";
    eal.file_prefix = "bench-core-" + std::to_string(::getpid());
    eal.run_directory = run_directory;
    eal.memory_mib = 384;
    const bool alone = !config.devices[0].empty() || !config.devices[1].empty();
    eal.workers = alone ? 1 : 2;
    if (auto started = nic::eal_start(eal); !started.ok()) return fail(started.error());

    const std::size_t symbol_bytes = wire::symbol_bytes_for_mtu(config.jumbo ? 8896 : 1500, false);
    nlohmann::json out;
    if (primitive_seconds > 0) {
        auto primitives = bench::measure_primitives(symbol_bytes, config.parity, primitive_seconds);
        if (!primitives.ok()) return fail(primitives.error());
        const auto& p = primitives.value();
        out["primitives_bytes_per_second"] = {
            {"memcpy", p.copy},         {"aead_seal", p.seal},
            {"aead_open", p.open},      {"ec_encode", p.encode},
            {"ec_isal", p.encode_isal}, {"ec_isal_whole_stripe", p.encode_isal_whole}};
        out["ec_kernel"] = p.kernel;
    }
    auto measured = bench::run_rig(config);
    if (!measured.ok()) return fail(measured.error());
    const auto& figures = measured.value();
    out["symbol_bytes"] = figures.symbol_bytes;
    out["parity"] = config.parity;
    out["seconds"] = figures.seconds;
    out["gbps"] = static_cast<double>(figures.payload_bytes) * 8e-9 / figures.seconds;
    out["cycles_per_second"] = figures.cycles_per_second;
    out["lost_packets"] = figures.lost_packets;
    if (!alone) out["sender"] = side_object(figures, figures.sender);
    if (config.devices[0].empty()) out["receiver"] = side_object(figures, figures.receiver);
    std::cout << out.dump() << std::endl;
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    namespace po = boost::program_options;
    bench::RigConfig config;
    std::string symbol = "jumbo";
    double primitive_seconds = 0;
    po::options_description options(
        "bench-core: one sending and one receiving core over rings, memory to memory");
    options.add_options()("help", "show this")("symbol", po::value(&symbol),
                                               "jumbo (8768 bytes) or standard (1408)")(
        "parity", po::value(&config.parity), "rows of every stripe, 0 to 16")(
        "sender", po::value(&config.devices[0]), "run the sender alone, on this device")(
        "receiver", po::value(&config.devices[1]), "run the receiver alone, on this device")(
        "source", po::value(&config.folders[0]), "folder with a file `source` to read; without it: memory")(
        "target", po::value(&config.folders[1]), "folder to write to")("lanes", po::value(&config.lanes),
                                                                       "lanes of the link")(
        "seconds", po::value(&config.seconds), "to measure")("primitives", po::value(&primitive_seconds),
                                                             "seconds for each primitive alone; 0: none");
    try {
        po::variables_map given;
        po::store(po::parse_command_line(argc, argv, options), given);
        po::notify(given);
        if (given.count("help") != 0) {
            std::cout << options;
            return 0;
        }
    } catch (const po::error& error) {
        return fail({ErrorCode::invalid_argument, error.what()}) + 1;
    }
    if ((symbol != "jumbo" && symbol != "standard") || config.parity > 16 || config.lanes < 1 ||
        config.lanes > 64 || (!config.devices[0].empty() && !config.devices[1].empty()) ||
        config.folders[0].empty() != config.folders[1].empty() ||
        !(config.seconds > 0 && config.seconds < 600))
        return fail({ErrorCode::invalid_argument,
                     "give --sender or --receiver, not both; --source and --target together; --symbol is "
                     "jumbo or standard, --parity 0..16, "
                     "--lanes 1..64, --seconds below 600"}) +
               1;
    config.jumbo = symbol == "jumbo";
    const std::string run_directory =
        (std::filesystem::temp_directory_path() / ("bench-core-" + std::to_string(::getpid()))).string();
    const int code = run(config, primitive_seconds, run_directory);
    std::filesystem::remove_all(run_directory);
    nic::end_process(code);
}
