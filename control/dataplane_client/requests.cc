// The requests, each a name, its fields and the parsing of its answer; they run on the callers' threads.
// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "control/dataplane_client/dataplane_client.h"
#include "control/dataplane_client/waiter.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

Result<void> nothing_else(const Result<json>& answer) {
    if (!answer) return answer.error();
    return {};
}

}  // namespace

bool DataplaneClient::up() const {
    const std::lock_guard lock(mutex_);
    return up_;
}

DataplaneHello DataplaneClient::hello() const {
    const std::lock_guard lock(mutex_);
    return hello_;
}

std::string DataplaneClient::down_reason() const {
    const std::lock_guard lock(mutex_);
    return down_reason_;
}

Result<std::shared_ptr<DataplaneClient::Waiter>> DataplaneClient::send(const char* name, json& fields,
                                                                       std::vector<std::uint8_t> blob,
                                                                       Admission admission) {
    const std::lock_guard lock(mutex_);
    if (admission == Admission::handshake ? !connected_ : !up_)
        return Error{ErrorCode::unavailable, "the dataplane is not connected: " + down_reason_};
    if (waiting_.size() >= kRequestsMax || outgoing_.size() + blob.size() > kOutgoingBytesMax)
        return Error{ErrorCode::exhausted, "too many requests wait for the dataplane: try again later"};
    auto waiter = std::make_shared<Waiter>();
    waiter->seq = next_seq_++;
    fields["seq"] = waiter->seq;
    fields["request"] = name;
    command::Frame frame{command::write_document(fields), std::move(blob)};
    if (frame.json.size() + frame.blob.size() > command::kFrameBytesMax)
        return Error{ErrorCode::exhausted, std::string(name) + " is larger than a frame may be"};
    std::vector<std::uint8_t> bytes = command::write_frame(frame);
    outgoing_.insert(outgoing_.end(), bytes.begin(), bytes.end());
    wipe(frame.json);
    if (const auto secret = fields.find("secret"); secret != fields.end() && secret->is_string())
        wipe(secret->get_ref<std::string&>());
    wipe(bytes.data(), bytes.size());
    waiting_.emplace(waiter->seq, waiter);
    return waiter;
}

Result<json> DataplaneClient::request(const char* name, json fields, std::vector<std::uint8_t> blob) {
    LH_ASSERT(std::this_thread::get_id() != thread_id_.load());  // the answer could never come
    auto sent = send(name, fields, std::move(blob), Admission::anyone);
    if (!sent) return sent.error();
    wake();
    const auto waiter = std::move(sent).value();
    std::unique_lock lock(mutex_);
    if (answered_.wait_for(lock, kRequestTimeout, [&] { return waiter->answer.has_value(); }))
        return std::move(*waiter->answer);
    waiting_.erase(waiter->seq);
    return Error{ErrorCode::unavailable, std::string("the dataplane did not answer ") + name + " within 2 s"};
}

Result<json> DataplaneClient::exchange(const char* name, json fields) {
    auto sent = send(name, fields, {}, Admission::handshake);
    if (!sent) return sent.error();
    const auto waiter = std::move(sent).value();
    const auto deadline = std::chrono::steady_clock::now() + kRequestTimeout;
    while (!waiter->answer) {  // written by this very thread inside pump()
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (stopping_) return Error{ErrorCode::unavailable, "control is stopping"};
        if (left.count() <= 0)
            return Error{ErrorCode::unavailable,
                         std::string("the dataplane did not answer ") + name + " within 2 s"};
        if (auto result = pump(left); !result) return result.error();
    }
    return std::move(*waiter->answer);
}

Result<command::StatusReport> DataplaneClient::status() {
    const auto answer = request("status", json::object());
    if (!answer) return answer.error();
    return command::status_report_from(answer.value());
}

Result<void> DataplaneClient::store_open(std::uint64_t store, const std::string& directory, bool target,
                                         bool marked) {
    return nothing_else(request("store_open", {{"store", store},
                                               {"directory", directory},
                                               {"role", target ? "target" : "source"},
                                               {"marked", marked}}));
}

Result<void> DataplaneClient::store_close(std::uint64_t store) {
    return nothing_else(request("store_close", {{"store", store}}));
}

Result<void> DataplaneClient::link_add(const command::LinkSettings& settings) {
    json fields;
    to_json(fields, settings);
    return nothing_else(request("link_add", std::move(fields)));
}

Result<command::LinkOffer> DataplaneClient::link_prepare(std::uint8_t link) {
    const auto answer = request("link_prepare", {{"link", link}});
    if (!answer) return answer.error();
    return command::link_offer_from(answer.value());
}

Result<void> DataplaneClient::link_start(const command::LinkStart& start) {
    json fields;
    to_json(fields, start);
    return nothing_else(request("link_start", std::move(fields)));
}

Result<bool> DataplaneClient::bundle_offer(const command::BundleOfferMessage& offer,
                                           std::vector<std::uint8_t> head) {
    json fields;
    to_json(fields, offer);
    const auto answer = request("bundle_offer", std::move(fields), std::move(head));
    if (!answer) return answer.error();
    const auto accepted = answer.value().find("accepted");
    if (accepted == answer.value().end() || !accepted->is_boolean())
        return Error{ErrorCode::protocol_error, "the dataplane's answer to bundle_offer lacks `accepted`"};
    return accepted->get<bool>();
}

Result<void> DataplaneClient::bundle_cancel(const wire::BundleId& id) {
    return nothing_else(request("bundle_cancel", {{"id", wire::to_string(id)}}));
}

Result<void> DataplaneClient::bundle_ack(const std::vector<wire::BundleId>& ids) {
    json list = json::array();
    for (const wire::BundleId& id : ids)
        list.push_back(wire::to_string(id));
    return nothing_else(request("bundle_ack", {{"ids", std::move(list)}}));
}

Result<void> DataplaneClient::order_settle(std::uint8_t link, const wire::BundleId& id,
                                           std::uint32_t generation, bool publish) {
    return nothing_else(request(publish ? "order_publish" : "order_discard",
                                {{"link", link}, {"id", wire::to_string(id)}, {"generation", generation}}));
}

}  // namespace longhaul::control
