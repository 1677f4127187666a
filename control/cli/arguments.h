// The command line of `longhaul`: a command of one or two words, its operands, and only the options that it
// takes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace longhaul::control::cli {

struct Arguments {
    std::string command;                                      // "datasets create"
    std::vector<std::string> operands;                        // "east-west-1"
    std::map<std::string, std::vector<std::string>> options;  // without the dashes
    bool json = false;
    double watch_s = 0;  // 0: once
    std::string url, token_file;
    std::string output;  // not empty: print this and end (--help, --version)

    bool has(const std::string& option) const { return options.contains(option); }
    std::string option(const std::string& name, const std::string& otherwise = {}) const {
        const auto found = options.find(name);
        return found == options.end() ? otherwise : found->second.back();
    }
};

Result<Arguments> parse_arguments(int argc, const char* const* argv);

}  // namespace longhaul::control::cli
