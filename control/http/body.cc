// Parsing and checking of request bodies.
// SPDX-License-Identifier: Apache-2.0
#include "control/http/body.h"

#include <algorithm>

#include "control/config/values.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

constexpr std::uint64_t kRateMax_bps = 1'000'000'000'000;

// Nesting of the text before it is parsed; strings are skipped with their escapes.
int depth_of(const std::string& body) {
    int depth = 0;
    int deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < body.size(); ++i) {
        const char c = body[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return deepest;
}

Problem malformed(const std::string& body, const json::parse_error& error) {
    // nlohmann counts bytes from 1 and points behind the last one read.
    const std::size_t at = std::min(error.byte > 0 ? error.byte - 1 : 0, body.size());
    const auto line = 1 + std::count(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    const std::size_t line_start = at == 0 ? std::string::npos : body.rfind('\n', at - 1);
    const std::size_t column = at - (line_start == std::string::npos ? 0 : line_start + 1) + 1;
    std::string why = error.what();
    if (const std::size_t colon = why.find(": "); colon != std::string::npos) why.erase(0, colon + 2);
    return {400,
            "Malformed JSON",
            "the body is not JSON at line " + std::to_string(line) + ", column " + std::to_string(column) +
                " (byte " + std::to_string(at) + "): " + why,
            "malformed_json",
            {}};
}

}  // namespace

std::variant<json, Problem> parse_body(const std::string& body) {
    if (body.empty())
        return Problem{400, "Malformed JSON", "the body is empty: send a JSON object", "malformed_json", {}};
    if (depth_of(body) > kJsonDepthMax)
        return Problem{400,
                       "Malformed JSON",
                       "the body nests deeper than " + std::to_string(kJsonDepthMax) + " levels: flatten it",
                       "json_depth",
                       {}};
    try {
        json document = json::parse(body);
        if (document.is_object()) return document;
        return Problem{400,
                       "Malformed JSON",
                       std::string("the body is a JSON ") + document.type_name() + ": send an object",
                       "malformed_json",
                       {}};
    } catch (const json::parse_error& error) {
        return malformed(body, error);
    } catch (const json::exception& error) {
        return Problem{400, "Malformed JSON", error.what(), "malformed_json", {}};
    }
}

BodyReader::BodyReader(const json& object, std::vector<FieldProblem>& problems, std::string prefix)
    : object_(object), problems_(problems), prefix_(std::move(prefix)) {}

void BodyReader::refuse(const std::string& field, const std::string& detail) {
    problems_.push_back({prefix_ + field, detail});
}

const json* BodyReader::find(const std::string& field, bool required) {
    known_.push_back(field);
    const auto found = object_.find(field);
    if (found != object_.end() && !found->is_null()) return &*found;
    if (required) refuse(field, "is missing: add it");
    return nullptr;
}

bool BodyReader::has(const std::string& field) {
    return find(field, false) != nullptr;
}

std::string BodyReader::text(const std::string& field, std::string otherwise, bool required) {
    const json* value = find(field, required);
    if (!value) return otherwise;
    if (value->is_string()) return value->get<std::string>();
    refuse(field, std::string("must be a string, not a ") + value->type_name());
    return otherwise;
}

double BodyReader::number(const std::string& field, double otherwise, double low, double high) {
    const json* value = find(field, false);
    if (!value) return otherwise;
    if (value->is_number() && value->get<double>() >= low && value->get<double>() <= high)
        return value->get<double>();
    refuse(field, "must be a number from " + json(low).dump() + " to " + json(high).dump());
    return otherwise;
}

std::uint64_t BodyReader::whole(const std::string& field, std::uint64_t otherwise) {
    const json* value = find(field, false);
    if (!value) return otherwise;
    if (value->is_number_unsigned()) return value->get<std::uint64_t>();
    refuse(field, "must be a whole number, not negative");
    return otherwise;
}

double BodyReader::duration_s(const std::string& field, double otherwise, double low, double high) {
    const json* value = find(field, false);
    if (value && value->is_string()) {
        const auto seconds = parse_duration_s(value->get<std::string>());
        if (!seconds) {
            refuse(field, seconds.error().text);
            return otherwise;
        }
        if (seconds.value() >= low && seconds.value() <= high) return seconds.value();
        refuse(field, "must be from " + format_duration(low) + " to " + format_duration(high));
        return otherwise;
    }
    return value ? number(field, otherwise, low, high) : otherwise;
}

std::uint64_t BodyReader::rate_bps(const std::string& field, std::uint64_t otherwise) {
    const json* value = find(field, false);
    if (!value) return otherwise;
    if (value->is_number_unsigned() && value->get<std::uint64_t>() <= kRateMax_bps)
        return value->get<std::uint64_t>();
    if (value->is_string()) {
        if (*value == "0") return 0;
        const auto rate = parse_rate_bps(value->get<std::string>());
        if (rate) return rate.value();
        refuse(field, rate.error().text);
        return otherwise;
    }
    refuse(field, "must be a rate: bit/s as a whole number up to " + std::to_string(kRateMax_bps) +
                      ", or a text such as \"2.5G\"");
    return otherwise;
}

std::vector<std::string> BodyReader::texts(const std::string& field) {
    std::vector<std::string> out;
    const json* value = find(field, false);
    if (!value) return out;
    const bool fits = value->is_array() && std::all_of(value->begin(), value->end(),
                                                       [](const json& item) { return item.is_string(); });
    if (fits) return value->get<std::vector<std::string>>();
    refuse(field, "must be a list of texts");
    return out;
}

const json* BodyReader::object(const std::string& field, bool required) {
    const json* value = find(field, required);
    if (!value || value->is_object()) return value;
    refuse(field, std::string("must be an object, not a ") + value->type_name());
    return nullptr;
}

void BodyReader::finish() {
    for (const auto& [key, value] : object_.items())
        if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
            std::vector<std::string> known = known_;
            std::sort(known.begin(), known.end());
            known.erase(std::unique(known.begin(), known.end()), known.end());
            problems_.push_back({prefix_ + key, "is not a known field: " + suggestion(key, known)});
        }
}

}  // namespace longhaul::control
