// Waits in the core until a published watermark has moved, and looks then; the core knows nothing of who waits for what.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/wait.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <regex>

#include "control/api/views.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

// The copy of a dataset that is furthest behind, of those that this node knows under the name; nullptr: none.
const RpoView* furthest_behind(const std::vector<RpoView>& views, const std::string& dataset) {
    const RpoView* found = nullptr;
    for (const auto& view : views) {
        if (view.dataset != dataset) continue;
        const auto& published = view.watermarks.w_pub;
        if (found == nullptr || !published ||
            (found->watermarks.w_pub && *published < *found->watermarks.w_pub))
            found = &view;
    }
    return found;
}

json document_of(const RpoView& view, WallNs min_watermark) {
    const auto& published = view.watermarks.w_pub;
    return {{"dataset", view.dataset}, {"site", view.site},
            {"role", view.role},       {"min_watermark", rfc3339(min_watermark)},
            {"state", view.state},     {"w_pub", published ? json(rfc3339(*published)) : json()},
            {"quality", view.quality}, {"limited_by", view.limited_by}};
}

Reply too_late(const RpoView& view, WallNs min_watermark, double timeout_s) {
    const auto& published = view.watermarks.w_pub;
    Problem problem{408, "Not fresh enough", {}, "watermark_not_reached", {}};
    problem.detail = "after " + std::to_string(timeout_s) + " s dataset " + view.dataset +
                     " is published up to " +
                     (published ? rfc3339(*published) : std::string("no proven time yet")) + ", not " +
                     rfc3339(min_watermark) + "; it is " + view.state +
                     (view.limited_by.empty() ? std::string() : ": " + view.limited_by) +
                     "; wait longer, or ask for an older time";
    Reply reply = problem_reply(problem);
    json document = json::parse(reply.body);
    document.update(document_of(view, min_watermark));
    reply.body = document.dump();
    return reply;
}

Result<WallNs> nanoseconds(std::int64_t seconds, const std::string& fraction) {
    std::int64_t ns = 0;
    std::string digits = fraction;
    digits.resize(9, '0');
    std::from_chars(digits.data(), digits.data() + digits.size(), ns);
    if (seconds < 0 || seconds > std::int64_t{9'000'000'000})
        return Error{ErrorCode::invalid_argument, "is out of range: choose a time after 1970"};
    return seconds * 1'000'000'000 + ns;
}

}  // namespace

Result<WallNs> parse_source_time(const std::string& text) {
    static const std::regex kUnix(R"((\d{1,10})(?:\.(\d{1,9}))?)");
    static const std::regex kRfc3339(R"((\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z)");
    const Error refused{ErrorCode::invalid_argument,
                        "must be a time like 2026-11-25T23:00:00.5Z, or seconds since the Unix epoch"};
    if (text.size() > 40) return refused;
    std::smatch parts;
    const auto number = [&](int part) { return std::stoi(parts[static_cast<std::size_t>(part)].str()); };
    if (std::regex_match(text, parts, kUnix)) return nanoseconds(std::stoll(parts[1].str()), parts[2].str());
    if (!std::regex_match(text, parts, kRfc3339)) return refused;
    namespace chrono = std::chrono;
    const chrono::year_month_day date{chrono::year(number(1)),
                                      chrono::month(static_cast<unsigned>(number(2))),
                                      chrono::day(static_cast<unsigned>(number(3)))};
    if (!date.ok() || number(4) > 23 || number(5) > 59 || number(6) > 60) return refused;
    const std::int64_t day_s = chrono::sys_days(date).time_since_epoch().count() * std::int64_t{86'400};
    return nanoseconds(day_s + number(4) * 3600 + number(5) * 60 + number(6), parts[7].str());
}

Reply FreshnessBarrier::wait(const std::string& dataset, WallNs min_watermark, double timeout_s) {
    const auto deadline = std::chrono::steady_clock::now() +
                          std::chrono::nanoseconds(static_cast<std::int64_t>(timeout_s * 1e9));
    std::unique_lock lock(mutex_);
    if (waiters_ >= kWaitersMax)
        return problem_reply(
            {429,
             "Too many wait",
             std::to_string(kWaitersMax) + " calls wait for a watermark already: try again, or ask /v1/rpo",
             "too_many_waiters",
             {}});
    ++waiters_;
    for (std::uint64_t moves = 0;;) {
        lock.unlock();
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        // Not yet: 0 is no number of the core's, so that the first look comes at once.
        moves = core_.wait_for_published(
            moves, std::clamp<std::chrono::milliseconds>(left, std::chrono::milliseconds{0}, kLookForStop));
        const auto views = core_.rpo();
        lock.lock();
        const RpoView* view = furthest_behind(views, dataset);
        const bool over = std::chrono::steady_clock::now() >= deadline;
        const bool reached =
            view != nullptr && view->watermarks.w_pub && *view->watermarks.w_pub >= min_watermark;
        if (view != nullptr && !reached && !over && !stopping_) continue;
        --waiters_;
        if (view == nullptr)
            return problem_reply(
                problem_of({ErrorCode::not_found, "there is no dataset " + in_quotes(dataset) +
                                                      " with its source or a replica here"}));
        if (reached) return json_reply(document_of(*view, min_watermark));
        if (over) return too_late(*view, min_watermark, timeout_s);
        return problem_reply({503, "Stopping", "longhaul-control is stopping: try again", "unavailable", {}});
    }
}

void FreshnessBarrier::stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
}

void FreshnessBarrier::start() {
    const std::lock_guard lock(mutex_);
    stopping_ = false;
}

}  // namespace longhaul::control
