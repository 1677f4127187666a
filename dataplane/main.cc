// longhaul-dataplane: configuration -> EAL -> ports -> worker lcores -> main loop. Thin by intent.
// SPDX-License-Identifier: Apache-2.0
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_telemetry.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <future>
#include <mutex>

#include "dataplane/node/node.h"
#include "dataplane/worker/worker.h"

namespace {

using namespace longhaul;

constexpr std::size_t kMailboxMessages = 8192;

// What a worker's lcore needs to build its worker and to say how that went.
struct WorkerLaunch {
    worker::WorkerConfig config;
    std::vector<nic::Port*> ports;
    worker::Mailbox<worker::Command> inbox{kMailboxMessages};
    worker::Mailbox<worker::Event> outbox{kMailboxMessages};
    int wake_fd = -1;
    unsigned lcore = LCORE_ID_ANY;
    std::promise<Result<void>> started;
};

int run_worker(void* argument) {
    auto& launch = *static_cast<WorkerLaunch*>(argument);
    auto created =
        worker::Worker::create(launch.config, launch.ports, launch.inbox, launch.outbox, launch.wake_fd);
    if (!created.ok()) {
        launch.started.set_value(created.error());
        return 1;
    }
    launch.started.set_value({});
    created.value()->run();
    return 0;
}

std::mutex telemetry_mutex;
node::Node* telemetry_node = nullptr;  // guarded by telemetry_mutex; null: not running, or ending

int telemetry_summary(const char*, const char*, rte_tel_data* data) {
    rte_tel_data_start_dict(data);
    const std::lock_guard lock(telemetry_mutex);
    if (telemetry_node == nullptr) return 0;
    const nlohmann::json figures = telemetry_node->telemetry();
    for (const char* part : {"drops", "storage", "worker", "neighbours"})
        for (const auto& [key, value] : figures[part].items())
            rte_tel_data_add_dict_u64(data, (std::string(part) + "_" + key).c_str(),
                                      value.get<std::uint64_t>());
    return 0;
}

int telemetry_workers(const char*, const char*, rte_tel_data* data) {
    rte_tel_data_start_dict(data);
    const std::lock_guard lock(telemetry_mutex);
    if (telemetry_node == nullptr) return 0;
    unsigned number = 0;
    for (const nlohmann::json& worker : telemetry_node->workers()) {
        const std::string prefix = "worker" + std::to_string(number++) + "_";
        for (const auto& [key, value] : worker.items())
            if (!key.starts_with("busy_cycles_"))  // a dictionary of DPDK holds 256 entries
                rte_tel_data_add_dict_u64(data, (prefix + key).c_str(), value.get<std::uint64_t>());
    }
    return 0;
}

int fail(const Error& error) {
    std::fprintf(stderr, "longhaul-dataplane: %s\n", error.text.c_str());
    return 1;
}

int run(const worker::DataplaneConfig& config, int signal_fd) {
    std::error_code ignored;
    std::filesystem::create_directories(config.run_directory, ignored);
    nic::EalConfig eal;
    eal.file_prefix = "longhaul-" + config.name;
    eal.run_directory = config.run_directory;
    eal.hugepages = config.hugepages;
    eal.memory_mib = config.memory_mib;
    eal.workers = config.workers;
    eal.cores = config.cores;
    eal.pci_allow = config.pci_allow;
    auto started = nic::eal_start(eal);
    if (!started.ok()) return fail(started.error());
    spdlog::info("{}", started.value().text);

    std::vector<std::unique_ptr<nic::Port>> ports;
    std::vector<nic::Port*> borrowed;
    std::size_t symbol_bytes = 0;
    for (nic::PortConfig port : config.ports) {
        port.queues = config.workers;
        port.users = config.workers;
        // A ring's worth for every worker that hands over: the others find theirs full before the pool is empty.
        port.frames_between = (config.workers - 1) * 2 * static_cast<unsigned>(worker::kHandoffFrames);
        auto opened = nic::Port::open(port);
        if (!opened.ok()) return fail(opened.error());
        const bool v6 = std::all_of(port.addresses.begin(), port.addresses.end(),
                                    [](const auto& one) { return one.address.v6; });
        symbol_bytes = std::max<std::size_t>(symbol_bytes, wire::symbol_bytes_for_mtu(port.mtu, v6));
        ports.push_back(std::move(opened).value());
        borrowed.push_back(ports.back().get());
        if (config.workers > 1)
            spdlog::info("{}", worker::steering_text(ports.back()->config(), config.workers));
    }
    auto socket = node::ControlSocket::listen(config.socket);
    if (!socket.ok()) return fail(socket.error());
    const int wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    LH_ASSERT(wake_fd >= 0);

    const worker::MemoryPlan plan =
        worker::plan_memory(config.plan_rate_bps, config.plan_rtt_ms, config.links_max,
                            worker::kStripeSymbols, symbol_bytes, config.workers);
    spdlog::info("{}", plan.text());
    worker::HandoffMesh handoff(config.workers);
    worker::SharedArrivals arrivals;
    std::vector<std::unique_ptr<WorkerLaunch>> launches;
    const auto stop_all = [&] {
        for (const auto& launch : launches) {
            auto stop = std::make_unique<worker::Command>(worker::Stop{});
            static_cast<void>(launch->inbox.send(stop));
            rte_eal_wait_lcore(launch->lcore);
        }
    };
    for (unsigned index = 0, lcore = rte_get_next_lcore(-1, 1, 0); index < config.workers; ++index) {
        auto launch = std::make_unique<WorkerLaunch>();
        launch->config.index = index;
        launch->config.handoff = config.workers > 1 ? &handoff : nullptr;
        launch->config.arrivals = &arrivals;
        launch->config.poll = config.poll;
        launch->config.idle_sleep = config.idle_sleep_us * kMicrosecond;
        launch->config.crypto_device = config.crypto_device;
        launch->config.hugepages = config.hugepages && started.value().hugepages;
        launch->config.plan = plan;
        launch->ports = borrowed;
        launch->wake_fd = wake_fd;
        launch->lcore = lcore;
        auto ready = launch->started.get_future();
        if (lcore >= RTE_MAX_LCORE || rte_eal_remote_launch(run_worker, launch.get(), lcore) != 0) {
            stop_all();
            return fail({ErrorCode::internal,
                         "cannot start worker " + std::to_string(index) + ": EAL gave no lcore"});
        }
        launches.push_back(std::move(launch));
        if (auto outcome = ready.get(); !outcome.ok()) {
            stop_all();
            return fail(outcome.error());
        }
        lcore = rte_get_next_lcore(lcore, 1, 0);
    }
    std::vector<node::WorkerDoor> doors;
    for (const auto& launch : launches)
        doors.push_back({launch->inbox, launch->outbox});
    {
        node::Node node(config, std::move(socket).value(), doors, borrowed, wake_fd, signal_fd);
        {
            const std::lock_guard lock(telemetry_mutex);
            telemetry_node = &node;
        }
        rte_telemetry_register_cmd(
            "/longhaul/counters", telemetry_summary,
            "Drops by reason, storage, worker and neighbour counters. Takes no parameters.");
        rte_telemetry_register_cmd("/longhaul/workers", telemetry_workers,
                                   "Packets, hand-overs and disk bytes of each worker. Takes no parameters.");
        node.run();
        for (const auto& launch : launches)
            rte_eal_wait_lcore(launch->lcore);
        handoff.drain([](rte_mbuf* frame) { rte_pktmbuf_free(frame); });
        ports.clear();
        const std::lock_guard lock(telemetry_mutex);
        telemetry_node = nullptr;  // the telemetry thread lives as long as the process
    }
    spdlog::shutdown();
    nic::end_process(0);
}

}  // namespace

int main(int argc, char** argv) {
    auto line = worker::read_command_line(argc, argv);
    if (!line.ok()) {
        std::fprintf(stderr, "longhaul-dataplane: %s\n", line.error().text.c_str());
        return 2;
    }
    if (line.value().exit_now) {
        std::fputs(line.value().text.c_str(), stdout);
        return 0;
    }
    const worker::DataplaneConfig& config = line.value().config;
    spdlog::set_default_logger(spdlog::stderr_logger_mt("dataplane"));
    spdlog::set_level(spdlog::level::from_str(config.log_level));
    spdlog::flush_on(spdlog::level::info);

    // Signals are read from a descriptor by the main loop; blocked before any other thread starts.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    const int signal_fd = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    LH_ASSERT(signal_fd >= 0);
    return run(config, signal_fd);
}
