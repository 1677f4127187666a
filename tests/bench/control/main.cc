// What control costs: a turn of the scheduler over many datasets, and a million changes from the source tree
// to their settled records, through the real core with a dataplane and a peer in memory. Prints one JSON object.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "control/config/dataset_document.h"
#include "control/dataset/release_queue.h"
#include "control/schedule/schedule.h"
#include "dataplane/base/assert.h"
#include "dataplane/base/random.h"
#include "tests/bench/control/memory_ports.h"

namespace longhaul::control::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// ---- the scheduler's turn -------------------------------------------------------------------------------------

std::vector<LinkNow> make_links(std::size_t count) {
    std::vector<LinkChoice> links;
    for (std::size_t l = 0; l < count; ++l)
        links.push_back({"link-" + std::to_string(l),
                         static_cast<std::uint8_t>(l),
                         "west",
                         true,
                         (10 + l * 10) * 1'000'000'000,
                         0.95,
                         0.05,
                         {}});
    return links_now(links, 0);
}

std::vector<Demand> make_demands(std::size_t count, Random& random) {
    std::vector<Demand> demands(count);
    for (std::size_t d = 0; d < count; ++d) {
        Demand& demand = demands[d];
        demand.dataset = "dataset-" + std::to_string(d);
        demand.target_site = "west";
        demand.traffic = d % 4 == 0 ? "latency" : d % 4 == 3 ? "scavenger" : "bulk";
        demand.weight = 0.5 + random.unit() * 4;
        demand.rpo_target_s = 60 + static_cast<double>(random.below(3600));
        if (random.chance(0.1) && demand.traffic != "scavenger") demand.floor_bps = random.below(20'000'000);
        if (random.chance(0.1)) demand.cap_bps = 20'000'000 + random.below(1'000'000'000);
    }
    return demands;
}

// Every turn the backlogs change and a link goes or comes, so that no turn is a repetition.
json schedule_turns(std::size_t datasets, std::size_t links, std::size_t turns) {
    Random random(1);
    auto roads = make_links(links);
    auto demands = make_demands(datasets, random);
    json times = json::array();
    TimeNs now = 1000 * kSecond;
    for (std::size_t turn = 0; turn < turns; ++turn, now += kScheduleTurn) {
        for (auto& demand : demands) {
            demand.active = random.chance(0.8);
            demand.bytes_behind = demand.active ? random.below(10'000'000'000) : 0;
            demand.drain_bps = random.unit() * 1e8;
            demand.lag_s = random.unit() * demand.rpo_target_s * 1.2;
        }
        auto& road = roads[random.below(roads.size())];
        road.open = road.choice.up = !road.open;
        const auto start = Clock::now();
        const auto flows = solve(demands, roads, now);
        times.push_back(seconds_since(start) * 1e3);
        for (std::size_t d = 0; d < demands.size(); ++d) {
            if (flows[d].assigned) demands[d].on_link = flows[d].link.link;
            demands[d].moved_at = flows[d].moved_at;
        }
    }
    return {{"datasets", datasets}, {"links", links}, {"turn_ms", times}};
}

// ---- a million changes ------------------------------------------------------------------------------------------

constexpr std::size_t kFilesPerDirectory = 1000;

// Bytes are written: a file without blocks is one hole, which is another matter. None at all is a file of nothing.
void make_tree(const std::string& root, std::size_t files, std::size_t file_bytes) {
    const std::string bytes(file_bytes, 'x');
    for (std::size_t made = 0; made < files;) {
        const std::string directory = root + "/directory-" + std::to_string(made / kFilesPerDirectory);
        LH_ASSERT(mkdir(directory.c_str(), 0755) == 0);
        for (std::size_t i = 0; i < kFilesPerDirectory && made < files; ++i, ++made) {
            const int fd = open((directory + "/some-object-" + std::to_string(i) + ".parquet").c_str(),
                                O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            LH_ASSERT(fd >= 0 && write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
            close(fd);
        }
    }
}

std::uint64_t memory_bytes(const std::string& field) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(field)) return std::stoull(line.substr(field.size())) * 1024;
    return 0;
}

double cpu_seconds() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

template <typename Condition>
void wait_until(Condition condition, double seconds) {
    const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
    while (!condition()) {
        if (Clock::now() > deadline) {
            std::fprintf(stderr, "bench-control: not done within %.0f s\n", seconds);
            std::_Exit(1);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

json changes(const std::string& source, const std::string& state, std::size_t files, std::size_t file_bytes,
             Consistency consistency) {
    make_tree(source, files, file_bytes);
    // What is younger than a sweep's cut waits for the next sweep (consistency `ordered`): not what is measured here.
    std::this_thread::sleep_for(std::chrono::nanoseconds(2 * kCutMargin_ns));
    MemoryPorts ports;
    CoreConfig config;
    config.site = "east";
    config.state_directory = state;
    const std::uint64_t before = memory_bytes("VmRSS:");
    auto core = Core::create(config, ports);
    LH_ASSERT(core.ok());
    ports.attach(core.value().get());
    core.value()->start();
    core.value()->on_dataplane_up({});
    DatasetSpec spec;
    spec.name = "lake";
    spec.source = "posix:" + source;
    spec.target = {"west", "posix:/replica"};
    spec.consistency = consistency;
    spec.rpo_target_s = 86'400;
    spec.rescan_s = 3600;
    const double cpu = cpu_seconds();
    const auto start = Clock::now();
    const auto made = core.value()->dataset_create(spec);
    LH_ASSERT(made.ok());
    wait_until(
        [&] {
            const auto view = core.value()->rpo().at(0);
            return view.rpo_lag_s &&
                   view.objects_behind == 0;  // a mark proves it: everything was found and settled
        },
        3600);
    const double took = seconds_since(start);
    const auto stats = core.value()->stats();
    LH_ASSERT(stats.objects_published >= files);
    json out = {{"changes", stats.changes},
                {"seconds", took},
                {"cpu_seconds", cpu_seconds() - cpu},
                {"changes_per_second", static_cast<double>(files) / took},
                {"sweeps", stats.sweeps},
                {"bundles", stats.bundles_published},
                {"memory_before_bytes", before},
                {"memory_peak_bytes", memory_bytes("VmHWM:")},
                {"state_bytes", std::filesystem::file_size(state + "/longhaul.sqlite")}};
    ports.attach(nullptr);
    core.value().reset();
    return out;
}

// The same tree walked and looked at, and nothing else: what no capture can be faster than.
double walk_seconds(const std::string& source) {
    const auto start = Clock::now();
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(source)) {
        struct stat status {};
        if (lstat(entry.path().c_str(), &status) == 0) bytes += static_cast<std::uint64_t>(status.st_size);
    }
    return bytes == 0 ? 0 : seconds_since(start);
}

}  // namespace
}  // namespace longhaul::control::bench

int main(int argc, char** argv) {
    using namespace longhaul::control::bench;
    namespace po = boost::program_options;
    std::size_t datasets = 0, links = 0, turns = 0, files = 0, file_bytes = 0;
    std::string source, state, consistency;
    po::options_description options("bench-control");
    options.add_options()("datasets", po::value(&datasets)->default_value(10'000))(
        "links", po::value(&links)->default_value(8))("turns", po::value(&turns)->default_value(50))(
        "changes", po::value(&files)->default_value(0), "files to make, capture and settle; 0: none")(
        "file-bytes", po::value(&file_bytes)->default_value(4096), "in each of them")(
        "consistency", po::value(&consistency)->default_value("ordered"), "of their dataset")(
        "source", po::value(&source), "an empty directory for them")("state", po::value(&state));
    po::variables_map given;
    try {
        po::store(po::parse_command_line(argc, argv, options), given);
        po::notify(given);
    } catch (const po::error& error) {
        std::cerr << error.what() << "\n" << options;
        return 2;
    }
    json out;
    if (turns > 0) out["schedule"] = schedule_turns(datasets, links, turns);
    if (files > 0) {
        out["changes"] =
            changes(source, state, files, file_bytes, *longhaul::control::consistency_from(consistency));
        out["changes"]["consistency"] = consistency;
        out["changes"]["walk_seconds"] = walk_seconds(source);
    }
    std::cout << out.dump() << "\n";
}
