// EAL bring-up: from the operator's configuration to rte_eal_init's arguments, and from its failure to a text
// that says what to change. Called once per process, by the main thread, before any thread is started.
// SPDX-License-Identifier: Apache-2.0
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "drivers/nic/nic.h"

namespace longhaul::nic {
namespace {

constexpr unsigned kMemoryFloorMib = 32;

std::uint64_t read_number(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    return file >> value ? value : 0;
}

std::uint64_t default_page_bytes() {
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        std::uint64_t kib = 0;
        if (std::sscanf(line.c_str(), "Hugepagesize: %lu kB", &kib) == 1) return kib << 10;
    }
    return 2u << 20;
}

// The page size a hugetlbfs mount serves, from its options; the machine's default without one.
std::uint64_t mounted_page_bytes(const std::string& mount_options) {
    const auto at = mount_options.find("pagesize=");
    if (at == std::string::npos) return default_page_bytes();
    const char* text = mount_options.c_str() + at + 9;
    std::uint64_t value = 0;
    const char* rest = std::from_chars(text, text + std::strlen(text), value).ptr;
    if (*rest == 'G') return value << 30;
    if (*rest == 'M') return value << 20;
    return *rest == 'K' ? value << 10 : value;
}

struct FreePages {
    std::uint64_t mib = 0;  // in page sizes that a mount serves
    std::string why_none;   // for the operator, when mib is 0
};

FreePages free_hugepages() {
    FreePages found;
    std::uint64_t unmounted_mib = 0;
    bool any_mount = false;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", ignored)) {
        std::uint64_t kib = 0;
        if (std::sscanf(entry.path().filename().c_str(), "hugepages-%lukB", &kib) != 1) continue;
        const std::uint64_t mib = read_number(entry.path() / "free_hugepages") * kib >> 10;
        bool served = false;
        std::ifstream mounts("/proc/mounts");
        for (std::string device, where, type, mount_options, line; std::getline(mounts, line);) {
            std::istringstream(line) >> device >> where >> type >> mount_options;
            if (type != "hugetlbfs") continue;
            any_mount = true;
            served = served || mounted_page_bytes(mount_options) == kib << 10;
        }
        (served ? found.mib : unmounted_mib) += mib;
    }
    if (found.mib != 0) return found;
    if (unmounted_mib != 0)
        found.why_none = any_mount ? "no mounted hugetlbfs serves the size of the free pages"
                                   : "hugetlbfs is not mounted (mount -t hugetlbfs none /dev/hugepages)";
    else
        found.why_none = "none are free (sysctl vm.nr_hugepages)";
    return found;
}

// "0-1,4" from the CPUs that this process may run on.
std::string allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return "0";
    std::string text;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &set)) continue;
        int last = cpu;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set))
            ++last;
        if (!text.empty()) text += ',';
        text += std::to_string(cpu);
        if (last > cpu) text.append("-").append(std::to_string(last));
        cpu = last;
    }
    return text;
}

// The numbers in "2-3,6"; an error names the text.
Result<std::vector<unsigned>> parse_cpus(const std::string& text) {
    std::vector<unsigned> cpus;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
        unsigned first = 0, last = 0;
        char extra = 0;
        const int fields = std::sscanf(part.c_str(), "%u-%u%c", &first, &last, &extra);
        const bool single = fields == 1 && part.find_first_not_of("0123456789") == std::string::npos;
        if (single) last = first;
        if ((!single && fields != 2) || last < first || last >= CPU_SETSIZE)
            return Error{ErrorCode::invalid_argument,
                         "cores \"" + text + "\" is no list of CPUs; write for example 2-3 or 2,4"};
        for (unsigned cpu = first; cpu <= last; ++cpu)
            cpus.push_back(cpu);
    }
    return cpus;
}

// One worker a core when the operator named exactly as many cores as workers; otherwise the kernel places the
// workers within the named cores. The main lcore never polls and floats over everything.
Result<std::string> lcore_map(const EalConfig& config) {
    const std::string everywhere = std::string("(").append(allowed_cpus()).append(")");
    std::string map = "0@" + everywhere;
    std::vector<unsigned> cpus;
    if (!config.cores.empty()) {
        auto parsed = parse_cpus(config.cores);
        if (!parsed) return parsed.error();
        cpus = std::move(parsed).value();
    }
    for (unsigned worker = 1; worker <= config.workers; ++worker) {
        map.append(",").append(std::to_string(worker)).append("@");
        if (cpus.empty()) {
            map += everywhere;
        } else if (cpus.size() == config.workers) {
            map += std::to_string(cpus[worker - 1]);
        } else {
            map.append("(").append(config.cores).append(")");
        }
    }
    return map;
}

