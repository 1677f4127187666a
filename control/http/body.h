// JSON bodies from outside: bounded depth, errors with their position, and every field wanted, known and of
// its type.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "control/http/problem.h"

namespace longhaul::control {

inline constexpr std::size_t kBodyBytesMax = 1 << 20;
inline constexpr int kJsonDepthMax = 16;

// The body's object, or the problem to answer with.
std::variant<nlohmann::json, Problem> parse_body(const std::string& body);

// Reads the fields of one JSON object and collects everything wrong with it; each field asked for becomes
// known, the others are refused by finish().
class BodyReader {
  public:
    BodyReader(const nlohmann::json& object, std::vector<FieldProblem>& problems, std::string prefix = {});

    bool has(const std::string& field);
    std::string text(const std::string& field, std::string otherwise = {}, bool required = false);
    double number(const std::string& field, double otherwise, double low, double high);
    std::uint64_t whole(const std::string& field, std::uint64_t otherwise);
    const nlohmann::json* object(const std::string& field, bool required);
    // A number of seconds or a text with a unit ("60s").
    double duration_s(const std::string& field, double otherwise, double low, double high);
    // Bits per second, or a text with a unit ("2.5G"); 0 where there is to be none.
    std::uint64_t rate_bps(const std::string& field, std::uint64_t otherwise);
    std::vector<std::string> texts(const std::string& field);
    void refuse(const std::string& field, const std::string& detail);
    void finish();

  private:
    const nlohmann::json* find(const std::string& field, bool required);

    const nlohmann::json& object_;
    std::vector<FieldProblem>& problems_;
    std::string prefix_;
    std::vector<std::string> known_;
};

}  // namespace longhaul::control
