// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/nic/network_lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <thread>

#include "dataplane/wire/frame.h"

namespace longhaul::nic::lab {

std::string why_no_namespaces() {
    static const std::string reason = []() -> std::string {
        if (geteuid() != 0) return "needs root to make network namespaces";
        if (unshare(CLONE_NEWNET) != 0) return std::string("unshare(CLONE_NEWNET): ") + std::strerror(errno);
        run("ip link set lo up");
        return {};
    }();
    return reason;
}

int run(const std::string& command, std::string* output) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return -1;
    std::array<char, 512> chunk{};
    std::string text;
    for (std::size_t got = 0; (got = fread(chunk.data(), 1, chunk.size(), pipe)) != 0;)
        text.append(chunk.data(), got);
    const int status = pclose(pipe);
    if (output != nullptr) *output = text;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool poll_until(const std::function<bool()>& done, const std::function<void()>& step,
                std::chrono::seconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        step();
    }
    return true;
}

Child::Child(const std::vector<std::string>& arguments, const std::string& program) {
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    close_range(3, ~0U, 0);  // EAL's descriptors, sockets that listen among them, are not for the child
    execv(program.c_str(), argv.data());
    _exit(127);
}

Child Child::namespace_holder() {
    Child child;
    int ready[2];
    if (pipe(ready) != 0) return child;
    const pid_t parent = getpid();
    child.pid_ = fork();
    if (child.pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int kept = dup2(ready[1], 3);
        close_range(4, ~0U, 0);
        const bool made =
            kept == 3 && getppid() == parent && unshare(CLONE_NEWNET) == 0 && write(3, "x", 1) == 1;
        if (!made) _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    char byte = 0;
    const bool made = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    if (!made) child.kill_now();
    return child;
}

void Child::kill_now() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

bool Child::running() const {
    return pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0;
}

int Child::end_with(int signal_number) {
    if (pid_ <= 0) return -1;
    int status = 0;
    kill(pid_, signal_number);
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string inside(const Child& holder, const std::string& command) {
    return "nsenter -t " + std::to_string(holder.pid()) + " -n " + command;
}

namespace {

// The socket belongs to the namespace that its thread was in when it was made, whoever uses it.
int socket_in(const Child& holder, int family, int type, int protocol) {
    int descriptor = -1;
    std::thread([&] {
        const int space =
            open(("/proc/" + std::to_string(holder.pid()) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
        if (space >= 0 && setns(space, CLONE_NEWNET) == 0)
            descriptor = socket(family, type | SOCK_CLOEXEC, protocol);
        if (space >= 0) close(space);
    }).join();
    return descriptor;
}

struct Echo {
    std::uint8_t type, code;
    std::uint16_t checksum, id, sequence;
    std::array<std::uint8_t, 1000> payload;
};

std::uint16_t checksum_of(const Echo& echo) {
    return htons(wire::internet_checksum({reinterpret_cast<const std::uint8_t*>(&echo), sizeof echo}));
}

// One echo; its round trip, or nothing when `patience` has gone.
std::optional<std::chrono::nanoseconds> echo_once(int descriptor, const sockaddr* to, socklen_t to_bytes,
                                                  bool v6, std::uint16_t sequence,
                                                  std::chrono::milliseconds patience) {
    Echo echo{};
    echo.type = v6 ? 128 : 8;
    echo.id = htons(static_cast<std::uint16_t>(getpid()));
    echo.sequence = htons(sequence);
    if (!v6) echo.checksum = checksum_of(echo);
    const auto sent_at = std::chrono::steady_clock::now();
    if (sendto(descriptor, &echo, sizeof echo, 0, to, to_bytes) < 0) return std::nullopt;
    for (;;) {
        const auto left = patience - std::chrono::duration_cast<std::chrono::milliseconds>(
                                         std::chrono::steady_clock::now() - sent_at);
        pollfd waiting{descriptor, POLLIN, 0};
        if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return std::nullopt;
        std::array<std::uint8_t, 2048> in{};
        const ssize_t got = recv(descriptor, in.data(), in.size(), 0);
        const std::size_t header =
            v6 ? 0 : (in[0] & 0x0fu) * 4;  // a raw IPv4 socket gives the IP header as well
        if (got < static_cast<ssize_t>(header + sizeof echo)) continue;
        Echo answer{};
        std::memcpy(&answer, in.data() + header, sizeof answer);
        if (answer.type == (v6 ? 129 : 0) && answer.id == echo.id && answer.sequence == echo.sequence)
            return std::chrono::steady_clock::now() - sent_at;
    }
}

}  // namespace

std::vector<std::chrono::nanoseconds> ping(const Child& from, const std::string& target, unsigned count,
                                           std::chrono::milliseconds patience) {
    std::vector<std::chrono::nanoseconds> answers;
    addrinfo hints{}, *found = nullptr;
    hints.ai_flags = AI_NUMERICHOST;
    if (getaddrinfo(target.c_str(), nullptr, &hints, &found) != 0) return answers;
    const bool v6 = found->ai_family == AF_INET6;
    const int descriptor =
        socket_in(from, found->ai_family, SOCK_RAW, v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP});
    for (unsigned i = 0; descriptor >= 0 && i < count; ++i)
        if (const auto took = echo_once(descriptor, found->ai_addr, found->ai_addrlen, v6,
                                        static_cast<std::uint16_t>(i), patience))
            answers.push_back(*took);
    if (descriptor >= 0) close(descriptor);
    freeaddrinfo(found);
    return answers;
}

bool make_veth(const std::string& here, const std::string& there, const Child& holder) {
    const std::string commands[] = {
        "ip link add " + here + " type veth peer name " + there + " netns " + std::to_string(holder.pid()),
        "ip link set " + here + " up",
        inside(holder, "ip link set lo up"),
        inside(holder, "ip addr add 10.77.0.2/24 dev " + there),
        inside(holder, "ip -6 addr add fd00:77::2/64 dev " + there + " nodad"),
        inside(holder, "ip link set " + there + " up"),
    };
    for (const std::string& command : commands) {
        std::string output;
        if (run(command, &output) == 0) continue;
        std::fprintf(stderr, "%s: %s\n", command.c_str(), output.c_str());
        return false;
    }
    return true;
}

}  // namespace longhaul::nic::lab
