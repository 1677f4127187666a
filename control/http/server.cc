// The route table over cpp-httplib, whose own routing answers 404 for a wrong method and whose queue has no
// bound.
// SPDX-License-Identifier: Apache-2.0
#include "control/http/server.h"

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <deque>
#include <mutex>

namespace longhaul::control {
namespace {

// A queue that makes the accepting thread wait when it is full: the kernel's backlog then holds the callers
// off. Refusing would leak the connection, as only the queued function closes it.
class BoundedPool : public httplib::TaskQueue {
  public:
    BoundedPool(std::size_t threads, std::size_t queued_max) : queued_max_(queued_max) {
        for (std::size_t i = 0; i < threads; ++i)
            threads_.emplace_back([this] { work(); });
    }
    void enqueue(std::function<void()> task) override {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return tasks_.size() < queued_max_ || ended_; });
        tasks_.push_back(std::move(task));
        wanted_.notify_one();
    }
    void shutdown() override {
        {
            const std::lock_guard lock(mutex_);
            ended_ = true;
        }
        wanted_.notify_all();
        room_.notify_all();
        for (std::thread& thread : threads_)
            thread.join();
    }

  private:
    void work() {
        for (;;) {
            std::function<void()> task;
            {
                std::unique_lock lock(mutex_);
                wanted_.wait(lock, [&] { return !tasks_.empty() || ended_; });
                if (tasks_.empty()) return;
                task = std::move(tasks_.front());
                tasks_.pop_front();
            }
            room_.notify_one();
            task();
        }
    }

    const std::size_t queued_max_;
    std::mutex mutex_;
    std::condition_variable wanted_, room_;
    std::deque<std::function<void()>> tasks_;
    std::vector<std::thread> threads_;
    bool ended_ = false;
};

std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> segments;
    std::size_t start = 1;
    while (start <= path.size()) {
        const std::size_t slash = std::min(path.find('/', start), path.size());
        segments.push_back(path.substr(start, slash - start));
        start = slash + 1;
    }
    return segments;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
             std::vector<std::string>& arguments) {
    if (pattern.size() != path.size()) return false;
    arguments.clear();
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i].starts_with('{') && !path[i].empty())
            arguments.push_back(path[i]);
        else if (pattern[i] != path[i])
            return false;
    }
    return true;
}

void put(Reply reply, httplib::Response& response) {
    response.status = reply.status;
    for (const auto& [name, value] : reply.headers)
        response.set_header(name, value);
    response.set_header("Cache-Control", "no-store");
    response.set_header("X-Content-Type-Options", "nosniff");
    if (reply.stream) {
        response.set_chunked_content_provider(
            reply.type, [stream = std::move(reply.stream)](std::size_t, httplib::DataSink& sink) {
                const auto more = stream();
                if (!more) {
                    sink.done();
                    return true;
                }
                return more->empty() || sink.write(more->data(), more->size());
            });
        return;
    }
    if (!reply.type.empty()) response.set_content(std::move(reply.body), reply.type);
}

// What the library refuses before any route is asked: only a status is known.
Problem refused_by_parser(int status) {
    switch (status) {
        case 413:
            return {413, "Body too large", "the body is larger than 1 MiB: send less", "body_too_large", {}};
        case 414:
            return {
                414,
                "URI too long",
                "the path is longer than " + std::to_string(HttpServer::kPathBytesMax) + " bytes: shorten it",
                "uri_too_long",
                {}};
        case 400:
            return {400,
                    "Malformed request",
                    "the request line, a header or the body's framing is not HTTP",
                    "malformed_request",
                    {}};
        default:
            return {status, "Request refused", "HTTP status " + std::to_string(status), "refused", {}};
    }
}

}  // namespace

HttpServer::HttpServer(std::unique_ptr<httplib::Server> server, Gate gate, std::size_t threads)
    : threads_(threads), server_(std::move(server)), gate_(std::move(gate)) {
    install();
}

HttpServer::~HttpServer() {
    stop();
}

void HttpServer::add(std::string method, const std::string& pattern, Handler handler, Access access) {
    routes_.push_back({std::move(method), pattern, split(pattern), std::move(handler), access});
}

