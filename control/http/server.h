// What the REST server and the peer server share: a table of routes with one gate before it, bounded threads,
// queue, body and time, and a problem document for everything that goes wrong, 404 and 405 included.
//
// Threads: one accepts, kThreads (or as many as asked for) serve; handlers run concurrently.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <httplib.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control/config/values.h"
#include "control/http/problem.h"

namespace longhaul::control {

struct Call {
    const httplib::Request& request;
    std::vector<std::string> arguments;  // what stood at the pattern's {…}, in order
    std::string caller;                  // set by the gate: the peer's site
};

class HttpServer {
  public:
    static constexpr std::size_t kThreads = 8;
    static constexpr std::size_t kQueuedConnectionsMax = 64;
    static constexpr std::size_t kPathBytesMax = 1024;
    static constexpr int kReadTimeoutS = 5, kWriteTimeoutS = 5, kKeepAliveS = 1;

    using Handler = std::function<Reply(const Call&)>;
    using Gate = std::function<std::optional<Problem>(Call&)>;
    enum class Access { gated, open };  // open: served without asking the gate

    // `server`: plain or TLS, not yet bound.
    HttpServer(std::unique_ptr<httplib::Server> server, Gate gate, std::size_t threads = kThreads);
    ~HttpServer();

    void add(std::string method, const std::string& pattern, Handler handler, Access access = Access::gated);
    Result<std::uint16_t> start(const Endpoint& endpoint);  // the port it is bound to
    void stop();

    std::vector<std::pair<std::string, std::string>> routes() const;  // method, pattern

  private:
    struct Route {
        std::string method, pattern;
        std::vector<std::string> segments;
        Handler handler;
        Access access;
    };
    Reply answer(const httplib::Request& request) const;
    void install();

    const std::size_t threads_;
    std::unique_ptr<httplib::Server> server_;
    Gate gate_;
    std::vector<Route> routes_;
    std::thread thread_;
};

}  // namespace longhaul::control
