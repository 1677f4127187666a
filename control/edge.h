// The edge of a control process, assembled: dataplane client, peers, link supervisors, REST. To the core it
// is Ports; to the dataplane's client it is the listener that hands events on to the core.
//
// Lifetime: made before the core (which needs Ports), started with it, stopped before it ends, destroyed
// after it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/api/api_server.h"
#include "control/config/config.h"
#include "control/core.h"
#include "control/dataplane_client/dataplane_client.h"
#include "control/peer/link_book.h"
#include "control/peer/link_sessions.h"
#include "control/peer/link_supervisor.h"
#include "control/peer/peer_client.h"
#include "control/peer/peer_server.h"

namespace longhaul::control {

class Edge final : public Ports, private DataplaneListener {
  public:
    explicit Edge(ControlConfig config, LinkSupervisor::Timing timing = {});
    ~Edge() override;

    Result<void> start(Core& core);  // what was started before a failure is stopped again
    void stop();
    std::uint16_t rest_port() const { return rest_port_; }
    std::uint16_t peer_port() const { return peer_port_; }  // 0: there are no other sites
    LinkBook& links() { return links_; }

    Result<void> store_open(std::uint64_t store, const std::string& directory, bool target,
                            bool marked) override;
    void store_close(std::uint64_t store) override;
    Result<bool> bundle_offer(const command::BundleOfferMessage& offer,
                              std::vector<std::uint8_t> head) override;
    Result<void> bundle_cancel(const wire::BundleId& id) override;
    Result<void> bundle_ack(const std::vector<wire::BundleId>& ids) override;
    Result<void> order_settle(std::uint8_t link, const wire::BundleId& id, std::uint32_t generation,
                              bool publish) override;
    Result<TargetAccepted> target_accept(const DatasetSpec& spec) override;
    Result<void> target_release(const std::string& dataset, const std::string& site,
                                std::uint64_t store) override;
    std::vector<LinkChoice> links_to(const std::string& site) override;

  private:
    std::vector<command::LinkSettings> configured_links() override;
    void on_link_refused(std::uint8_t link, const Error& error) override;
    void on_up(const DataplaneHello& hello, const command::StatusReport& status) override;
    void on_down(const std::string& reason, bool was_up) override;
    void on_bundle(const command::BundleEvent& event) override;
    void on_mark(std::uint64_t store, std::int64_t watermark_ns) override;
    void on_order(const command::OrderEvent& event) override;
    void on_link(const command::LinkStatus& status) override;

    Result<void> start_servers();
    Result<PeerClient*> peer(const std::string& site);

    const ControlConfig config_;
    const LinkSupervisor::Timing timing_;
    Core* core_ = nullptr;  // set once, before any thread of the edge runs
    LinkBook links_;
    DataplaneClient dataplane_;
    LinkSessions sessions_;
    std::map<std::string, std::unique_ptr<PeerClient>> peers_;
    std::vector<std::unique_ptr<LinkSupervisor>> supervisors_;
    std::unique_ptr<PeerServer> peer_server_;
    std::unique_ptr<Webhook> webhook_;  // before the API, which shows its counters
    std::unique_ptr<ApiServer> api_server_;
    std::uint16_t rest_port_ = 0, peer_port_ = 0;
};

}  // namespace longhaul::control
