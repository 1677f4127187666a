// The dataplane's main thread: control's socket on one side, the workers on the other. It keeps the books (stores,
// links and their lane groups, prepared sessions, bundle results) and moves no bytes. node.cc is its loop and what it does
// with events, requests.cc serves control, links.cc spreads a link over the workers, telemetry.cc tells figures.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "dataplane/node/bundle_ledger.h"
#include "dataplane/node/control_socket.h"
#include "dataplane/node/lane_steering.h"
#include "dataplane/node/link_groups.h"
#include "dataplane/node/rate_division.h"
#include "dataplane/worker/config.h"
#include "dataplane/worker/mailbox.h"
#include "dataplane/worker/messages.h"

namespace longhaul::node {

// A worker, as the main thread sees it.
struct WorkerDoor {
    worker::Mailbox<worker::Command>& commands;
    worker::Mailbox<worker::Event>& events;
};

class Node {
  public:
    // `ports` in the order of the configuration; they outlive the node.
    Node(const worker::DataplaneConfig& config, ControlSocket socket, std::vector<WorkerDoor> workers,
         std::vector<nic::Port*> ports, int wake_fd, int signal_fd);

    void run();                        // until SIGTERM or SIGINT
    nlohmann::json telemetry() const;  // any thread: the last counters, for the telemetry socket
    nlohmann::json workers() const;    // any thread: the same, worker by worker

  private:
    using Json = nlohmann::json;
    void take_frames();
    void take_events();
    bool take_events_of(unsigned worker);
    void serve(const command::Frame& frame);
    Json serve_request(const std::string& name, const Json& request, std::uint64_t sequence,
                       std::vector<std::uint8_t> blob, bool& answer_later);

    Json hello() const;
    Json status() const;
    Result<void> store_open(const Json& request, std::uint64_t sequence);
    Result<void> link_add(const Json& request, std::uint64_t sequence);
    Result<command::LinkOffer> link_prepare(std::uint8_t link);
    Result<void> link_start(const Json& request, std::uint64_t sequence);
    Result<void> link_remove(const Json& request, std::uint64_t sequence);
    Result<void> store_close(const Json& request, std::uint64_t sequence);
    Result<void> bundle_cancel(const Json& request);
    Result<bool> bundle_offer(const Json& request, std::vector<std::uint8_t> blob);

    void on_event(worker::Answer& event, unsigned worker);
    void on_event(worker::SourceBundle& event, unsigned worker);
    void on_event(worker::TargetBundle& event, unsigned worker);
    void on_event(worker::Mark& event, unsigned worker);
    void on_event(worker::Ordered& event, unsigned worker);
    void on_event(worker::LinkReport& event, unsigned worker);
    void on_event(worker::GroupLoad& event, unsigned worker);
    void on_event(worker::ShareTaken& event, unsigned worker);
    void on_event(worker::ReturnedBundle& event, unsigned worker);
    void on_event(worker::NeighbourChange& event, unsigned worker);
    void on_event(worker::Counters& event, unsigned worker);
    void on_event(worker::LogLine& event, unsigned worker);

    Result<void> settle_staged(const Json& request, bool publish);
    Result<void> to_worker(unsigned worker, worker::Command command);
    // Several workers are asked; `done` hears once, when all have answered, of the first complaint if there was one.
    struct Gather {
        std::size_t outstanding = 0;
        std::optional<Error> error;
        std::function<void(const Result<void>&)> done;
    };
    using Gathering = std::shared_ptr<Gather>;
    template <typename Command>
    void ask(const Gathering& gathering, unsigned worker, Command command);
    void close(const Gathering& gathering);  // nobody else is asked
    Gathering gather(std::function<void(const Result<void>&)> done);
    Gathering gather_answer(std::uint64_t sequence);  // that control gets under this number
    void send(const Json& document);
    std::size_t port_index(const std::string& name) const;  // config_.ports.size() if unknown

    worker::DataplaneConfig config_;
    ControlSocket socket_;
    std::vector<WorkerDoor> workers_;
    LaneSteering steering_;
    int wake_fd_, signal_fd_;
    std::string boot_id_;

    struct KnownLink {
        command::LinkSettings settings;
        command::LinkStatus status;
        std::size_t port = 0;
        wire::IpAddress local_ip, remote_ip;
        std::unique_ptr<command::LinkOffer> prepared;  // valid for one link_start
        std::vector<std::uint32_t> session_spis;       // of the session that runs
        struct Group {
            GroupPlace place;
            command::LinkStatus status;
        };
        std::vector<Group> groups;  // one before the first session
        BundleSpread spread;
        std::optional<RateDivision> division;       // of two groups or more
        std::optional<wire::MacAddress> neighbour;  // as worker 0 found it
        std::uint16_t path_symbol_bytes = 0;        // what the last group to find a limit, or none, has found
        bool starting = false;                      // a session
    };
    struct SessionStart;
    worker::ConfigureLink configure_group(const KnownLink& link, unsigned group) const;
    void steer_lanes(const KnownLink& link);
    void make_groups(KnownLink& link, unsigned groups, unsigned lanes);
    void begin_groups(const std::shared_ptr<SessionStart>& start, std::uint64_t sequence);
    Result<void> offer_to_group(KnownLink& link, command::BundleOfferMessage offer,
                                std::vector<std::uint8_t> head);
    void take_back_elsewhere(const command::BundleOfferMessage& offer);
    void settle_shares(std::uint8_t number, KnownLink& link);
    std::map<std::uint8_t, KnownLink> links_;
    std::map<std::uint64_t, storage::StoreRole> stores_;
    std::set<std::uint32_t> spis_;
    std::map<std::uint64_t, Gathering> asked_;  // by the number that a worker answers
    std::uint64_t next_request_ = 1;
    std::uint64_t connection_ = 0;  // of control: answers to an earlier one are dropped
    BundleLedger ledger_;
    bool results_told_ = false;  // the finished bundles, to the connection of now
    struct Staged {              // or publishing
        command::OrderEvent event;
        unsigned worker = 0;  // that has it
    };
    std::map<std::pair<wire::BundleId, std::uint8_t>, Staged> staged_;  // by link

    mutable std::mutex counters_mutex_;
    std::vector<worker::Counters> counters_;         // guarded by counters_mutex_; one a worker
    std::vector<command::LinkStatus> link_figures_;  // guarded by counters_mutex_
};

template <typename Command>
void Node::ask(const Gathering& gathering, unsigned worker, Command command) {
    const std::uint64_t number = next_request_++;
    command.request = number;
    if (auto sent = to_worker(worker, std::move(command)); !sent.ok()) {
        if (!gathering->error) gathering->error = sent.error();
        return;
    }
    ++gathering->outstanding;
    asked_[number] = gathering;
}

}  // namespace longhaul::node
