// The main thread's loop and what it does with the worker's events.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/node.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>

#include "drivers/crypto/secret.h"

namespace longhaul::node {
namespace {

constexpr int kLoopMs = 1000;  // wakes come from sockets and the eventfd; this is only the longest silence

std::string random_id() {
    std::array<std::uint8_t, 16> bytes{};
    const auto done = crypto::random_bytes(bytes);
    LH_ASSERT(done.ok());  // without randomness there are no keys either
    return command::hex(bytes);
}

void drain(int fd) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(fd, &count, sizeof count);
}

}  // namespace

Node::Node(const worker::DataplaneConfig& config, ControlSocket socket,
           worker::Mailbox<worker::Command>& to_worker, worker::Mailbox<worker::Event>& from_worker,
           int wake_fd, int signal_fd)
    : config_(config),
      socket_(std::move(socket)),
      to_worker_(to_worker),
      from_worker_(from_worker),
      wake_fd_(wake_fd),
      signal_fd_(signal_fd),
      boot_id_(random_id()) {}

void Node::run() {
    spdlog::info("ready: control socket {}, boot {}", config_.socket, boot_id_);
    for (;;) {
        std::array<pollfd, 4> waits{
            {{socket_.listen_fd(), POLLIN, 0},
             {wake_fd_, POLLIN, 0},
             {signal_fd_, POLLIN, 0},
             {socket_.client_fd(), static_cast<short>(POLLIN | (socket_.wants_write() ? POLLOUT : 0)), 0}}};
        ::poll(waits.data(), waits.size(), kLoopMs);
        if ((waits[2].revents & POLLIN) != 0) break;
        if ((waits[1].revents & POLLIN) != 0) drain(wake_fd_);
        if ((waits[0].revents & POLLIN) != 0 && socket_.accept_client()) {
            waiting_.clear();
            results_told_ = false;
            spdlog::info("control connected");
        } else if (waits[3].revents != 0) {
            socket_.flush();
            take_frames();
        }
        take_events();
    }
    spdlog::info("stopping");
    auto stop = std::make_unique<worker::Command>(worker::Stop{});
    while (!to_worker_.send(stop))
        take_events();
}

void Node::take_events() {
    while (auto event = from_worker_.receive())
        std::visit([&](auto& specific) { on_event(specific); }, *event);
}

void Node::send(const Json& document) {
    socket_.send({command::write_document(document), {}});
}

void Node::on_event(worker::Answer& event) {
    const auto opening = stores_opening_.find(event.request);
    if (opening != stores_opening_.end()) {
        if (!event.error) stores_[opening->second.first] = opening->second.second;
        stores_opening_.erase(opening);
    }
    const auto asked = waiting_.find(event.request);
    if (asked == waiting_.end()) return;  // the connection that asked is gone
    send(event.error ? command::failure_answer(asked->second, *event.error)
                     : command::success_answer(asked->second));
    waiting_.erase(asked);
}

void Node::on_event(worker::SourceBundle& event) {
    ledger_.on_event(event.event);
    Json document = event.event;
    document["event"] = "bundle";
    send(document);
}

void Node::on_event(worker::TargetBundle& event) {
    Json document = event.event;
    document["event"] = "arrival";
    send(document);
}

void Node::on_event(worker::Mark& event) {
    send({{"event", "mark"}, {"store", event.store}, {"watermark_ns", event.watermark_ns}});
}

void Node::on_event(worker::Ordered& event) {
    const auto key = std::pair{event.event.id, event.event.link};
    const bool over = event.event.state > command::OrderState::publishing;
    if (over)
        staged_.erase(key);
    else
        staged_[key] = event.event;
    Json document = event.event;
    document["event"] = "order";
    send(document);
}

void Node::on_event(worker::LinkReport& event) {
    const auto found = links_.find(event.status.link);
    if (found == links_.end()) return;
    if (found->second.status.state != event.status.state)
        spdlog::info("link {}: {}{}{}", event.status.name, command::to_string(event.status.state),
                     event.status.reason.empty() ? "" : ": ", event.status.reason);
    found->second.status = event.status;
    Json document = event.status;
    document["event"] = "link";
    send(document);
    const std::lock_guard lock(counters_mutex_);
    link_figures_.clear();
    for (const auto& [number, link] : links_)
        link_figures_.push_back(link.status);
}

void Node::on_event(worker::Counters& event) {
    const std::lock_guard lock(counters_mutex_);
    counters_ = std::move(event);
}

void Node::on_event(worker::LogLine& event) {
    spdlog::log(event.warning ? spdlog::level::warn : spdlog::level::info, "{}", event.text);
}

Result<void> Node::to_worker(worker::Command command) {
    auto message = std::make_unique<worker::Command>(std::move(command));
    if (to_worker_.send(message)) return {};
    return Error{ErrorCode::exhausted, "the worker's command queue is full: try again"};
}

Node::Json Node::telemetry() const {
    const std::lock_guard lock(counters_mutex_);
    Json drops = Json::object();
    for (std::size_t i = 1; i < wire::kDropReasons; ++i)
        drops[wire::to_string(static_cast<wire::DropReason>(i))] = counters_.drops.by_reason[i];
    Json ports = Json::array();
    for (std::size_t i = 0; i < counters_.ports.size() && i < config_.ports.size(); ++i) {
        const nic::PortStats& port = counters_.ports[i];
        ports.push_back({{"name", config_.ports[i].name},
                         {"rx_packets", port.rx_packets},
                         {"rx_bytes", port.rx_bytes},
                         {"tx_packets", port.tx_packets},
                         {"tx_bytes", port.tx_bytes},
                         {"rx_missed", port.rx_missed},
                         {"rx_errors", port.rx_errors},
                         {"tx_errors", port.tx_errors},
                         {"no_mbuf", port.no_mbuf}});
    }
    const storage::StorageStats& disk = counters_.storage;
    nlohmann::json worker = {
        {"loops", counters_.loops}, {"busy_loops", counters_.busy_loops}, {"sleeps", counters_.sleeps}};
    for (std::size_t i = 0; i < worker::kStages; ++i)
        worker[std::string("busy_cycles_") + worker::kStageNames[i]] = counters_.busy_cycles[i];
    return {{"drops", drops},
            {"ports", ports},
            {"links", link_figures_},
            {"storage",
             {{"bytes_read", disk.bytes_read},
              {"bytes_written", disk.bytes_written},
              {"direct_bytes_read", disk.direct_bytes_read},
              {"direct_bytes_written", disk.direct_bytes_written},
              {"files_opened", disk.files_opened},
              {"files_published", disk.files_published},
              {"entries_failed", disk.entries_failed},
              {"fdatasyncs", disk.fdatasyncs},
              {"directory_fsyncs", disk.directory_fsyncs},
              {"order_refusals", disk.order_refusals}}},
            {"worker", worker},
            {"neighbours",
             {{"arp_replies", counters_.neighbours.arp_replies},
              {"arp_requests", counters_.neighbours.arp_requests},
              {"nd_replies", counters_.neighbours.nd_replies},
              {"nd_requests", counters_.neighbours.nd_requests},
              {"echo_replies", counters_.neighbours.echo_replies},
              {"limited", counters_.neighbours.limited},
              {"ignored", counters_.neighbours.ignored},
              {"conflicts", counters_.neighbours.conflicts}}}};
}

}  // namespace longhaul::node
