// SPDX-License-Identifier: Apache-2.0
#include "drivers/nic/memif_listener.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <vector>

namespace longhaul::nic {
namespace {

std::mutex users_mutex;
std::map<std::string, int> users;  // servers of this process by socket; guarded by users_mutex

// A zero byte leads an abstract name; the PMD pads it with more of them.
bool listens_on(int descriptor, const std::string& path, bool abstract) {
    int listening = 0;
    socklen_t bytes = sizeof listening;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) != 0 || listening == 0)
        return false;
    sockaddr_un address{};
    bytes = sizeof address;
    if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &bytes) != 0 ||
        address.sun_family != AF_UNIX)
        return false;
    const char* name = address.sun_path + (abstract ? 1 : 0);
    const std::size_t room = sizeof address.sun_path - 1;
    return (address.sun_path[0] == 0) == abstract && std::string(name, strnlen(name, room)) == path;
}

void silence(int descriptor) {
    const int silent = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (silent < 0) return;
    dup3(silent, descriptor, O_CLOEXEC);
    close(silent);
}

}  // namespace

MemifListener::MemifListener(const DeviceName& device) {
    if (!device.memif || device.memif_client) return;
    path_ = memif_socket(device);
    abstract_ = device_argument(device, "socket-abstract") != "no";
    const std::lock_guard lock(users_mutex);
    ++users[path_];
}

MemifListener::~MemifListener() {
    if (path_.empty()) return;
    const std::lock_guard lock(users_mutex);
    if (--users[path_] != 0) return;
    users.erase(path_);
    std::vector<int> descriptors;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored))
        descriptors.push_back(std::stoi(entry.path().filename().string()));
    for (const int descriptor : descriptors)
        if (listens_on(descriptor, path_, abstract_)) silence(descriptor);
}

}  // namespace longhaul::nic
