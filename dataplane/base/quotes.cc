// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/quotes.h"

#include <array>
#include <cstdio>

namespace longhaul {

std::string in_quotes(std::string_view text) {
    constexpr std::size_t kShown = 80;
    std::string out = "\"";
    for (const char c : text.substr(0, kShown)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            out += c;
        } else {
            std::array<char, 8> escape{};
            std::snprintf(escape.data(), escape.size(), "\\x%02X", byte);
            out += escape.data();
        }
    }
    return out + (text.size() > kShown ? "...\"" : "\"");
}

}  // namespace longhaul
