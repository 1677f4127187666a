// Tables for people.
// SPDX-License-Identifier: Apache-2.0
#include "control/cli/table.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "dataplane/base/assert.h"

namespace longhaul::control::cli {
namespace {

// Characters, not bytes, so that UTF-8 names keep the columns straight (wide characters excepted).
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string printable(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (byte >= 0x20 && byte != 0x7f && !c1) {
            out += text[i];
            continue;
        }
        std::array<char, 8> escape{};
        std::snprintf(escape.data(), escape.size(), "\\x%02X", byte);
        out += escape.data();
        if (c1) {
            std::snprintf(escape.data(), escape.size(), "\\x%02X", static_cast<unsigned char>(text[++i]));
            out += escape.data();
        }
    }
    return out;
}

Table::Table(std::vector<std::string> titles) : titles_(std::move(titles)) {
    for (std::string& title : titles_) {
        right_.push_back(title.starts_with('>'));
        if (right_.back()) title.erase(0, 1);
    }
}

void Table::add(std::vector<std::string> cells) {
    LH_ASSERT(cells.size() == titles_.size());
    for (std::string& cell : cells)
        cell = printable(cell);
    rows_.push_back(std::move(cells));
}

std::string Table::text(const std::string& when_empty) const {
    if (rows_.empty()) return when_empty + "\n";
    std::vector<std::size_t> widths;
    for (const std::string& title : titles_)
        widths.push_back(width(title));
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width(row[i]));
    std::string out;
    const auto line = [&](const std::vector<std::string>& cells) {
        std::string text;
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const std::string fill(widths[i] - width(cells[i]), ' ');
            text += (i ? "  " : "") + (right_[i] ? fill + cells[i] : cells[i] + fill);
        }
        text.erase(text.find_last_not_of(' ') + 1);
        out += text + "\n";
    };
    line(titles_);
    for (const auto& row : rows_)
        line(row);
    return out;
}

}  // namespace longhaul::control::cli
