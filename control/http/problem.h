// Every refusal over HTTP is an RFC 9457 problem document that says what to change.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace longhaul::control {

struct FieldProblem {
    std::string field;   // "target.site"; empty: the whole body
    std::string detail;  // what to write instead
};

struct Problem {
    int status = 500;
    std::string title;   // the kind of problem, the same for every occurrence
    std::string detail;  // this occurrence: what is wrong, what to change
    std::string code;    // for programs, e.g. "invalid_field"; also the last part of `type`
    std::vector<FieldProblem> errors;
};

struct Reply {
    int status = 200;
    std::string body;
    std::string type = "application/json";
    std::map<std::string, std::string> headers;
    // Not empty: the body has no end yet. Asked for more again and again, each time for at most about a second;
    // nullopt ends it. A thread of the server is busy with it all the while: whoever makes one bounds their number.
    std::function<std::optional<std::string>()> stream;
};

Reply json_reply(const nlohmann::json& document, int status = 200);
Reply no_content();
Reply problem_reply(const Problem& problem);
Problem problem_of(const Error& error);  // ErrorCode to HTTP status
Problem field_problem(std::vector<FieldProblem> errors);

// The reverse, for clients: title, detail and field errors of a problem document in one text; any other body
// is cut.
Error error_of(int status, const std::string& body);

}  // namespace longhaul::control
