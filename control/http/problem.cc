// Problem documents, written and read.
// SPDX-License-Identifier: Apache-2.0
#include "control/http/problem.h"

#include <nlohmann/json.hpp>

#include "dataplane/command/messages.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

struct Mapping {
    ErrorCode code;
    int status;
    const char* title;
};
constexpr Mapping kMappings[] = {
    {ErrorCode::invalid_argument, 400, "Invalid value"},
    {ErrorCode::not_found, 404, "Not found"},
    {ErrorCode::already_exists, 409, "Already exists"},
    {ErrorCode::permission_denied, 403, "Not permitted"},
    {ErrorCode::no_space, 507, "No space left"},
    {ErrorCode::io_error, 500, "Input or output failed"},
    {ErrorCode::unavailable, 503, "Not available now"},
    {ErrorCode::exhausted, 429, "A limit is reached"},
    {ErrorCode::protocol_error, 502, "Unexpected answer from another process"},
    {ErrorCode::internal, 500, "Internal error"},
};

}  // namespace

Reply json_reply(const json& document, int status) {
    return Reply{
        status, document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", "application/json", {}};
}

Reply no_content() {
    return Reply{204, "", "", {}};
}

Reply problem_reply(const Problem& problem) {
    json document = {{"type", "urn:longhaul:problem:" + problem.code},
                     {"title", problem.title},
                     {"status", problem.status},
                     {"detail", problem.detail},
                     {"code", problem.code}};
    if (!problem.errors.empty()) {
        document["errors"] = json::array();
        for (const FieldProblem& error : problem.errors)
            document["errors"].push_back({{"field", error.field}, {"detail", error.detail}});
    }
    Reply reply = json_reply(document, problem.status);
    reply.type = "application/problem+json";
    return reply;
}

Problem problem_of(const Error& error) {
    for (const Mapping& mapping : kMappings)
        if (mapping.code == error.code)
            return {mapping.status, mapping.title, error.text, to_string(error.code), {}};
    return {500, "Internal error", error.text, "internal", {}};
}

Problem field_problem(std::vector<FieldProblem> errors) {
    std::string detail;
    for (const FieldProblem& error : errors)
        detail +=
            (detail.empty() ? "" : "; ") + error.field + (error.field.empty() ? "" : " ") + error.detail;
    return {400, "Invalid value", detail, "invalid_field", std::move(errors)};
}

Error error_of(int status, const std::string& body) {
    constexpr std::size_t kShownMax = 400;
    const json document = json::parse(body, nullptr, false);
    const auto text = [&](const char* key) {
        const auto found = document.is_object() ? document.find(key) : document.end();
        return document.is_object() && found != document.end() && found->is_string()
                   ? found->get<std::string>()
                   : std::string{};
    };
    const std::string code = text("code");
    ErrorCode kind = command::error_code_from(code);
    for (const Mapping& mapping : kMappings)
        if (kind == ErrorCode::internal && mapping.status == status) kind = mapping.code;
    std::string detail = text("detail");
    if (detail.empty()) detail = body.substr(0, kShownMax);
    const std::string title = text("title");
    return Error{kind, (title.empty() ? "HTTP status " + std::to_string(status) : title) +
                           (detail.empty() ? "" : ": " + detail)};
}

}  // namespace longhaul::control
