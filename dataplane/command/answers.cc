// The two shapes of an answer and the names of error codes, so that both ends spell them alike.
// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <string_view>

#include "dataplane/command/fields.h"
#include "dataplane/command/messages.h"

namespace longhaul::command {

using nlohmann::json;

ErrorCode error_code_from(std::string_view name) noexcept {
    for (unsigned i = 0; i <= static_cast<unsigned>(ErrorCode::internal); ++i) {
        const auto code = static_cast<ErrorCode>(i);
        if (name == longhaul::to_string(code)) return code;
    }
    return ErrorCode::internal;
}

json success_answer(std::uint64_t seq) {
    return json{{"re", seq}, {"ok", true}};
}

json failure_answer(std::uint64_t seq, const Error& error) {
    return json{{"re", seq}, {"ok", false}, {"code", longhaul::to_string(error.code)}, {"text", error.text}};
}

Result<void> outcome_of(const json& answer) {
    FieldReader fields(answer, "answer");
    bool succeeded = false;
    fields.read("ok", succeeded);
    if (!fields.ok()) return fields.error();
    if (succeeded) return {};
    std::string code, text;
    fields.read("code", code);
    fields.read("text", text);
    if (!fields.ok()) return fields.error();
    return Error{error_code_from(code), text};
}

}  // namespace longhaul::command
