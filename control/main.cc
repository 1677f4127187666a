// longhaul-control: configuration, log, core, edge, then wait for a signal.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "control/capture/fanotify_feed.h"
#include "control/config/config.h"
#include "control/core.h"
#include "control/edge.h"

namespace longhaul::control {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitFailed = 1;

int fail(int status, const Error& error) {
    std::fprintf(stderr, "longhaul-control: %s\n", error.text.c_str());
    return status;
}

void start_log(const std::string& level) {
    auto logger = spdlog::stderr_logger_mt("control");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    logger->set_level(spdlog::level::from_str(level));
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
}

// The lock is held until the process ends: two processes on one state would each believe it is theirs.
Result<void> own_state_directory(const std::string& directory) {
    std::error_code failure;
    if (std::filesystem::create_directories(directory, failure))
        std::filesystem::permissions(directory, std::filesystem::perms::owner_all, failure);
    if (failure)
        return Error{ErrorCode::io_error, "state_directory " + directory + ": " + failure.message() +
                                              ": make it, or choose another"};
    const std::string file = directory + "/lock";
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
        return Error{ErrorCode::already_exists,
                     file + (errno == EWOULDBLOCK ? ": another longhaul-control runs on this "
                                                    "state_directory: stop it, or give each its own"
                                                  : ": cannot be locked: make state_directory writable")};
    return {};
}

// Blocked in every thread, so that wait_for_stop() alone receives them.
sigset_t block_signals() {
    std::signal(SIGHUP, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t stopping;
    sigemptyset(&stopping);
    sigaddset(&stopping, SIGTERM);
    sigaddset(&stopping, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stopping, nullptr);
    return stopping;
}

Result<void> run(const ControlConfig& config) {
    const sigset_t stopping = block_signals();
    if (auto owned = own_state_directory(config.state_directory); !owned) return owned;
    CoreConfig core_config;
    core_config.site = config.site;
    core_config.state_directory = config.state_directory;
    core_config.allowed_roots = config.allowed_roots;
    core_config.sweep_threads = config.sweep_threads;
    core_config.changes_bytes_max = config.changes_memory_mib << 20;
    core_config.verify_share = config.verify_share;
    core_config.read_back_share = config.read_back_share;
    if (config.capture == "events") {
        core_config.make_feed = [](const std::string& directory, std::function<void()> wake) {
            return std::make_shared<FanotifyFeed>(directory, std::move(wake));
        };
    } else {
        core_config.no_feed_reason = "capture = \"sweeps\" is configured";
    }

    Edge edge(config);
    auto core = Core::create(core_config, edge);
    if (!core) return core.error();
    core.value()->start();
    auto started = edge.start(*core.value());
    if (started) {
        spdlog::info("site {} is running", config.site);
        int signal = 0;
        sigwait(&stopping, &signal);
        spdlog::info("stopping on {}", signal == SIGINT ? "SIGINT" : "SIGTERM");
    }
    edge.stop();
    core.value().reset();
    return started;
}

}  // namespace
}  // namespace longhaul::control

int main(int argc, char** argv) {
    using namespace longhaul::control;
    const auto command_line = parse_command_line(argc, argv);
    if (!command_line) return fail(kExitUsage, command_line.error());
    if (!command_line.value().output.empty())
        return std::fputs(command_line.value().output.c_str(), stdout) < 0;
    const auto config = load_config(command_line.value().config_file, command_line.value().overrides);
    if (!config) return fail(kExitUsage, config.error());
    start_log(config.value().log_level);
    const auto result = run(config.value());
    return result ? 0 : fail(kExitFailed, result.error());
}
