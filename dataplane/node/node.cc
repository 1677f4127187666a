// The main thread's loop and what it does with the workers' events.
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

Node::Node(const worker::DataplaneConfig& config, ControlSocket socket, std::vector<WorkerDoor> workers,
           std::vector<nic::Port*> ports, int wake_fd, int signal_fd)
    : config_(config),
      socket_(std::move(socket)),
      workers_(std::move(workers)),
      steering_(std::move(ports)),
      wake_fd_(wake_fd),
      signal_fd_(signal_fd),
      boot_id_(random_id()),
      counters_(workers_.size()) {}

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
            ++connection_;
            results_told_ = false;
            spdlog::info("control connected");
        } else if (waits[3].revents != 0) {
            socket_.flush();
            take_frames();
        }
        take_events();
    }
    spdlog::info("stopping");
    for (WorkerDoor& worker : workers_) {
        auto stop = std::make_unique<worker::Command>(worker::Stop{});
        while (!worker.commands.send(stop))
            take_events();
    }
}

void Node::take_events() {
    // Rounds, so that no worker's flood keeps the others waiting.
    for (bool more = true; more;) {
        more = false;
        for (unsigned worker = 0; worker < workers_.size(); ++worker)
            more |= take_events_of(worker);
    }
}

bool Node::take_events_of(unsigned worker) {
    constexpr unsigned kEventsAtOnce = 64;
    for (unsigned i = 0; i < kEventsAtOnce; ++i) {
        const auto event = workers_[worker].events.receive();
        if (event == nullptr) return false;
        std::visit([&](auto& specific) { on_event(specific, worker); }, *event);
    }
    return true;
}

void Node::send(const Json& document) {
    socket_.send({command::write_document(document), {}});
}

Node::Gathering Node::gather(std::function<void(const Result<void>&)> done) {
    auto gathering = std::make_shared<Gather>();
    gathering->outstanding = 1;  // given back by close()
    gathering->done = std::move(done);
    return gathering;
}

Node::Gathering Node::gather_answer(std::uint64_t sequence) {
    return gather([this, sequence, connection = connection_](const Result<void>& outcome) {
        if (connection != connection_) return;  // who asked is gone
        send(outcome.ok() ? command::success_answer(sequence)
                          : command::failure_answer(sequence, outcome.error()));
    });
}

void Node::close(const Gathering& gathering) {
    if (--gathering->outstanding > 0) return;
    gathering->done(gathering->error ? Result<void>(*gathering->error) : Result<void>());
}

void Node::on_event(worker::Answer& event, unsigned) {
    const auto found = asked_.find(event.request);
    if (found == asked_.end()) return;
    const Gathering gathering = found->second;
    asked_.erase(found);
    if (event.error && !gathering->error) gathering->error = event.error;
    close(gathering);
}

void Node::on_event(worker::SourceBundle& event, unsigned) {
    if (!ledger_.on_event(event.event)) return;  // of the link that it was taken from
    const bool last = event.event.stage == wire::Stage::published || event.event.stage == wire::Stage::failed;
    const auto link = links_.find(event.event.link);
    if (last && link != links_.end()) link->second.spread.settle(event.event.id);
    Json document = event.event;
    document["event"] = "bundle";
    send(document);
}

void Node::on_event(worker::TargetBundle& event, unsigned) {
    Json document = event.event;
    document["event"] = "arrival";
    send(document);
}

void Node::on_event(worker::Mark& event, unsigned) {
    send({{"event", "mark"}, {"store", event.store}, {"watermark_ns", event.watermark_ns}});
}

void Node::on_event(worker::Ordered& event, unsigned worker) {
    const auto key = std::pair{event.event.id, event.event.link};
    const bool over = event.event.state > command::OrderState::publishing;
    if (over)
        staged_.erase(key);
    else
        staged_[key] = {event.event, worker};
    Json document = event.event;
    document["event"] = "order";
    send(document);
}

void Node::on_event(worker::Counters& event, unsigned worker) {
    const std::lock_guard lock(counters_mutex_);
    counters_[worker] = std::move(event);
}

void Node::on_event(worker::LogLine& event, unsigned) {
    spdlog::log(event.warning ? spdlog::level::warn : spdlog::level::info, "{}", event.text);
}

Result<void> Node::to_worker(unsigned worker, worker::Command command) {
    auto message = std::make_unique<worker::Command>(std::move(command));
    if (workers_[worker].commands.send(message)) return {};
    return Error{ErrorCode::exhausted, "the worker's command queue is full: try again"};
}

}  // namespace longhaul::node