std::vector<std::pair<std::string, std::string>> HttpServer::routes() const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const Route& route : routes_)
        out.emplace_back(route.method, route.pattern);
    return out;
}

Reply HttpServer::answer(const httplib::Request& request) const {
    const std::string method = request.method == "HEAD" ? "GET" : request.method;
    const std::vector<std::string> path = split(request.path);
    std::string allowed;
    Call call{request, {}, {}};
    const Route* found = nullptr;
    for (const Route& route : routes_) {
        std::vector<std::string> arguments;
        if (!matches(route.segments, path, arguments)) continue;
        allowed += (allowed.empty() ? "" : ", ") + route.method;
        if (route.method != method) continue;
        found = &route;
        call.arguments = std::move(arguments);
    }
    // The gate comes before 404 and 405, so that strangers learn nothing about the routes.
    if (!found || found->access == Access::gated)
        if (auto problem = gate_(call)) {
            Reply reply = problem_reply(*problem);
            if (problem->status == 401) reply.headers["WWW-Authenticate"] = "Bearer realm=\"longhaul\"";
            return reply;
        }
    if (found) return found->handler(call);
    if (allowed.empty())
        return problem_reply(
            {404,
             "Not found",
             "there is no " + in_quotes(request.path) + ": GET /openapi.json lists what there is",
             "no_such_route",
             {}});
    Reply reply = problem_reply({405,
                                 "Method not allowed",
                                 in_quotes(request.path) + " takes " + allowed + ", not " + request.method,
                                 "method_not_allowed",
                                 {}});
    reply.headers["Allow"] = allowed;
    return reply;
}

void HttpServer::install() {
    const auto handler = [this](const httplib::Request& request, httplib::Response& response) {
        put(answer(request), response);
    };
    server_->Get(".*", handler)
        .Post(".*", handler)
        .Put(".*", handler)
        .Patch(".*", handler)
        .Delete(".*", handler)
        .Options(".*", handler);
    server_->set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
        if (request.path.size() <= kPathBytesMax) return httplib::Server::HandlerResponse::Unhandled;
        put(problem_reply(refused_by_parser(414)),
            response);  // also keeps long paths from the library's regex
        return httplib::Server::HandlerResponse::Handled;
    });
    server_->set_error_handler([](const httplib::Request&, httplib::Response& response) {
        if (response.body.empty()) put(problem_reply(refused_by_parser(response.status)), response);
    });
    server_->set_exception_handler(
        [](const httplib::Request& request, httplib::Response& response, std::exception_ptr error) {
            std::string what = "unknown exception";
            try {
                std::rethrow_exception(error);
            } catch (const std::exception& known) {
                what = known.what();
            } catch (...) {
            }
            spdlog::error("{} {} failed: {}", request.method, request.path, what);
            put(problem_reply({500,
                               "Internal error",
                               "the request failed inside; the log of longhaul-control has more",
                               "internal",
                               {}}),
                response);
        });
    server_->set_payload_max_length(std::size_t{1} << 20);
    server_->set_read_timeout(kReadTimeoutS);
    server_->set_write_timeout(kWriteTimeoutS);
    server_->set_keep_alive_timeout(kKeepAliveS);
    server_->set_keep_alive_max_count(100);
    server_->set_tcp_nodelay(true);
    server_->new_task_queue = [threads = threads_] {
        return new BoundedPool(threads, kQueuedConnectionsMax);
    };  // the library deletes it
    // The default options share the port with any other process (SO_REUSEPORT); a second instance must fail
    // instead.
    server_->set_socket_options([](socket_t socket) {
        const int yes = 1;
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
}

Result<std::uint16_t> HttpServer::start(const Endpoint& endpoint) {
    int port = endpoint.port;
    errno = 0;
    if (endpoint.port == 0)
        port = server_->bind_to_any_port(endpoint.host);
    else if (!server_->bind_to_port(endpoint.host, endpoint.port))
        port = -1;
    if (port < 0)
        return Error{ErrorCode::unavailable, "cannot listen on " + to_string(endpoint) +
                                                 ": is the port taken, or the address not of this machine?"};
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running())
        std::this_thread::yield();  // stop() is lost on a server that is not yet listening
    return static_cast<std::uint16_t>(port);
}

void HttpServer::stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
}

}  // namespace longhaul::control
