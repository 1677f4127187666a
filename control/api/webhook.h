// Every event, pushed to one HTTP(S) receiver in order, signed, with bounded retries.
//
// One thread reads the bounded log by its own cursor. A receiver that is away is tried again with growing pauses; after
// kTriesMax an event is given up, counted, and the next one goes. The cursor is kept in a file, so a restart neither
// repeats nor skips more than what was under way.
//
//   POST url    body: the event as GET /v1/events shows it
//   X-Longhaul-Event-Id: 17     X-Longhaul-Timestamp: Unix seconds
//   X-Longhaul-Signature: sha256=HMAC-SHA256(secret, timestamp + "." + body), in hex
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "control/config/config.h"
#include "control/core.h"

namespace longhaul::control {

struct WebhookCounters {
    std::uint64_t delivered = 0, failed_tries = 0, given_up = 0,
                  missed = 0;  // missed: left the log before their turn
    std::uint64_t last_id = 0;
};

std::string webhook_signature(const std::string& secret, const std::string& timestamp,
                              const std::string& body);

struct WebhookPauses {  // doubling between tries
    std::chrono::milliseconds first{1000}, most{60'000};
};

class Webhook {
  public:
    static constexpr unsigned kTriesMax = 8;
    using Pauses = WebhookPauses;

    Webhook(Core& core, WebhookConfig config, std::string secret, std::string cursor_file,
            WebhookPauses pauses = {});
    ~Webhook() { stop(); }
    void start();
    void stop();
    WebhookCounters counters() const;

  private:
    void run();
    bool deliver(const Event& event);  // false: stopping
    bool post(const Event& event);
    bool pause(std::chrono::milliseconds time);  // false: stopping
    void keep_cursor(std::uint64_t id) const;
    std::uint64_t cursor() const;

    Core& core_;
    const WebhookConfig config_;
    const std::string secret_, cursor_file_;
    const Pauses pauses_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    WebhookCounters counters_;
    std::thread thread_;
};

// The file's first line; refuses a file that others may read.
Result<std::string> load_webhook_secret(const std::string& file);

}  // namespace longhaul::control
