// The CLI's way to REST: one request a call, errors with the server's own words.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "control/config/values.h"
#include "dataplane/base/result.h"

namespace longhaul::control::cli {

// What the command ends with; also the kinds of failure that scripts tell apart.
enum class Exit : int { ok = 0, refused = 1, usage = 2, unreachable = 3 };

struct Failure {
    Exit exit = Exit::refused;
    std::string text;
};

class RestClient {
  public:
    RestClient(Url url, std::string token) : url_(std::move(url)), token_(std::move(token)) {}

    // The answered document; null for 204. Throws Failure, which main() turns into message and exit code.
    nlohmann::json get(const std::string& path) const { return send("GET", path, {}); }
    nlohmann::json post(const std::string& path, const nlohmann::json& body) const {
        return send("POST", path, body);
    }
    nlohmann::json patch(const std::string& path, const nlohmann::json& body) const {
        return send("PATCH", path, body);
    }
    nlohmann::json remove(const std::string& path) const { return send("DELETE", path, {}); }

    // Server-sent events until the connection ends; `after` empty: from now on.
    using Hear = std::function<void(const std::string& id, const nlohmann::json& event)>;
    void follow(const std::string& path, const std::string& after, const Hear& hear) const;

  private:
    nlohmann::json send(const std::string& method, const std::string& path, const nlohmann::json& body) const;

    Url url_;
    std::string token_;
};

std::string path_segment(const std::string& name);  // percent-encoded

}  // namespace longhaul::control::cli
