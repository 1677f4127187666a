// Control's end of the Unix socket to the dataplane: keeps it connected, states every link again after each
// connection, matches answers to requests and hands events on.
//
// Threads: one of its own does all socket work and calls the listener. Requests may come from any other
// thread; each waits for its answer at most kRequestTimeout and never longer than the connection lives.
// Queues are bounded.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

struct DataplaneHello {
    std::string boot_id;  // new with every start of the dataplane
    std::string version;
    std::int64_t pid = 0;
};

// Called on the client's thread: return soon, and never make a request of the client from inside.
class DataplaneListener {
  public:
    virtual ~DataplaneListener() = default;
    virtual std::vector<command::LinkSettings> configured_links() = 0;
    virtual void on_link_refused(std::uint8_t link,
                                 const Error& error) = 0;  // the dataplane did not take its settings
    virtual void on_up(const DataplaneHello& hello, const command::StatusReport& status) = 0;
    virtual void on_down(const std::string& reason,
                         bool was_up) = 0;  // also after each vain attempt to connect
    virtual void on_bundle(const command::BundleEvent& event) = 0;
    virtual void on_mark(std::uint64_t store, std::int64_t watermark_ns) = 0;
    virtual void on_order(const command::OrderEvent& event) = 0;
    virtual void on_link(const command::LinkStatus& status) = 0;
};

class DataplaneClient {
  public:
    static constexpr std::chrono::milliseconds kRetryInterval{200};
    static constexpr std::chrono::milliseconds kRequestTimeout{2000};
    static constexpr std::chrono::milliseconds kProbeInterval{2000};  // a status request nobody asked for
    static constexpr std::chrono::milliseconds kSilenceLimit{6000};   // unanswered so long: connect again
    static constexpr std::size_t kRequestsMax = 1024;                 // waiting for an answer
    static constexpr std::size_t kOutgoingBytesMax = 64u << 20;
    static constexpr std::size_t kDeferredEventsMax = 65536;  // that arrive before the connection is set up

    // `instance`: names this run of control to the dataplane. The listener must outlive the client.
    DataplaneClient(std::string socket_path, std::string instance, DataplaneListener& listener);
    ~DataplaneClient();
    DataplaneClient(const DataplaneClient&) = delete;
    DataplaneClient& operator=(const DataplaneClient&) = delete;

    void start();
    void stop();  // open requests fail with `unavailable`

    bool up() const;               // connected, greeted, links stated
    DataplaneHello hello() const;  // of the connection that is up; empty boot_id when none is
    std::string down_reason() const;

    Result<command::StatusReport> status();
    Result<void> store_open(std::uint64_t store, const std::string& directory, bool target, bool marked);
    Result<void> store_close(std::uint64_t store);
    Result<void> link_add(const command::LinkSettings& settings);
    Result<command::LinkOffer> link_prepare(std::uint8_t link);
    Result<void> link_start(const command::LinkStart& start);
    Result<bool> bundle_offer(const command::BundleOfferMessage& offer, std::vector<std::uint8_t> head);
    Result<void> bundle_cancel(const wire::BundleId& id);
    Result<void> bundle_ack(const std::vector<wire::BundleId>& ids);
    Result<void> order_settle(std::uint8_t link, const wire::BundleId& id, std::uint32_t generation,
                              bool publish);

  private:
    struct Waiter;  // one request on its way
    enum class Admission { anyone, handshake };

    // Serialises, queues and registers; the answer is put into the waiter by the client's thread.
    Result<std::shared_ptr<Waiter>> send(const char* name, nlohmann::json& fields,
                                         std::vector<std::uint8_t> blob, Admission admission);
    Result<nlohmann::json> request(const char* name, nlohmann::json fields,
                                   std::vector<std::uint8_t> blob = {});
    Result<nlohmann::json> exchange(const char* name, nlohmann::json fields);  // on the client's thread

    void run();
    Result<void> connect();
    Result<void> handshake();
    Result<void> serve();  // returns only with an error or when stopping
    Result<void> pump(std::chrono::milliseconds longest);
    Result<void> read_socket();
    Result<void> write_socket();
    Result<void> take_document(const std::string& text);
    void take_answer(std::uint64_t seq, nlohmann::json answer);
    void take_event(const nlohmann::json& event);
    void take_probe();
    void disconnect(const std::string& reason);
    void pause(std::chrono::milliseconds longest);
    void wake() const;

    const std::string socket_path_, instance_;
    DataplaneListener& listener_;
    int wake_fd_ = -1;
    std::thread thread_;
    std::atomic<std::thread::id> thread_id_{};  // of thread_; requests may come before it runs
    std::atomic<bool> stopping_{false};

    mutable std::mutex mutex_;  // guards the fields down to `down_reason_`
    std::condition_variable answered_;
    std::map<std::uint64_t, std::shared_ptr<Waiter>> waiting_;
    std::vector<std::uint8_t> outgoing_;
    std::uint64_t next_seq_ = 1;
    bool connected_ = false, up_ = false;
    DataplaneHello hello_;
    std::string down_reason_;

    int socket_ = -1;  // from here on: the client's thread only
    std::vector<std::uint8_t> incoming_;
    std::vector<nlohmann::json> deferred_;
    std::shared_ptr<Waiter> probe_;
    std::chrono::steady_clock::time_point probe_sent_{};
    std::string last_logged_;
};

}  // namespace longhaul::control
