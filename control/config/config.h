// The control process's configuration: a TOML file whose [control] scalars flags may override. Everything is
// checked before anything starts; each refusal names the file and line (or flag) and what to write instead.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/calendar.h"
#include "control/config/values.h"
#include "dataplane/base/result.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

struct SiteConfig {
    std::string name;
    std::string peer_url;  // https://host:port of that site's control
};

struct LinkConfig {
    std::string site;  // the far end
    command::LinkSettings settings;
    Calendar calendar;  // control's alone: the dataplane paces at the contracted rate
};

struct PkiConfig {
    std::string ca, certificate, key;  // PEM files; all three or none
};

struct WebhookConfig {
    std::string url;           // empty: none
    std::string origin, path;  // of the url
    std::string secret_file;   // its first line signs what is sent
};

struct ControlConfig {
    std::string site;
    std::string state_directory;
    std::string dataplane_socket;
    Endpoint rest_listen{"127.0.0.1", 7400};
    Endpoint peer_listen{"127.0.0.1", 7401};
    std::string token_file;  // default: state_directory/token
    std::vector<std::string> allowed_roots;
    std::string log_level = "info";
    std::string capture = "events";          // "sweeps": sources are not listened to
    std::uint64_t sweep_threads = 4;         // of one sweep of a source, at most
    std::uint64_t changes_memory_mib = 400;  // for changes that are not published yet, of all datasets
    double verify_share = 0.01;  // of the payload sent: what comparing may read while there is work
    double read_back_share = 1;  // of the files published: those that are read back
    PkiConfig pki;
    WebhookConfig webhook;
    std::vector<SiteConfig> sites;  // the other sites only; an entry for our own site is dropped
    std::vector<LinkConfig> links;
};

// [control] scalars given as flags: key as in the file ("rest_listen"), value as text.
using Overrides = std::map<std::string, std::vector<std::string>>;

// `file` names the text in messages. All refusals are collected, one a line.
Result<ControlConfig> parse_config(std::string_view text, const std::string& file,
                                   const Overrides& overrides);
Result<ControlConfig> load_config(const std::string& file, const Overrides& overrides);

struct CommandLine {
    std::string output;  // not empty: print this and end (--help, --version)
    std::string config_file;
    Overrides overrides;
};
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

}  // namespace longhaul::control
