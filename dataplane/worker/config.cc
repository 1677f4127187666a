// Reading the dataplane's configuration: every refusal names file, line and what to write instead.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <fstream>
#include <sstream>
#include "dataplane/command/rate.h"
#include "dataplane/worker/link_session.h"

namespace longhaul::worker {
namespace {

namespace po = boost::program_options;

Error bad(const std::string& text) {
    return Error{ErrorCode::invalid_argument, text};
}

// Reads the keys of one table, remembers the first complaint and which keys were known.
class TableReader {
  public:
    TableReader(const toml::table& table, std::string file, std::string where)
        : table_(table), file_(std::move(file)), where_(std::move(where)) {}

    template <typename T>
    void number(const char* key, T& out, std::int64_t least, std::int64_t most) {
        const toml::node* node = find(key);
        if (node == nullptr) return;
        const auto value = node->value_exact<std::int64_t>();
        if (!value || *value < least || *value > most) {
            complain(*node, std::string(key) + " must be a whole number from " + std::to_string(least) +
                                " to " + std::to_string(most));
            return;
        }
        out = static_cast<T>(*value);
    }
    void flag(const char* key, bool& out) {
        const toml::node* node = find(key);
        if (node == nullptr) return;
        if (const auto value = node->value_exact<bool>())
            out = *value;
        else
            complain(*node, std::string(key) + " must be true or false");
    }
    void text(const char* key, std::string& out) {
        const toml::node* node = find(key);
        if (node == nullptr) return;
        if (const auto value = node->value_exact<std::string>())
            out = *value;
        else
            complain(*node, std::string(key) + " must be a string in quotes");
    }
    void texts(const char* key, std::vector<std::string>& out) {
        const toml::node* node = find(key);
        if (node == nullptr) return;
        const toml::array* array = node->as_array();
        if (array == nullptr) return complain(*node, std::string(key) + " must be a list of strings");
        out.clear();
        for (const toml::node& item : *array) {
            const auto value = item.value_exact<std::string>();
            if (!value) return complain(item, std::string(key) + " must be a list of strings");
            out.push_back(*value);
        }
    }
    template <typename Parse, typename T>
    void parsed(const char* key, Parse parse, T& out) {
        std::string value;
        text(key, value);
        if (value.empty()) return;
        auto result = parse(value);
        if (result.ok())
            out = std::move(result).value();
        else
            complain(*find(key), std::string(key) + ": " + result.error().text);
    }
    const toml::node* find(const char* key) {
        known_.emplace_back(key);
        return table_.get(key);
    }
    void complain(const toml::node& node, const std::string& what) {
        if (problem_.empty())
            problem_ = file_ + ":" + std::to_string(node.source().begin.line) + ": " + where_ + what;
    }
    void refuse_unknown() {
        for (const auto& [key, node] : table_) {
            const std::string name(key.str());
            if (std::find(known_.begin(), known_.end(), name) == known_.end())
                complain(node, "unknown key \"" + name + "\": known here are " + known_list());
        }
    }
    const std::string& problem() const { return problem_; }

