// What the tests of control's edge share: a temporary directory, waiting with a deadline, a core that
// records, a dataplane that speaks the real protocol over a real Unix socket and can be killed, and
// certificates.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "control/config/config.h"
#include "control/core.h"
#include "control/rpo/event_log.h"

namespace longhaul::control::test {

class TempDir {
  public:
    TempDir();
    ~TempDir();
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// True as soon as the condition holds; false after 20 s, far beyond what any of them needs.
bool eventually(const std::function<bool()>& condition);

// A loopback port that stays reserved for a server with SO_REUSEADDR while this object lives.
class ReservedPort {
  public:
    ReservedPort();
    ~ReservedPort();
    std::uint16_t port() const { return port_; }

  private:
    int socket_ = -1;
    std::uint16_t port_ = 0;
};

// Records events, answers from what the test has put into it.
class FakeCore : public Core {
  public:
    void start() override {}
    Result<DatasetView> dataset_create(const DatasetSpec& spec) override;
    Result<void> dataset_remove(const std::string& name) override;
    Result<DatasetView> dataset(const std::string& name) override;
    std::vector<DatasetView> datasets() override;
    Result<void> dataset_rescan(const std::string& name) override;
    Result<DatasetView> dataset_verify(const std::string& name) override;
    Result<std::uint64_t> dataset_release_deletes(const std::string& name) override;
    Result<Plan> dataset_plan(const DatasetSpec& spec) override;
    Result<LinkImpact> link_impact(const std::string& link, double window_s) override;
    Result<DatasetView> dataset_change(const std::string& name, const DatasetChange& change) override;
    Result<TargetAccepted> accept_target(const std::string& source_site, const DatasetSpec& spec) override;
    Result<void> release_target(const std::string& source_site, const std::string& dataset,
                                std::uint64_t store) override;
    std::vector<RpoView> rpo() override;
    std::vector<BundleView> bundles() override;
    std::vector<ObjectFailure> failures(const std::string& dataset) override;
    std::vector<FlowView> flows() override;
    std::uint64_t wait_for_published(std::uint64_t seen, std::chrono::milliseconds patience) override;
    CoreStats stats() override;
    std::vector<Event> events(std::uint64_t after, std::size_t most) override {
        return log.after(after, most);
    }
    std::uint64_t last_event() override { return log.last(); }
    bool wait_for_event(std::uint64_t after, std::chrono::milliseconds patience) override {
        return log.wait_after(after, patience);
    }
    void note(Event event) override;
    std::vector<Breach> breaches() override;
    WallNs source_now() override { return clock_ahead + wall_now(); }
    std::vector<PeerReport::Claim> claims_for(const std::string&) override;
    std::vector<PeerClockView> peer_clocks() override;
    void on_peer(const std::string& site, const PeerReport& report) override;
    static WallNs wall_now();
    void on_dataplane_up(const command::StatusReport& status) override;
    void on_dataplane_down() override;
    void on_bundle(const command::BundleEvent& event) override;
    void on_mark(std::uint64_t store, WallNs watermark) override;
    void on_order(const command::OrderEvent&) override {}
    void on_link(const command::LinkStatus& status) override;

    template <typename T>
    T locked(const std::function<T(FakeCore&)>& look) {
        const std::lock_guard lock(mutex);
        return look(*this);
    }
    std::size_t ups_seen() {
        return locked<std::size_t>([](FakeCore& core) { return core.ups.size(); });
    }

    EventLog log;  // guards itself
    std::atomic<WallNs> clock_ahead{0};
    std::mutex mutex;  // guards everything below
    std::vector<PeerReport::Claim> claims;
    std::vector<std::pair<std::string, PeerReport>> peer_reports;
    std::vector<Breach> breach_views;
    std::vector<PeerClockView> clock_views;
    std::vector<command::StatusReport> ups;
    unsigned downs = 0;
    std::vector<command::BundleEvent> bundle_events;
    std::vector<std::pair<std::uint64_t, WallNs>> marks;
    std::vector<command::LinkStatus> links;
    std::vector<std::string> order;  // "up", "bundle", ...: in which order the events came
    std::map<std::string, DatasetView> views;
    std::vector<RpoView> rpo_views;
    std::vector<BundleView> bundle_views;
    std::vector<ObjectFailure> failure_views;
    std::vector<FlowView> flow_views;
    std::vector<std::pair<std::string, DatasetSpec>> accepted;  // source site, specification
    std::vector<std::tuple<std::string, std::string, std::uint64_t>> released;
};
DatasetView sample_dataset(const std::string& name);

// The dataplane's end of the socket: one connection at a time, answers like the real one, keeps what it was
// told.
class FakeDataplane {
  public:
    explicit FakeDataplane(std::string socket_path);
    ~FakeDataplane() { kill(); }

    void start();  // a new boot id, nothing remembered
    void kill();   // closes everything and removes the socket
    void emit(const nlohmann::json& event);
    void set_silent(bool silent) { silent_ = silent; }            // reads requests, answers nothing
    void set_links_come_up(bool up) { links_come_up_ = up; }      // state after link_start: up or down
    void refuse(const std::string& request, const Error& error);  // every such request from now on

    std::string boot_id();
    bool connected();
    std::vector<nlohmann::json> requests(const std::string& name);  // since start()
    std::string session(std::uint8_t link);
    std::optional<command::LinkStart> started(std::uint8_t link);
    unsigned starts(std::uint8_t link);
    std::vector<std::uint8_t> last_blob();

  private:
    struct Link {
        command::LinkSettings settings;
        command::LinkOffer offer;
        std::optional<command::LinkStart> start;
        unsigned starts = 0;
    };
    void serve();
    void take(const command::Frame& frame);
    nlohmann::json answer(const nlohmann::json& request, std::uint64_t seq);
    command::LinkStatus status_of(const Link& link) const;
    void write(const nlohmann::json& document);

    const std::string path_;
    std::thread thread_;
    std::atomic<bool> stopping_{false}, silent_{false}, links_come_up_{true};
    int listener_ = -1;

    std::mutex mutex_;
    int connection_ = -1;
    std::string boot_id_;
    std::vector<nlohmann::json> requests_;
    std::vector<std::uint8_t> last_blob_;
    std::map<std::uint8_t, Link> links_;
    std::map<std::string, Error> refusals_;
};

// A CA with certificates for east and west in `directory`, made by the code under test.
void make_certificates(const std::string& directory);
PkiConfig pki_of(const std::string& directory, const std::string& site);

// A configuration that listens on free ports; sites and links are added by the tests.
ControlConfig sample_config(const TempDir& directory, const std::string& site);
LinkConfig sample_link(const std::string& toward, const std::string& local_ip, const std::string& remote_ip);

}  // namespace longhaul::control::test