Result<void> use_run_directory(const std::string& directory) {
    if (directory.empty()) return {};
    std::error_code failure;
    std::filesystem::create_directories(directory, failure);
    if (failure)
        return Error{ErrorCode::permission_denied, "cannot create the run directory " + directory + ": " +
                                                       failure.message() +
                                                       "; set run_directory to one that this user may write"};
    // DPDK takes the parent of its sockets and locks from here, and from nowhere else.
    if (setenv("RUNTIME_DIRECTORY", directory.c_str(), 1) != 0)
        return Error{ErrorCode::internal, std::string("setenv: ") + std::strerror(errno)};
    return {};
}

std::string failure_text(const EalConfig& config, int code) {
    std::string text = "DPDK did not start (" + std::string(rte_strerror(code)) + "): ";
    if (code == EALREADY) return text + "it runs already in this process";
    if (code == EAGAIN || code == EBUSY || code == EEXIST)
        return text + "another process uses the file prefix \"" + config.file_prefix +
               "\"; give every process on this machine its own name";
    if (code == ENOMEM)
        return text + "not enough memory for " + std::to_string(config.memory_mib) +
               " MiB; lower memory_mib or free some";
    if (code == EACCES || code == EPERM)
        return text + "no permission; run it as root or with the capabilities of the shipped systemd unit";
    return text + "see its own lines above; a usual cause is another process with the file prefix \"" +
           config.file_prefix + "\", a run directory that cannot be written, or wrong cores";
}

}  // namespace

Result<EalReport> eal_start(const EalConfig& config) {
    if (config.workers + 1 > RTE_MAX_LCORE)
        return Error{ErrorCode::invalid_argument,
                     "workers may be at most " + std::to_string(RTE_MAX_LCORE - 1)};
    if (config.memory_mib < kMemoryFloorMib)
        return Error{ErrorCode::invalid_argument,
                     "memory_mib must be at least " + std::to_string(kMemoryFloorMib)};
    auto lcores = lcore_map(config);
    if (!lcores) return lcores.error();
    if (auto made = use_run_directory(config.run_directory); !made) return made.error();

    EalReport report;
    // Never --in-memory: memif and virtio-user need the multi-process channel that it turns off.
    std::vector<std::string> arguments = {config.program,
                                          "--file-prefix",
                                          config.file_prefix,
                                          "--lcores",
                                          lcores.value(),
                                          "--main-lcore",
                                          "0",
                                          "--log-level",
                                          "notice",
                                          "-m",
                                          std::to_string(config.memory_mib)};
    const FreePages pages = free_hugepages();
    report.hugepages = config.hugepages && pages.mib >= config.memory_mib;
    if (report.hugepages) {
        // Unlinked as soon as mapped: a killed process gives its pages back. (EAL refuses it beside
        // --single-file-segments, which only memif's zero copy and virtio-user clients would want.)
        arguments.emplace_back("--huge-unlink=always");
        report.text = std::to_string(config.memory_mib) + " MiB in hugepages";
    } else {
        arguments.emplace_back("--no-huge");
        report.text = std::to_string(config.memory_mib) + " MiB in ordinary pages: ";
        if (!config.hugepages)
            report.text += "hugepages are switched off";
        else if (pages.mib == 0)
            report.text += "of hugepages " + pages.why_none;
        else
            report.text += "only " + std::to_string(pages.mib) + " MiB of hugepages are free";
    }
    if (config.pci_allow.empty()) arguments.emplace_back("--no-pci");
    for (const std::string& address : config.pci_allow)
        arguments.insert(arguments.end(), {"--allow", address});
    arguments.insert(arguments.end(), config.extra.begin(), config.extra.end());

    std::vector<char*> argv;
    for (std::string& argument : arguments)
        argv.push_back(argument.data());
    rte_openlog_stream(stderr);
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
        return Error{ErrorCode::unavailable, failure_text(config, rte_errno)};
    rte_openlog_stream(stderr);  // init switches to syslog as well; the operator reads one place
    report.text += "; lcores " + lcores.value();
    return report;
}

void end_process(int code) {
    std::fflush(nullptr);
    ::_exit(code);
}

}  // namespace longhaul::nic
