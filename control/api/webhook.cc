// One event after the other, over cpp-httplib.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/webhook.h"

#include <httplib.h>
#include <openssl/hmac.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "control/api/events.h"
#include "control/api/views.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

namespace {

constexpr int kTimeoutS = 5;
constexpr std::size_t kSecretBytesMin = 16;

}  // namespace

std::string webhook_signature(const std::string& secret, const std::string& timestamp,
                              const std::string& body) {
    const std::string text = timestamp + "." + body;
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &length);
    return "sha256=" + command::hex(ByteView(digest.data(), length));
}

Result<std::string> load_webhook_secret(const std::string& file) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0)
        return Error{ErrorCode::not_found, "the webhook's secret_file " + file +
                                               " is not there: make it, at least " +
                                               std::to_string(kSecretBytesMin) + " characters"};
    if (status.st_mode & (S_IRWXG | S_IRWXO))
        return Error{ErrorCode::permission_denied,
                     "the webhook's secret_file " + file + " is open to others: chmod 600 " + file};
    std::ifstream in(file);
    std::string secret;
    std::getline(in, secret);
    if (secret.size() < kSecretBytesMin)
        return Error{ErrorCode::invalid_argument, "the webhook's secret_file " + file + " holds less than " +
                                                      std::to_string(kSecretBytesMin) +
                                                      " characters: write a longer secret"};
    return secret;
}

Webhook::Webhook(Core& core, WebhookConfig config, std::string secret, std::string cursor_file, Pauses pauses)
    : core_(core),
      config_(std::move(config)),
      secret_(std::move(secret)),
      cursor_file_(std::move(cursor_file)),
      pauses_(pauses) {}

void Webhook::start() {
    counters_.last_id = cursor();
    thread_ = std::thread([this] { run(); });
}

void Webhook::stop() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

WebhookCounters Webhook::counters() const {
    const std::scoped_lock lock(mutex_);
    return counters_;
}

// Without a cursor the webhook is new: what happened before is not news.
std::uint64_t Webhook::cursor() const {
    std::ifstream in(cursor_file_);
    std::uint64_t id = 0;
    return in >> id ? std::min(id, core_.last_event()) : core_.last_event();
}

void Webhook::keep_cursor(std::uint64_t id) const {
    const std::string fresh = cursor_file_ + ".new";
    {
        std::ofstream out(fresh);
        out << id << "\n";
        if (!out.flush()) return;  // after a restart this one is sent again: the id tells
    }
    static_cast<void>(std::rename(fresh.c_str(), cursor_file_.c_str()));
}

void Webhook::run() {
    std::uint64_t after = counters().last_id;
    keep_cursor(after);
    for (;;) {
        {
            const std::scoped_lock lock(mutex_);
            if (stopping_) return;
        }
        if (!core_.wait_for_event(after, kFollowPatience)) continue;
        for (const auto& event : core_.events(after, kFollowBatch)) {
            if (!deliver(event)) return;
            {
                const std::scoped_lock lock(mutex_);
                if (after > 0 && event.id > after + 1) counters_.missed += event.id - after - 1;
                counters_.last_id = after = event.id;
            }
            keep_cursor(after);
        }
    }
}

bool Webhook::deliver(const Event& event) {
    auto wait = pauses_.first;
    for (unsigned tries = 1;; ++tries) {
        const bool taken = post(event);
        {
            const std::scoped_lock lock(mutex_);
            if (stopping_ && !taken) return false;
            taken ? ++counters_.delivered : ++counters_.failed_tries;
            if (!taken && tries == kTriesMax) ++counters_.given_up;
        }
        if (taken) return true;
        if (tries == kTriesMax) {
            spdlog::error("webhook {}: event {} was given up after {} tries", config_.url, event.id, tries);
            return true;
        }
        if (!pause(wait)) return false;
        wait = std::min(wait * 2, pauses_.most);
    }
}

bool Webhook::pause(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

bool Webhook::post(const Event& event) {
    httplib::Client client(config_.origin);
    client.set_connection_timeout(kTimeoutS);
    client.set_read_timeout(kTimeoutS);
    client.set_write_timeout(kTimeoutS);
    const std::string body =
        event_document(event).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    const std::string timestamp = std::to_string(
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    const httplib::Headers headers{{"X-Longhaul-Event-Id", std::to_string(event.id)},
                                   {"X-Longhaul-Timestamp", timestamp},
                                   {"X-Longhaul-Signature", webhook_signature(secret_, timestamp, body)}};
    const auto result = client.Post(config_.path, headers, body, "application/json");
    if (result && result->status >= 200 && result->status < 300) return true;
    spdlog::warn("webhook {}: event {} was not taken: {}", config_.url, event.id,
                 result ? "HTTP " + std::to_string(result->status) : httplib::to_string(result.error()));
    return false;
}

}  // namespace longhaul::control
