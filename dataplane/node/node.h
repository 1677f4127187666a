// The dataplane's main thread: control's socket on one side, the worker on the other. It keeps the books (stores,
// links, prepared sessions, bundle results) and moves no bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "dataplane/node/bundle_ledger.h"
#include "dataplane/node/control_socket.h"
#include "dataplane/worker/config.h"
#include "dataplane/worker/mailbox.h"
#include "dataplane/worker/messages.h"

namespace longhaul::node {

class Node {
  public:
    Node(const worker::DataplaneConfig& config, ControlSocket socket,
         worker::Mailbox<worker::Command>& to_worker, worker::Mailbox<worker::Event>& from_worker,
         int wake_fd, int signal_fd);

    void run();                        // until SIGTERM or SIGINT
    nlohmann::json telemetry() const;  // any thread: the last counters, for the telemetry socket

  private:
    using Json = nlohmann::json;
    void take_frames();
    void take_events();
    void serve(const command::Frame& frame);
    Json serve_request(const std::string& name, const Json& request, std::uint64_t sequence,
                       std::vector<std::uint8_t> blob, bool& answer_later);

    Json hello() const;
    Json status() const;
    Result<void> store_open(const Json& request, std::uint64_t sequence);
    Result<void> link_add(const Json& request, std::uint64_t sequence);
    Result<command::LinkOffer> link_prepare(std::uint8_t link);
    Result<void> link_start(const Json& request, std::uint64_t sequence);
    Result<bool> bundle_offer(const Json& request, std::vector<std::uint8_t> blob);

    void on_event(worker::Answer& event);
    void on_event(worker::SourceBundle& event);
    void on_event(worker::TargetBundle& event);
    void on_event(worker::Mark& event);
    void on_event(worker::Ordered& event);
    void on_event(worker::LinkReport& event);
    void on_event(worker::Counters& event);
    void on_event(worker::LogLine& event);

    Result<void> settle_staged(const Json& request, bool publish);
    Result<void> to_worker(worker::Command command);
    void send(const Json& document);
    std::size_t port_index(const std::string& name) const;  // config_.ports.size() if unknown

    worker::DataplaneConfig config_;
    ControlSocket socket_;
    worker::Mailbox<worker::Command>& to_worker_;
    worker::Mailbox<worker::Event>& from_worker_;
    int wake_fd_, signal_fd_;
    std::string boot_id_;

    struct KnownLink {
        command::LinkSettings settings;
        command::LinkStatus status;
        std::size_t port = 0;
        wire::IpAddress local_ip, remote_ip;
        std::unique_ptr<command::LinkOffer> prepared;  // valid for one link_start
        std::vector<std::uint32_t> session_spis;       // of the session that runs
    };
    std::map<std::uint8_t, KnownLink> links_;
    std::map<std::uint64_t, storage::StoreRole> stores_;
    std::map<std::uint64_t, std::pair<std::uint64_t, storage::StoreRole>>
        stores_opening_;  // request -> store
    std::set<std::uint32_t> spis_;
    std::map<std::uint64_t, std::uint64_t>
        waiting_;  // worker request -> control's seq on the connection of now
    std::uint64_t next_request_ = 1;
    BundleLedger ledger_;
    bool results_told_ = false;  // the finished bundles, to the connection of now
    std::map<std::pair<wire::BundleId, std::uint8_t>, command::OrderEvent>
        staged_;  // and publishing; by link

    mutable std::mutex counters_mutex_;
    worker::Counters counters_;                      // guarded by counters_mutex_
    std::vector<command::LinkStatus> link_figures_;  // guarded by counters_mutex_
};

}  // namespace longhaul::node