  private:
    std::string known_list() const {
        std::string list;
        for (const auto& key : known_)
            list += (list.empty() ? "" : ", ") + key;
        return list;
    }
    const toml::table& table_;
    std::string file_, where_, problem_;
    std::vector<std::string> known_;
};

Result<bool> parse_hugepages(const std::string& text) {
    if (text == "auto") return true;
    if (text == "never") return false;
    return bad("write \"auto\" or \"never\"");
}

std::string read_dataplane_table(const toml::table& table, const std::string& file, DataplaneConfig& config) {
    TableReader reader(table, file, "[dataplane] ");
    reader.text("name", config.name);
    reader.text("socket", config.socket);
    reader.text("run_directory", config.run_directory);
    reader.number("workers", config.workers, 1, kGroupsMax);
    reader.flag("poll", config.poll);
    reader.number("idle_sleep_us", config.idle_sleep_us, 10, 10'000);
    reader.parsed("hugepages", parse_hugepages, config.hugepages);
    reader.number("memory_mib", config.memory_mib, 64, 1 << 20);
    reader.text("cores", config.cores);
    reader.texts("pci_allow", config.pci_allow);
    reader.parsed("plan_rate", command::parse_rate_bps, config.plan_rate_bps);
    reader.number("plan_rtt_ms", config.plan_rtt_ms, 1, 2000);
    reader.number("links_max", config.links_max, 1, 64);
    reader.text("crypto_device", config.crypto_device);
    reader.text("log_level", config.log_level);
    static constexpr std::array kLevels = {"trace", "debug", "info", "warning", "error"};
    if (std::find(kLevels.begin(), kLevels.end(), config.log_level) == kLevels.end())
        reader.complain(*reader.find("log_level"), "log_level must be trace, debug, info, warning or error");
    reader.refuse_unknown();
    return reader.problem();
}

std::string read_port_table(const toml::table& table, const std::string& file, nic::PortConfig& port) {
    TableReader reader(table, file, "[[port]] ");
    reader.text("name", port.name);
    reader.text("device", port.device);
    reader.number("mtu", port.mtu, 576, 9216);
    std::vector<std::string> addresses;
    reader.texts("addresses", addresses);
    for (const std::string& address : addresses) {
        auto prefix = nic::parse_prefix(address);
        if (prefix.ok())
            port.addresses.push_back(prefix.value());
        else
            reader.complain(*reader.find("addresses"), "addresses: " + prefix.error().text);
    }
    reader.parsed("gateway", wire::parse_ip, port.gateway_v4);
    reader.parsed("gateway_v6", wire::parse_ip, port.gateway_v6);
    reader.number("vlan", port.vlan, 0, 4094);
    reader.number("descriptors", port.descriptors, 64, 16384);
    reader.number("mbufs", port.mbufs, 1024, 1 << 22);
    reader.flag("promiscuous", port.promiscuous);
    reader.flag("udp_checksum", port.udp_checksum);
    reader.refuse_unknown();
    if (reader.problem().empty() && (port.name.empty() || port.device.empty() || port.addresses.empty()))
        return file + ":" + std::to_string(table.source().begin.line) +
               ": [[port]] needs name, device and addresses, e.g. name = \"wan0\", device = "
               "\"0000:01:00.0\", "
               "addresses = [\"10.77.0.1/24\"]";
    return reader.problem();
}

Result<std::string> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return bad("cannot read configuration file " + path + ": check --config and its permissions");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

Result<DataplaneConfig> parse_config(const std::string& text, const std::string& file_name) {
    DataplaneConfig config;
    try {
        const toml::table root = toml::parse(text, file_name);
        std::string problem;
        for (const auto& [key, node] : root) {
            const std::string name(key.str());
            if (name == "dataplane" && node.is_table()) {
                problem = read_dataplane_table(*node.as_table(), file_name, config);
            } else if (name == "port" && node.is_array_of_tables()) {
                for (const toml::node& item : *node.as_array()) {
                    nic::PortConfig port;
                    if (problem.empty()) problem = read_port_table(*item.as_table(), file_name, port);
                    config.ports.push_back(std::move(port));
                }
            } else {
                problem = file_name + ":" + std::to_string(node.source().begin.line) +
                          ": unknown section \"" + name +
                          "\": a dataplane's file has [dataplane] and [[port]]";
            }
            if (!problem.empty()) return bad(problem);
        }
    } catch (const toml::parse_error& error) {
        return bad(file_name + ":" + std::to_string(error.source().begin.line) + ": " +
                   std::string(error.description()) + ": correct the TOML syntax");
    }
    if (config.ports.empty())
        return bad(file_name + ": no [[port]]: give at least one with name, device and addresses");
    return config;
}

Result<CommandLine> read_command_line(int argc, const char* const* argv) {
    CommandLine line;
    std::string file, log_level, socket;
    unsigned idle_sleep_us = 0;
    po::options_description general("General");
    general.add_options()("help,h", "show this text")("version", "show the version")(
        "config,c", po::value(&file)->value_name("FILE"), "configuration file (TOML), needed")(
        "check", "read the configuration, say whether it is right, and end");
    po::options_description overrides("Overrides of the configuration file");
    overrides.add_options()("socket", po::value(&socket)->value_name("PATH"), "Unix socket for control")(
        "log-level", po::value(&log_level), "trace, debug, info, warning or error")(
        "poll", "workers never sleep")("idle-sleep-us", po::value(&idle_sleep_us),
                                       "longest sleep of an idle worker, 10..10000");
    po::options_description all(
        "longhaul-dataplane: moves bundles between stores and links.\n"
        "Usage: longhaul-dataplane --config FILE [overrides]");
    all.add(general).add(overrides);
    po::variables_map given;
    try {
        po::store(po::parse_command_line(argc, argv, all), given);
        po::notify(given);
    } catch (const po::error& error) {
        return bad(std::string(error.what()) + ": see longhaul-dataplane --help");
    }
    std::ostringstream text;
    if (given.count("help") != 0) {
        text << all;
        line.exit_now = true;
        line.text = text.str();
        return line;
    }
    if (given.count("version") != 0) {
        line.exit_now = true;
        line.text = "longhaul-dataplane " LONGHAUL_VERSION "\n";
        return line;
    }
    if (file.empty()) return bad("--config FILE is needed: see longhaul-dataplane --help");
    auto content = read_file(file);
    if (!content.ok()) return content.error();
    auto config = parse_config(content.value(), file);
    if (!config.ok()) return config.error();
    line.config = std::move(config).value();
    if (!socket.empty()) line.config.socket = socket;
    if (!log_level.empty()) line.config.log_level = log_level;
    if (given.count("poll") != 0) line.config.poll = true;
    if (idle_sleep_us != 0) {
        if (idle_sleep_us < 10 || idle_sleep_us > 10'000)
            return bad("--idle-sleep-us must be from 10 to 10000");
        line.config.idle_sleep_us = idle_sleep_us;
    }
    if (given.count("check") != 0) {
        line.exit_now = true;
        line.text = file + " is right\n";
    }
    return line;
}

}  // namespace longhaul::worker
