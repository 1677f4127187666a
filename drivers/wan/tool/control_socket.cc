// SPDX-License-Identifier: Apache-2.0
#include "drivers/wan/tool/control_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace longhaul::wan {
namespace {

constexpr std::size_t kClientsMax = 16;
constexpr std::size_t kLineMax = 4096;
constexpr std::size_t kUnreadMax = 1 << 20;  // of answers that a client does not fetch

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return Error{ErrorCode::invalid_argument, "the socket path \"" + path + "\" must have 1 to " +
                                                      std::to_string(sizeof address.sun_path - 1) + " bytes"};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

Error socket_error(const std::string& path, const char* what) {
    return {ErrorCode::unavailable, "control socket " + path + ": " + what + ": " + std::strerror(errno)};
}

int connect_to(const sockaddr_un& address) {
    const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return descriptor;
    const int failure = errno;
    close(descriptor);
    errno = failure;
    return -1;
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::listen(const std::string& path) {
    auto address = address_of(path);
    if (!address) return address.error();
    if (const int living = connect_to(address.value()); living >= 0) {
        close(living);
        return Error{ErrorCode::already_exists,
                     "another longhaul-wan answers on " + path + "; end it or choose another --socket"};
    }
    if (errno == ECONNREFUSED) unlink(path.c_str());
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return socket_error(path, "socket");
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address.value()), sizeof(sockaddr_un)) != 0 ||
        ::listen(listener, 8) != 0) {
        auto failure = socket_error(path, "bind (does its directory exist?)");
        close(listener);
        return failure;
    }
    return std::unique_ptr<ControlSocket>(new ControlSocket(listener, path));
}

ControlSocket::~ControlSocket() {
    for (const Client& client : clients_)
        close(client.descriptor);
    close(listener_);
    unlink(path_.c_str());
}

void ControlSocket::serve(const Handler& handler) {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor >= 0 && clients_.size() < kClientsMax)
        clients_.push_back({descriptor, {}, {}});
    else if (descriptor >= 0)
        close(descriptor);
    std::erase_if(clients_, [&](Client& client) {
        const bool stays = serve_client(client, handler);
        if (!stays) close(client.descriptor);
        return !stays;
    });
}

// False: the client has gone or does not behave.
bool ControlSocket::serve_client(Client& client, const Handler& handler) {
    std::array<char, 4096> chunk{};
    const ssize_t got = recv(client.descriptor, chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got > 0) client.in.append(chunk.data(), static_cast<std::size_t>(got));
    for (auto end = client.in.find('\n'); end != std::string::npos; end = client.in.find('\n')) {
        client.out += handler(client.in.substr(0, end)) + "\n";
        client.in.erase(0, end + 1);
    }
    if (!client.out.empty()) {
        const ssize_t sent =
            send(client.descriptor, client.out.data(), client.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) client.out.erase(0, static_cast<std::size_t>(sent));
        if (sent < 0 && errno != EAGAIN) return false;
    }
    const bool alive =
        got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)) || (got == 0 && !client.out.empty());
    return alive && client.in.size() <= kLineMax && client.out.size() <= kUnreadMax;
}

Result<std::string> ask(const std::string& path, const std::string& line) {
    auto address = address_of(path);
    if (!address) return address.error();
    const int descriptor = connect_to(address.value());
    if (descriptor < 0) return socket_error(path, "connect (is longhaul-wan running with this --socket?)");
    timeval patience{10, 0};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::string request = line + "\n";
    std::string answer;
    std::array<char, 4096> chunk{};
    bool open = send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(request.size());
    while (open && answer.find('\n') == std::string::npos) {
        const ssize_t got = recv(descriptor, chunk.data(), chunk.size(), 0);
        open = got > 0;
        if (open) answer.append(chunk.data(), static_cast<std::size_t>(got));
    }
    close(descriptor);
    if (answer.find('\n') == std::string::npos) return socket_error(path, "no answer");
    answer.resize(answer.find('\n'));
    return answer;
}

}  // namespace longhaul::wan
