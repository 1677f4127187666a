// The two forms, and where each begins.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/events.h"

#include <charconv>

#include "control/api/views.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

constexpr unsigned kSilentTurnsMax = 20;  // then a comment, so that both ends see a connection that is gone

bool read_id(const std::string& text, std::uint64_t& id) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    return error == std::errc{} && end == text.data() + text.size();
}

std::string frame(const Event& event) {
    return "id: " + std::to_string(event.id) + "\nevent: " + event.kind +
           "\ndata: " + event_document(event).dump(-1, ' ', false, json::error_handler_t::replace) + "\n\n";
}

// Holds one of the bounded places for as long as the stream lives.
class Place {
  public:
    static std::shared_ptr<Place> take(const std::shared_ptr<std::atomic<std::size_t>>& taken) {
        if (taken->fetch_add(1) < EventStreams::kClientsMax) return std::make_shared<Place>(taken);
        taken->fetch_sub(1);
        return nullptr;
    }
    explicit Place(std::shared_ptr<std::atomic<std::size_t>> taken) : taken_(std::move(taken)) {}
    ~Place() { taken_->fetch_sub(1); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

  private:
    std::shared_ptr<std::atomic<std::size_t>> taken_;
};

}  // namespace

Reply EventStreams::answer(const Call& call) {
    const auto& request = call.request;
    const bool follows = request.get_header_value("Accept").find("text/event-stream") != std::string::npos;
    std::string since = request.has_param("since") ? request.get_param_value("since") : std::string();
    if (follows && request.has_header("Last-Event-ID")) since = request.get_header_value("Last-Event-ID");
    std::uint64_t after = follows ? core_.last_event() : 0;
    if (!since.empty() && !read_id(since, after))
        return problem_reply(field_problem(
            {{"since", in_quotes(since) + " is no event id: write a number, or leave it out"}}));
    return follows ? follow(after) : list(after);
}

Reply EventStreams::list(std::uint64_t after) const {
    const auto events = core_.events(after, kListMax);
    json shown = json::array();
    for (const auto& event : events)
        shown.push_back(event_document(event));
    return json_reply({{"events", std::move(shown)},
                       {"last_id", core_.last_event()},
                       {"more", !events.empty() && events.back().id < core_.last_event()}});
}

Reply EventStreams::follow(std::uint64_t after) {
    auto place = Place::take(clients_);
    if (!place)
        return problem_reply(
            {503,
             "Too many streams",
             "already " + std::to_string(kClientsMax) +
                 " clients follow the events: end one, or list them with since=ID now and then",
             "too_many_streams",
             {}});
    Reply reply;
    reply.type = "text/event-stream";
    reply.stream = [this, place, stopping = stopping_, after, silent = 0u,
                    begun = false]() mutable -> std::optional<std::string> {
        if (*stopping) return std::nullopt;
        if (!std::exchange(begun, true)) return ": longhaul events after " + std::to_string(after) + "\n\n";
        if (!core_.wait_for_event(after, kFollowPatience)) {
            if (++silent < kSilentTurnsMax) return std::string();
            silent = 0;
            return std::string(": still here\n\n");
        }
        std::string out;
        for (const auto& event : core_.events(after, kFollowBatch)) {
            if (after > 0 && event.id > after + 1)
                out += ": " + std::to_string(event.id - after - 1) +
                       " events were dropped before they were read\n\n";
            out += frame(event);
            after = event.id;
        }
        silent = 0;
        return out;
    };
    return reply;
}

}  // namespace longhaul::control
