// The client's thread: connect, greet, state the links, then move frames until something breaks.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataplane_client/dataplane_client.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "control/dataplane_client/waiter.h"

namespace longhaul::control {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kReadBytes = 64 << 10;

Error unavailable(std::string text) {
    return Error{ErrorCode::unavailable, std::move(text)};
}

}  // namespace

DataplaneClient::DataplaneClient(std::string socket_path, std::string instance, DataplaneListener& listener)
    : socket_path_(std::move(socket_path)), instance_(std::move(instance)), listener_(listener) {
    wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    LH_ASSERT(wake_fd_ >= 0);
    down_reason_ = "not connected to " + socket_path_ + " yet";
}

DataplaneClient::~DataplaneClient() {
    stop();
    close(wake_fd_);
}

void DataplaneClient::start() {
    LH_ASSERT(!thread_.joinable());
    thread_ = std::thread([this] { run(); });
}

void DataplaneClient::stop() {
    stopping_ = true;
    wake();
    if (thread_.joinable()) thread_.join();
}

void DataplaneClient::wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written =
        write(wake_fd_, &one, sizeof one);  // full counter: already awake
}

void DataplaneClient::run() {
    thread_id_ = std::this_thread::get_id();
    while (!stopping_) {
        Result<void> result = connect();
        if (result) result = handshake();
        if (result) result = serve();
        disconnect(result ? "control is stopping" : result.error().text);
        if (!stopping_) pause(kRetryInterval);
    }
}

Result<void> DataplaneClient::connect() {
    socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_ < 0) return Error{ErrorCode::io_error, std::string("socket: ") + std::strerror(errno)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path_.size() >= sizeof address.sun_path)
        return Error{ErrorCode::invalid_argument, "dataplane_socket is longer than 107 bytes: shorten it"};
    std::memcpy(address.sun_path, socket_path_.c_str(), socket_path_.size() + 1);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return unavailable("cannot connect to the dataplane at " + socket_path_ + " (" +
                           std::strerror(errno) + "): start longhaul-dataplane or correct dataplane_socket");
    const std::lock_guard lock(mutex_);
    connected_ = true;
    return {};
}

Result<void> DataplaneClient::handshake() {
    auto greeting = exchange("hello", {{"control", instance_}});
    if (!greeting) return greeting.error();
    DataplaneHello hello;
    const json& answer = greeting.value();
    hello.boot_id = answer.value("boot_id", json()).is_string() ? answer["boot_id"].get<std::string>() : "";
    if (hello.boot_id.empty())
        return Error{ErrorCode::protocol_error, "the dataplane's hello has no boot_id"};
    if (answer.contains("version") && answer["version"].is_string()) hello.version = answer["version"];
    if (answer.contains("pid") && answer["pid"].is_number_integer()) hello.pid = answer["pid"];

    for (const command::LinkSettings& link : listener_.configured_links()) {
        json fields;
        to_json(fields, link);
        const auto added = exchange("link_add", std::move(fields));
        if (added) continue;
        if (added.error().code == ErrorCode::unavailable && stopping_) return added.error();
        listener_.on_link_refused(link.link, added.error());
    }
    auto report = exchange("status", json::object());
    if (!report) return report.error();
    const auto status = command::status_report_from(report.value());
    if (!status) return status.error();
    {
        const std::lock_guard lock(mutex_);
        up_ = true;
        hello_ = hello;
        down_reason_.clear();
    }
    spdlog::info("dataplane is up: boot {}, version {}, pid {}", hello.boot_id, hello.version, hello.pid);
    last_logged_.clear();
    listener_.on_up(hello, status.value());
    for (const json& event : std::exchange(deferred_, {}))
        take_event(event);
    return {};
}

Result<void> DataplaneClient::serve() {
    probe_.reset();
    probe_sent_ = Clock::now();
    while (!stopping_) {
        if (auto result = pump(kProbeInterval); !result) return result;
        const auto age = Clock::now() - probe_sent_;
        if (probe_ && age > kSilenceLimit)
            return unavailable("the dataplane has not answered for 6 s: is it stopped or overloaded?");
        if (!probe_ && age >= kProbeInterval) {
            json fields = json::object();
            auto sent = send("status", fields, {}, Admission::handshake);
            if (sent) probe_ = std::move(sent).value();
            probe_sent_ = Clock::now();
        }
    }
    return {};
}

Result<void> DataplaneClient::pump(std::chrono::milliseconds longest) {
    bool pending = false;
    {
        const std::lock_guard lock(mutex_);
        pending = !outgoing_.empty();
    }
    pollfd fds[2] = {{socket_, static_cast<short>(POLLIN | (pending ? POLLOUT : 0)), 0},
                     {wake_fd_, POLLIN, 0}};
    if (poll(fds, 2, static_cast<int>(std::max<std::int64_t>(longest.count(), 0))) < 0 && errno != EINTR)
        return Error{ErrorCode::io_error, std::string("poll: ") + std::strerror(errno)};
    if (fds[1].revents) {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
    }
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
        if (auto result = read_socket(); !result) return result;
    return write_socket();
}

