// Lines in, lines out: the Unix socket over which a running link is changed and read, served between two
// bursts. A slow or silent client costs nothing; what it sends is bounded.
//
//   set a|b|both NAME VALUE  ->  ok | error: TEXT        show  ->  JSON        quit  ->  ok
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace longhaul::wan {

class ControlSocket {
  public:
    using Handler = std::function<std::string(const std::string& line)>;  // the answer without its newline
    // Takes over the path from a killed predecessor, not from a living one.
    static Result<std::unique_ptr<ControlSocket>> listen(const std::string& path);
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

    void serve(const Handler& handler);  // never blocks

  private:
    ControlSocket(int listener, std::string path) : listener_(listener), path_(std::move(path)) {}
    struct Client {
        int descriptor = -1;
        std::string in, out;
    };
    bool serve_client(Client& client, const Handler& handler);

    int listener_;
    std::string path_;
    std::vector<Client> clients_;
};

// The client's half: one line to `path`, its answer back.
Result<std::string> ask(const std::string& path, const std::string& line);

}  // namespace longhaul::wan
