// Tables for people: columns as wide as their widest cell, numbers to the right, nothing that could steer a
// terminal.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace longhaul::control::cli {

class Table {
  public:
    // A title that begins with '>' is a column of numbers: aligned right.
    explicit Table(std::vector<std::string> titles);
    void add(std::vector<std::string> cells);
    std::string text(const std::string& when_empty) const;

  private:
    std::vector<std::string> titles_;
    std::vector<bool> right_;
    std::vector<std::vector<std::string>> rows_;
};

std::string printable(const std::string& text);  // control bytes as \xNN

}  // namespace longhaul::control::cli
