// Checks responses against openapi.json.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_edge/schema.h"

#include <algorithm>

namespace longhaul::control::test {

using nlohmann::json;

namespace {

bool is_of(const std::string& type, const json& value) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "boolean") return value.is_boolean();
    return type == "null" && value.is_null();
}

bool type_fits(const json& type, const json& value) {
    if (type.is_string()) return is_of(type, value);
    return std::any_of(type.begin(), type.end(), [&](const json& one) { return is_of(one, value); });
}

}  // namespace

const json& SchemaChecker::resolve(const json& node) const {
    if (!node.contains("$ref")) return node;
    return resolve(openapi_.at(json::json_pointer(node["$ref"].get<std::string>().substr(1))));
}

std::string SchemaChecker::value(const json& unresolved, const json& value, const std::string& where) const {
    const json& schema = resolve(unresolved);
    if (schema.contains("type") && !type_fits(schema["type"], value))
        return where + " is not " + schema["type"].dump() + ": " + value.dump();
    if (schema.contains("enum") &&
        std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
        return where + " is none of " + schema["enum"].dump() + ": " + value.dump();
    if (schema.contains("minimum") && value.is_number() && value < schema["minimum"])
        return where + " is below its minimum";
    if (value.is_array() && schema.contains("items"))
        for (std::size_t i = 0; i < value.size(); ++i)
            if (auto wrong = this->value(schema["items"], value[i], where + "[" + std::to_string(i) + "]");
                !wrong.empty())
                return wrong;
    if (!value.is_object() || !schema.contains("properties")) return {};
    for (const json& required : schema.value("required", json::array()))
        if (!value.contains(required.get<std::string>()))
            return where + " lacks " + required.get<std::string>();
    for (const auto& [key, field] : value.items()) {
        if (!schema["properties"].contains(key)) return where + "." + key + " is not in the schema";
        if (auto wrong = this->value(schema["properties"][key], field, where + "." + key); !wrong.empty())
            return wrong;
    }
    return {};
}

std::string SchemaChecker::check(const std::string& method, const std::string& path, int status,
                                 const json& body) const {
    std::string verb = method;
    std::transform(verb.begin(), verb.end(), verb.begin(),
                   [](char c) { return static_cast<char>(std::tolower(c)); });
    if (!openapi_["paths"].contains(path) || !openapi_["paths"][path].contains(verb))
        return method + " " + path + " is not in openapi.json";
    const json& responses = openapi_["paths"][path][verb]["responses"];
    if (!responses.contains(std::to_string(status)))
        return method + " " + path + " does not describe status " + std::to_string(status);
    const json& response = resolve(responses[std::to_string(status)]);
    if (!response.contains("content")) return body.is_null() ? "" : "a body where none is described";
    return value(response["content"].begin().value()["schema"], body, method + " " + path);
}

}  // namespace longhaul::control::test
