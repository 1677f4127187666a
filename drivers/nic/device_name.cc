// SPDX-License-Identifier: Apache-2.0
#include "drivers/nic/device_name.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace longhaul::nic {
namespace {

constexpr const char* kMemifDefaultSocket = "/run/memif.sock";

bool is_pci_address(const std::string& name) {
    unsigned domain = 0, bus = 0, slot = 0, function = 0;
    char extra = 0;
    return std::sscanf(name.c_str(), "%4x:%2x:%2x.%1u%c", &domain, &bus, &slot, &function, &extra) == 4 ||
           std::sscanf(name.c_str(), "%2x:%2x.%1u%c", &bus, &slot, &function, &extra) == 3;
}

// Read from the kernel's list and not tried by connecting: a caller that hangs up at once can end a memif server in a
// panic (see port.cc). The list is that of this network namespace.
bool somebody_listens(const std::string& path) {
    constexpr unsigned long kAcceptsConnections = 0x10000;  // __SO_ACCEPTCON
    std::ifstream list("/proc/net/unix");
    for (std::string line; std::getline(list, line);) {
        std::istringstream fields(line);
        std::string slot, count, protocol, flags, type, state, inode, name;
        fields >> slot >> count >> protocol >> flags >> type >> state >> inode >> name;
        if (name == path && (std::strtoul(flags.c_str(), nullptr, 16) & kAcceptsConnections) != 0)
            return true;
    }
    return false;
}

}  // namespace

Result<DeviceName> parse_device(std::string_view text) {
    const auto comma = text.find(',');
    DeviceName device;
    device.name = std::string(text.substr(0, comma));
    if (comma != std::string_view::npos) device.arguments = std::string(text.substr(comma + 1));
    device.pci = is_pci_address(device.name);
    if (!device.pci && !device.name.starts_with("net_") && !device.name.starts_with("virtio_user") &&
        !device.name.starts_with("eth_"))
        return Error{ErrorCode::invalid_argument, "device \"" + std::string(text) +
                                                      "\" is neither a PCI address (0000:3b:00.0) nor a DPDK "
                                                      "virtual device (net_memif0,role=client,..., "
                                                      "net_af_packet0,iface=..., net_tap0,iface=...)"};
    device.memif = device.name.starts_with("net_memif");
    const std::string role = device_argument(device, "role");
    device.memif_client = device.memif && role != "server" && role != "master";
    return device;
}

std::string device_argument(const DeviceName& device, std::string_view key) {
    std::string_view rest = device.arguments;
    while (!rest.empty()) {
        const auto comma = rest.find(',');
        const std::string_view pair = rest.substr(0, comma);
        if (pair.size() > key.size() && pair.starts_with(key) && pair[key.size()] == '=')
            return std::string(pair.substr(key.size() + 1));
        rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    }
    return {};
}

std::string memif_socket(const DeviceName& device) {
    const std::string path = device_argument(device, "socket");
    return path.empty() ? kMemifDefaultSocket : path;
}

Result<void> clear_stale_socket(const DeviceName& device) {
    // Abstract sockets (the driver's default) vanish with their process.
    if (!device.memif || device.memif_client || device_argument(device, "socket-abstract") != "no") return {};
    const std::string path = memif_socket(device);
    constexpr std::size_t kPathMax = sizeof(sockaddr_un::sun_path) - 1;
    if (path.size() > kPathMax)
        return Error{ErrorCode::invalid_argument, "the socket path " + path + " is too long: at most " +
                                                      std::to_string(kPathMax) + " bytes"};
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode))
        return Error{ErrorCode::already_exists,
                     path + " is no socket; name another socket for " + device.name};
    if (somebody_listens(path))
        return Error{ErrorCode::already_exists,
                     "another process serves " + path + "; end it or name another socket for " + device.name};
    if (unlink(path.c_str()) != 0)
        return Error{ErrorCode::permission_denied,
                     "cannot remove the stale socket " + path + ": " + std::strerror(errno)};
    return {};
}

}  // namespace longhaul::nic
