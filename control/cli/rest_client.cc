// REST requests over cpp-httplib.
// SPDX-License-Identifier: Apache-2.0
#include "control/cli/rest_client.h"

#include <httplib.h>

#include <array>
#include <cstdio>

#include "control/http/problem.h"

namespace longhaul::control::cli {
namespace {

constexpr int kConnectTimeoutS = 3;
constexpr int kAnswerTimeoutS = 70;  // creating a dataset asks the other site first; waiting takes up to 60 s

}  // namespace

nlohmann::json RestClient::send(const std::string& method, const std::string& path,
                                const nlohmann::json& body) const {
    httplib::Client client(url_.endpoint.host, url_.endpoint.port);
    client.set_connection_timeout(kConnectTimeoutS);
    client.set_read_timeout(kAnswerTimeoutS);
    client.set_write_timeout(kAnswerTimeoutS);
    httplib::Request request;
    request.method = method;
    request.path = path;
    request.set_header("Authorization", "Bearer " + token_);
    if (!body.is_null()) {
        request.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        request.set_header("Content-Type", "application/json");
    }
    const httplib::Result result = client.send(request);
    if (!result)
        throw Failure{Exit::unreachable,
                      "cannot reach longhaul-control at http://" + to_string(url_.endpoint) + " (" +
                          httplib::to_string(result.error()) + "): is it running, and is --url right?"};
    if (result->status < 200 || result->status > 299)
        throw Failure{Exit::refused, error_of(result->status, result->body).text};
    if (result->body.empty()) return nullptr;
    nlohmann::json document = nlohmann::json::parse(result->body, nullptr, false);
    if (document.is_discarded())
        throw Failure{Exit::refused, "http://" + to_string(url_.endpoint) +
                                         " does not answer in JSON: is it longhaul-control?"};
    return document;
}

std::string path_segment(const std::string& name) {
    std::string out;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
            c == '_') {
            out += c;
            continue;
        }
        std::array<char, 8> escape{};
        std::snprintf(escape.data(), escape.size(), "%%%02X", byte);
        out += escape.data();
    }
    return out;
}

}  // namespace longhaul::control::cli
