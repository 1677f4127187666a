// The Unix socket that control connects to: accepts one control at a time (a newer connection replaces the older),
// cuts the stream into frames, and never blocks. Owned by the main thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/command/messages.h"

namespace longhaul::node {

// Output that control does not take: the connection is closed beyond this; control comes back and asks for the status.
inline constexpr std::size_t kUnsentBytesMax = 64u << 20;

class ControlSocket {
  public:
    static Result<ControlSocket> listen(
        const std::string& path);  // mode 0600; a stale socket file is replaced
    ControlSocket(ControlSocket&& other) noexcept;
    ControlSocket& operator=(ControlSocket&&) = delete;
    ~ControlSocket();

    int listen_fd() const { return listen_fd_; }
    int client_fd() const { return client_fd_; }  // -1: nobody
    bool wants_write() const { return client_fd_ >= 0 && sent_ < unsent_.size(); }

    bool accept_client();                    // true: somebody new is there
    std::vector<command::Frame> receive();   // whole frames; closes the client at end, error or nonsense
    void send(const command::Frame& frame);  // queues and tries
    void flush();

  private:
    explicit ControlSocket(std::string path, int fd) : path_(std::move(path)), listen_fd_(fd) {}
    void drop_client();

    std::string path_;
    int listen_fd_ = -1;
    int client_fd_ = -1;
    std::vector<std::uint8_t> received_;
    std::vector<std::uint8_t> unsent_;
    std::size_t sent_ = 0;
};

}  // namespace longhaul::node