Result<void> DataplaneClient::read_socket() {
    const std::size_t before = incoming_.size();
    incoming_.resize(before + kReadBytes);
    const ssize_t got = recv(socket_, incoming_.data() + before, kReadBytes, 0);
    const int error = errno;
    incoming_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return unavailable("the dataplane closed the connection");
    if (got < 0)
        return error == EAGAIN || error == EINTR
                   ? Result<void>{}
                   : Result<void>{
                         unavailable(std::string("the dataplane went away: ") + std::strerror(error))};
    for (;;) {
        auto frame = command::take_frame(incoming_);
        if (!frame) return frame.error();
        if (!frame.value()) return {};
        if (auto result = take_document(frame.value()->json); !result) return result;
    }
}

Result<void> DataplaneClient::write_socket() {
    const std::lock_guard lock(mutex_);
    while (!outgoing_.empty()) {
        const ssize_t sent = ::send(socket_, outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (sent < 0) return unavailable(std::string("the dataplane went away: ") + std::strerror(errno));
        wipe(outgoing_.data(), static_cast<std::size_t>(sent));  // link secrets pass here
        outgoing_.erase(outgoing_.begin(), outgoing_.begin() + sent);
    }
    return {};
}

Result<void> DataplaneClient::take_document(const std::string& text) {
    auto document = command::parse_document(text);
    if (!document) return document.error();
    json& value = document.value();
    if (const auto re = value.find("re"); re != value.end() && re->is_number_unsigned()) {
        const std::uint64_t seq = *re;
        take_answer(seq, std::move(value));
        if (probe_ && probe_->answer) take_probe();
        return {};
    }
    if (up()) {
        take_event(value);
        return {};
    }
    if (deferred_.size() >= kDeferredEventsMax)
        return Error{ErrorCode::exhausted, "the dataplane sent too many events before its first answers"};
    deferred_.push_back(std::move(value));
    return {};
}

void DataplaneClient::take_answer(std::uint64_t seq, json answer) {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(seq);
    if (found == waiting_.end()) return;  // its requester gave up
    if (auto outcome = command::outcome_of(answer); outcome)
        found->second->answer.emplace(std::move(answer));
    else
        found->second->answer.emplace(outcome.error());
    waiting_.erase(found);
    answered_.notify_all();
}

void DataplaneClient::take_probe() {
    const auto probe = std::exchange(probe_, nullptr);
    if (!*probe->answer) return;
    const auto status = command::status_report_from(probe->answer->value());
    if (!status) return spdlog::warn("dataplane status does not parse: {}", status.error().text);
    for (const command::LinkStatus& link : status.value().links)
        listener_.on_link(link);
}

void DataplaneClient::take_event(const json& event) {
    const auto complain = [&](const std::string& why) { spdlog::warn("dataplane event ignored: {}", why); };
    const auto kind = event.find("event");
    if (kind == event.end() || !kind->is_string()) return complain("neither an answer nor an event");
    if (*kind == "bundle") {
        const auto parsed = command::bundle_event_from(event);
        return parsed ? listener_.on_bundle(parsed.value()) : complain(parsed.error().text);
    }
    if (*kind == "order") {
        const auto parsed = command::order_event_from(event);
        return parsed ? listener_.on_order(parsed.value()) : complain(parsed.error().text);
    }
    if (*kind == "link") {
        const auto parsed = command::link_status_from(event);
        return parsed ? listener_.on_link(parsed.value()) : complain(parsed.error().text);
    }
    if (*kind == "mark") {
        const auto store = event.find("store");
        const auto watermark = event.find("watermark_ns");
        if (store == event.end() || !store->is_number_unsigned() || watermark == event.end() ||
            !watermark->is_number_integer())
            return complain("mark without store or watermark_ns");
        return listener_.on_mark(store->get<std::uint64_t>(), watermark->get<std::int64_t>());
    }
    if (*kind != "arrival") complain("unknown kind " + kind->get<std::string>());
}

void DataplaneClient::disconnect(const std::string& reason) {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
    incoming_.clear();
    deferred_.clear();
    probe_.reset();
    bool was_up = false;
    {
        const std::lock_guard lock(mutex_);
        was_up = std::exchange(up_, false);
        connected_ = false;
        hello_ = {};
        down_reason_ = reason;
        wipe(outgoing_.data(), outgoing_.size());
        outgoing_.clear();
        for (auto& [seq, waiter] : waiting_)
            waiter->answer.emplace(unavailable("no answer: " + reason));
        waiting_.clear();
        answered_.notify_all();
    }
    if (reason != last_logged_) spdlog::warn("dataplane is down: {}", reason);
    last_logged_ = reason;
    listener_.on_down(reason, was_up);
}

void DataplaneClient::pause(std::chrono::milliseconds longest) {
    pollfd fd{wake_fd_, POLLIN, 0};
    if (poll(&fd, 1, static_cast<int>(longest.count())) > 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
    }
}

}  // namespace longhaul::control
