// The flags of longhaul-control: they override the file's [control] scalars and go through the same checks.
// SPDX-License-Identifier: Apache-2.0
#include <boost/program_options.hpp>
#include <sstream>

#include "control/config/config.h"

namespace longhaul::control {
namespace {

namespace po = boost::program_options;

constexpr const char* kVersion = "longhaul-control " LONGHAUL_VERSION "\n";

struct Flag {
    const char* name;
    const char* key;  // in [control]
    const char* meaning;
};
constexpr Flag kFlags[] = {
    {"site", "site", "this site's name"},
    {"state-directory", "state_directory", "where the state store and the token live"},
    {"dataplane-socket", "dataplane_socket", "Unix socket of this node's dataplane"},
    {"rest-listen", "rest_listen", "REST and metrics, loopback only (default 127.0.0.1:7400)"},
    {"peer-listen", "peer_listen", "mTLS for other sites (default 127.0.0.1:7401)"},
    {"token-file", "token_file", "bearer token, made at first start (default STATE-DIRECTORY/token)"},
    {"capture", "capture", "events (default), or sweeps: never listen to sources"},
    {"log-level", "log_level", "trace, debug, info, warning or error"},
};

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
    po::options_description general("General");
    general.add_options()("help,h", "print this help")("version", "print the version")(
        "config,c", po::value<std::string>()->value_name("FILE"), "configuration, TOML (required)");
    po::options_description control("Override [control] of the configuration");
    for (const Flag& flag : kFlags)
        control.add_options()(flag.name, po::value<std::string>()->value_name("TEXT"), flag.meaning);
    control.add_options()("allowed-root", po::value<std::vector<std::string>>()->value_name("DIR"),
                          "target stores must lie beneath it; may be repeated, replaces the file's list");
    po::options_description all("Usage: longhaul-control --config FILE [options]");
    all.add(general).add(control);

    po::variables_map given;
    try {
        const po::positional_options_description no_positionals;
        po::store(po::command_line_parser(argc, argv).options(all).positional(no_positionals).run(), given);
    } catch (const po::error& error) {
        return Error{ErrorCode::invalid_argument,
                     std::string(error.what()) + "; see longhaul-control --help"};
    }
    CommandLine out;
    if (given.contains("help")) {
        std::ostringstream text;
        text << all;
        out.output = text.str();
        return out;
    }
    if (given.contains("version")) {
        out.output = kVersion;
        return out;
    }
    if (!given.contains("config"))
        return Error{ErrorCode::invalid_argument,
                     "no configuration: give it with --config FILE; see longhaul-control --help"};
    out.config_file = given["config"].as<std::string>();
    for (const Flag& flag : kFlags)
        if (given.contains(flag.name)) out.overrides[flag.key] = {given[flag.name].as<std::string>()};
    if (given.contains("allowed-root"))
        out.overrides["allowed_roots"] = given["allowed-root"].as<std::vector<std::string>>();
    return out;
}

}  // namespace longhaul::control
