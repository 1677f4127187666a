// Server-sent events out of a stream of bytes: fields of lines, an event at every empty line.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace longhaul::control::cli {

class EventReader {
  public:
    static constexpr std::size_t kLineMax = 1u << 20;  // what is longer is no event of ours and is dropped

    using Hear = std::function<void(const std::string& id, const nlohmann::json& event)>;
    explicit EventReader(Hear hear) : hear_(std::move(hear)) {}

    void take(std::string_view bytes) {
        for (const char c : bytes) {
            if (c == '\n') {
                end_line();
            } else if (line_.size() < kLineMax) {
                line_ += c;
            } else {
                too_long_ = true;
            }
        }
    }

  private:
    void end_line() {
        if (line_.ends_with('\r')) line_.pop_back();
        if (line_.empty() && !too_long_) {
            const auto event = nlohmann::json::parse(data_, nullptr, false);
            if (event.is_object()) hear_(id_, event);
            data_.clear();
        } else if (!too_long_) {
            if (line_.starts_with("id: ")) id_ = line_.substr(4);
            if (line_.starts_with("data: ") && data_.size() < kLineMax) data_ += line_.substr(6);
        }
        line_.clear();
        too_long_ = false;
    }

    Hear hear_;
    std::string line_, id_, data_;
    bool too_long_ = false;
};

}  // namespace longhaul::control::cli
