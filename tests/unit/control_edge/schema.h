// A small checker of JSON against the schemas of openapi.json: types, required fields, enumerations, lists,
// references. It refuses what is not described: a field of a response that the schema does not know is an
// error, too.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace longhaul::control::test {

class SchemaChecker {
  public:
    explicit SchemaChecker(nlohmann::json openapi) : openapi_(std::move(openapi)) {}

    // Empty, or the first thing wrong with this response of a documented operation ("GET",
    // "/v1/links/{name}").
    std::string check(const std::string& method, const std::string& path, int status,
                      const nlohmann::json& body) const;

  private:
    std::string value(const nlohmann::json& schema, const nlohmann::json& value,
                      const std::string& where) const;
    const nlohmann::json& resolve(const nlohmann::json& node) const;

    nlohmann::json openapi_;
};

}  // namespace longhaul::control::test
