// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/control_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace longhaul::node {
namespace {

Error socket_error(const std::string& path, const char* what) {
    return Error{ErrorCode::unavailable,
                 "socket " + path + ": " + what + ": " + std::strerror(errno) +
                     ": check `socket` in the configuration and the directory's permissions"};
}

}  // namespace

Result<ControlSocket> ControlSocket::listen(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Error{ErrorCode::invalid_argument,
                     "socket path " + path + " is longer than 107 bytes: choose a shorter one"};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return socket_error(path, "cannot create");
    ControlSocket socket(path, fd);
    ::unlink(path.c_str());
    const mode_t before = ::umask(0177);  // no moment in which somebody else could connect
    const int bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::umask(before);
    if (bound != 0) return socket_error(path, "cannot bind");
    if (::listen(fd, 4) != 0) return socket_error(path, "cannot listen");
    return socket;
}

ControlSocket::ControlSocket(ControlSocket&& other) noexcept
    : path_(std::move(other.path_)),
      listen_fd_(std::exchange(other.listen_fd_, -1)),
      client_fd_(std::exchange(other.client_fd_, -1)),
      received_(std::move(other.received_)),
      unsent_(std::move(other.unsent_)),
      sent_(other.sent_) {}

ControlSocket::~ControlSocket() {
    drop_client();
    if (listen_fd_ < 0) return;
    ::close(listen_fd_);
    ::unlink(path_.c_str());
}

void ControlSocket::drop_client() {
    if (client_fd_ >= 0) ::close(client_fd_);
    client_fd_ = -1;
    received_.clear();
    unsent_.clear();
    sent_ = 0;
}

bool ControlSocket::accept_client() {
    const int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return false;
    drop_client();
    client_fd_ = fd;
    return true;
}

std::vector<command::Frame> ControlSocket::receive() {
    std::vector<command::Frame> frames;
    if (client_fd_ < 0) return frames;
    std::uint8_t chunk[64 * 1024];
    bool closed = false;
    for (;;) {
        const ssize_t got = ::recv(client_fd_, chunk, sizeof chunk, 0);
        if (got > 0) {
            received_.insert(received_.end(), chunk, chunk + got);
            if (received_.size() > 2 * command::kFrameBytesMax) break;  // take these frames before reading on
            continue;
        }
        if (got < 0 && errno == EINTR) continue;
        closed = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
        break;
    }
    for (;;) {
        auto frame = command::take_frame(received_);
        if (!frame.ok()) {
            closed = true;
            break;
        }
        if (!frame.value()) break;
        frames.push_back(std::move(*std::move(frame).value()));
    }
    if (closed) drop_client();
    return frames;
}

void ControlSocket::send(const command::Frame& frame) {
    if (client_fd_ < 0) return;
    const std::vector<std::uint8_t> bytes = command::write_frame(frame);
    if (unsent_.size() - sent_ + bytes.size() > kUnsentBytesMax) return drop_client();
    unsent_.insert(unsent_.end(), bytes.begin(), bytes.end());
    flush();
}

void ControlSocket::flush() {
    while (client_fd_ >= 0 && sent_ < unsent_.size()) {
        const ssize_t put = ::send(client_fd_, unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL);
        if (put > 0) {
            sent_ += static_cast<std::size_t>(put);
        } else if (put < 0 && errno == EINTR) {
            continue;
        } else if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else {
            return drop_client();
        }
    }
    if (sent_ == unsent_.size()) {
        unsent_.clear();
        sent_ = 0;
    }
}

}  // namespace longhaul::node
