// Reads the TOML file into a ControlConfig, collecting every refusal with its place.
// SPDX-License-Identifier: Apache-2.0
#include "control/config/config.h"

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

namespace longhaul::control {
namespace {

constexpr std::size_t kConfigBytesMax = 1 << 20;

class Refusals {
  public:
    void add(const std::string& where, const std::string& what) {
        lines_ += (lines_.empty() ? "" : "\n") + where + ": " + what;
    }
    bool any() const { return !lines_.empty(); }
    Error error() const { return Error{ErrorCode::invalid_argument, lines_}; }

  private:
    std::string lines_;
};

std::string flag(const std::string& key) {
    std::string name = "--" + (key == "allowed_roots" ? "allowed_root" : key);
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

// One table of the file. Remembers which keys were asked for, so that the rest can be refused as unknown.
class Section {
  public:
    Section(const toml::table* table, std::string file, std::string title, Refusals& refusals)
        : table_(table), file_(std::move(file)), title_(std::move(title)), refusals_(refusals) {}

    std::string where(const std::string& key = {}) const {
        const toml::node* node = key.empty() || !table_ ? nullptr : table_->get(key);
        if (node && node->source().begin.line == 0)
            return flag(key);  // not from the file: apply() put it there
        if (node) return file_ + ":" + std::to_string(node->source().begin.line);
        if (table_ && table_->source().begin.line)
            return file_ + ":" + std::to_string(table_->source().begin.line);
        return file_;
    }
    void refuse(const std::string& key, const std::string& what) {
        refusals_.add(where(key), key + " " + what);
    }

    std::string text(const std::string& key, const std::string& otherwise, bool required = false) {
        const toml::node* node = find(key, required);
        if (!node) return otherwise;
        if (const auto value = node->value_exact<std::string>()) {
            if (required && value->empty()) refuse(key, "is empty: give it a value");
            return *value;
        }
        refuse(key, "must be text: put it in quotes");
        return otherwise;
    }
    std::int64_t number(const std::string& key, std::int64_t otherwise, std::int64_t low, std::int64_t high,
                        bool required = false) {
        const toml::node* node = find(key, required);
        if (!node) return otherwise;
        const auto value = node->value_exact<std::int64_t>();
        if (value && *value >= low && *value <= high) return *value;
        refuse(key, "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        return otherwise;
    }
    double real(const std::string& key, double otherwise, double low, double high) {
        const toml::node* node = find(key, false);
        if (!node) return otherwise;
        const auto value = node->value<double>();  // whole numbers too
        if (node->is_number() && value && *value >= low && *value <= high) return *value;
        std::ostringstream text;
        text << "must be a number from " << low << " to " << high;
        refuse(key, text.str());
        return otherwise;
    }
    std::vector<std::string> list(const std::string& key) {
        std::vector<std::string> out;
        const toml::node* node = find(key, false);
        if (!node) return out;
        const toml::array* array = node->as_array();
        if (!array) {
            refuse(key, "must be a list of texts, e.g. [\"/srv/replica\"]");
            return out;
        }
        for (const toml::node& item : *array) {
            if (const auto value = item.value_exact<std::string>())
                out.push_back(*value);
            else
                refuse(key, "must hold texts only: put each in quotes");
        }
        return out;
    }
    // A text that a parser of values.h turns into something; its refusal gets file, line and key in front.
    template <typename T>
    T parsed(const std::string& key, T otherwise, const std::function<Result<T>(std::string_view)>& parse) {
        if (!table_ || !table_->get(key)) {
            known_.insert(key);
            return otherwise;
        }
        const std::string value = text(key, {});
        if (!table_->get(key)->is_string()) return otherwise;
        auto result = parse(value);
        if (result) return std::move(result).value();
        refuse(key, result.error().text);
        return otherwise;
    }

    // A list of texts, each of which a parser turns into something.
    template <typename T>
    void each(const std::string& key, std::vector<T>& out, Result<T> (*parse)(std::string_view)) {
        for (const std::string& text : list(key)) {
            auto result = parse(text);
            if (!result) refuse(key, result.error().text);
            if (result) out.push_back(std::move(result).value());
        }
        if (out.size() > kCalendarEntriesMax)
            refuse(key, "has more than " + std::to_string(kCalendarEntriesMax) +
                            " entries: drop those that are past");
    }

    void refuse_unknown() {
        if (!table_) return;
        const std::vector<std::string> known(known_.begin(), known_.end());
        for (const auto& [key, node] : *table_) {
            if (known_.contains(std::string(key.str()))) continue;
            refusals_.add(file_ + ":" + std::to_string(key.source().begin.line),
                          "unknown key " + in_quotes(key.str()) + " in " + title_ + ": " +
                              suggestion(key.str(), known));
        }
    }

  private:
    const toml::node* find(const std::string& key, bool required) {
        known_.insert(key);
        const toml::node* node = table_ ? table_->get(key) : nullptr;
        if (!node && required) refusals_.add(where(), "missing " + key + " in " + title_ + ": add it");
        return node;
    }

    const toml::table* table_;
    std::string file_, title_;
    Refusals& refusals_;
    std::set<std::string> known_;
};

// Puts the flags over the file's [control] table, so that one set of checks serves both. Returns the changed
// keys.
void apply(const Overrides& overrides, toml::table& root) {
    if (overrides.empty()) return;
    toml::table* control = root["control"].as_table();
    if (!control) {
        root.insert_or_assign("control", toml::table{});
        control = root["control"].as_table();
    }
    for (const auto& [key, values] : overrides) {
        if (key == "allowed_roots") {
            toml::array roots;
            for (const std::string& value : values)
                roots.push_back(value);
            control->insert_or_assign(key, std::move(roots));
        } else if (!values.empty()) {
            control->insert_or_assign(key, values.back());
        }
    }
}

Result<std::string> absolute(std::string_view path) {
    if (path.starts_with('/')) return std::string(path);
    return Error{ErrorCode::invalid_argument, in_quotes(path) + " is not an absolute path: write it from /"};
}

Result<std::string> valid_name(std::string_view name) {
    if (name_is_valid(name)) return std::string(name);
    return Error{ErrorCode::invalid_argument,
                 in_quotes(name) + " is not a name: use a-z, 0-9 and '-', at most 63, not starting with '-'"};
}

void read_control(Section section, ControlConfig& config) {
    const auto path = [&](const std::string& key, const std::string& otherwise) {
        return section.parsed<std::string>(key, otherwise, absolute);
    };
    section.text("site", {}, true);
    config.site = section.parsed<std::string>("site", {}, valid_name);
    section.text("state_directory", {}, true);
    config.state_directory = path("state_directory", {});
    section.text("dataplane_socket", {}, true);
    config.dataplane_socket = path("dataplane_socket", {});
    if (config.dataplane_socket.size() > 107)
        section.refuse("dataplane_socket",
                       "is longer than 107 bytes, the limit of a Unix socket: shorten it");
    config.rest_listen = section.parsed<Endpoint>("rest_listen", config.rest_listen, parse_endpoint);
    if (!is_loopback(config.rest_listen.host))
        section.refuse("rest_listen",
                       in_quotes(to_string(config.rest_listen)) +
                           " is not a loopback address, and REST is not encrypted: listen on 127.0.0.1 "
                           "and reach it through an SSH tunnel or a TLS proxy");
    config.peer_listen = section.parsed<Endpoint>("peer_listen", config.peer_listen, parse_endpoint);
    config.token_file = path("token_file", config.state_directory + "/token");
    config.allowed_roots = section.list("allowed_roots");
    for (const std::string& root : config.allowed_roots)
        if (auto result = absolute(root); !result) section.refuse("allowed_roots", result.error().text);
    config.log_level = section.text("log_level", config.log_level);
    static const std::vector<std::string> kLevels{"trace", "debug", "info", "warning", "error"};
    if (std::find(kLevels.begin(), kLevels.end(), config.log_level) == kLevels.end())
        section.refuse("log_level", in_quotes(config.log_level) +
                                        " is not a level: " + suggestion(config.log_level, kLevels));
    config.capture = section.text("capture", config.capture);
    if (config.capture != "events" && config.capture != "sweeps")
        section.refuse("capture",
                       in_quotes(config.capture) +
                           " is no way of capture: write \"events\", or \"sweeps\" to look only once a "
                           "rescan period");
    config.sweep_threads = section.number("sweep_threads", config.sweep_threads, 1, 64);
    config.changes_memory_mib = section.number("changes_memory_mib", config.changes_memory_mib, 16, 1u << 20);
    config.verify_share = section.real("verify_share", config.verify_share, 0, 1);
    config.read_back_share = section.real("read_back_share", config.read_back_share, 0, 1);
    section.refuse_unknown();
}

void read_pki(Section section, PkiConfig& pki) {
    pki.ca = section.text("ca", {}, true);
    pki.certificate = section.text("certificate", {}, true);
    pki.key = section.text("key", {}, true);
    section.refuse_unknown();
}

// https anywhere, http only to this machine: what is sent names datasets and paths.
void read_webhook(Section section, WebhookConfig& webhook) {
    webhook.url = section.text("url", {}, true);
    webhook.secret_file = section.text("secret_file", {}, true);
    if (!webhook.url.empty()) {
        const std::size_t scheme = webhook.url.find("://");
        const std::size_t slash = scheme == std::string::npos ? scheme : webhook.url.find('/', scheme + 3);
        webhook.origin = webhook.url.substr(0, slash);
        webhook.path = slash == std::string::npos ? "/" : webhook.url.substr(slash);
        const bool tls = webhook.origin.starts_with("https://");
        const std::size_t port = webhook.origin.find(':', scheme == std::string::npos ? 0 : scheme + 3);
        const auto url =
            parse_url(port == std::string::npos ? webhook.origin + (tls ? ":443" : ":80") : webhook.origin);
        if (!url)
            section.refuse("url", in_quotes(webhook.url) +
                                      " is not a URL: write e.g. \"https://alerts.example.net/longhaul\"");
        else if (!url.value().tls && !is_loopback(url.value().endpoint.host))
            section.refuse("url", in_quotes(webhook.url) +
                                      " is not encrypted: write https://, or a receiver on 127.0.0.1");
    }
    section.refuse_unknown();
}

void read_site(Section section, ControlConfig& config) {
    SiteConfig site;
    section.text("name", {}, true);
    site.name = section.parsed<std::string>("name", {}, valid_name);
    site.peer_url = section.text("peer_url", {}, site.name != config.site);
    if (!site.peer_url.empty()) {
        const auto url = parse_url(site.peer_url);
        if (!url)
            section.refuse("peer_url", url.error().text);
        else if (!url.value().tls)
            section.refuse("peer_url", in_quotes(site.peer_url) + " is not encrypted: write https://");
    }
    for (const SiteConfig& other : config.sites)
        if (other.name == site.name)
            section.refuse("name", in_quotes(site.name) + " is used by two [[site]] tables: name each once");
    section.refuse_unknown();
    if (site.name != config.site) config.sites.push_back(std::move(site));
}

void check_addresses(Section& section, const command::LinkSettings& link) {
    const auto family = [&](const char* key, const std::string& ip) {
        const IpFamily found = ip_family(ip);
        if (found == IpFamily::none && !ip.empty())
            section.refuse(key,
                           in_quotes(ip) +
                               " is not an IP address: write it without a prefix length, e.g. \"10.77.0.1\"");
        return found;
    };
    const IpFamily local = family("local_ip", link.local_ip);
    const IpFamily remote = family("remote_ip", link.remote_ip);
    if (local != IpFamily::none && remote != IpFamily::none && local != remote)
        section.refuse("remote_ip", in_quotes(link.remote_ip) + " and local_ip " + in_quotes(link.local_ip) +
                                        " are of different families: use IPv4 at both or IPv6 at both");
    if (!link.local_ip.empty() && link.local_ip == link.remote_ip)
        section.refuse("remote_ip",
                       in_quotes(link.remote_ip) + " equals local_ip: write the far end's address");
}

// A lane stays well below what one flow may have on the way (10 Gbit/s and 1 Mpps at a cloud's interconnect), and some
// are needed even on a slow link, so that one bad member of a bundle does not take everything.
unsigned lanes_for(std::uint64_t rate_bps) {
    constexpr std::uint64_t kLaneRate = 3'000'000'000;
    return static_cast<unsigned>(std::clamp<std::uint64_t>((rate_bps + kLaneRate - 1) / kLaneRate, 4, 64));
}

void read_link(Section section, ControlConfig& config) {
    LinkConfig link;
    command::LinkSettings& settings = link.settings;
    settings.link = static_cast<std::uint8_t>(section.number("id", 0, 0, 255, true));
    section.text("name", {}, true);
    settings.name = section.parsed<std::string>("name", {}, valid_name);
    link.site = section.text("site", {}, true);
    settings.port = section.text("port", {}, true);
    settings.local_ip = section.text("local_ip", {}, true);
    settings.remote_ip = section.text("remote_ip", {}, true);
    check_addresses(section, settings);
    settings.udp_port_base =
        static_cast<std::uint16_t>(section.number("udp_port_base", settings.udp_port_base, 1024, 65535));
    settings.rate_bps = section.parsed<std::uint64_t>("rate", settings.rate_bps, parse_rate_bps);
    settings.lanes = static_cast<unsigned>(section.number("lanes", lanes_for(settings.rate_bps), 1, 64));
    if (settings.udp_port_base + settings.lanes > 65536)
        section.refuse("udp_port_base", "leaves no room for the lanes below 65536: lower it");
    const unsigned ports_left = 65536u - settings.udp_port_base;
    settings.source_ports = static_cast<unsigned>(
        section.number("source_ports", std::min(settings.source_ports, ports_left), 0, ports_left));
    settings.share = section.real("share", settings.share, command::kShareMin, command::kShareMax);
    settings.rtt_max_ms = static_cast<unsigned>(section.number("rtt_max_ms", settings.rtt_max_ms, 1, 5000));
    settings.traffic_class = static_cast<std::uint8_t>(section.number("traffic_class", 0, 0, 255));
    settings.mode = section.text("mode", settings.mode);
    if (auto result = check_mode(settings.mode); !result) section.refuse("mode", result.error().text);
    settings.goal = section.text("goal", settings.goal);
    if (auto result = check_goal(settings.goal); !result) section.refuse("goal", result.error().text);
    settings.fixed_parity = section.parsed<std::optional<unsigned>>("fec", std::nullopt, parse_fec);

    section.each<WeekWindow>("windows", link.calendar.windows, parse_week_window);
    section.each<TimeSpan>("maintenance", link.calendar.maintenance, parse_maintenance);
    section.each<TimeSpan>("blackouts", link.calendar.blackouts, parse_blackout);

    std::vector<std::string> sites;
    for (const SiteConfig& site : config.sites)
        sites.push_back(site.name);
    if (!link.site.empty() && std::find(sites.begin(), sites.end(), link.site) == sites.end())
        section.refuse("site", in_quotes(link.site) +
                                   " is not another site's [[site]] name: " + suggestion(link.site, sites));
    for (const LinkConfig& other : config.links) {
        if (other.settings.link == settings.link)
            section.refuse("id", std::to_string(settings.link) +
                                     " is used by two links: give each its own, the same at both ends");
        if (other.settings.name == settings.name)
            section.refuse("name", in_quotes(settings.name) + " is used by two links: name each once");
    }
    section.refuse_unknown();
    config.links.push_back(std::move(link));
}

// The tables of [[title]], or a refusal when it was written as [title].
std::vector<const toml::table*> tables(const toml::table& root, const std::string& title,
                                       const std::string& file, Refusals& refusals) {
    std::vector<const toml::table*> out;
    const toml::node* node = root.get(title);
    if (!node) return out;
    const toml::array* array = node->as_array();
    if (!array || !array->is_array_of_tables()) {
        refusals.add(file + ":" + std::to_string(node->source().begin.line),
                     "[" + title + "] must be written [[" + title + "]]: there may be several");
        return out;
    }
    for (const toml::node& item : *array)
        out.push_back(item.as_table());
    return out;
}

const toml::table* table(const toml::table& root, const std::string& title, const std::string& file,
                         Refusals& refusals) {
    const toml::node* node = root.get(title);
    if (!node) return nullptr;
    if (!node->is_table())
        refusals.add(file + ":" + std::to_string(node->source().begin.line),
                     "\"" + title + "\" must be the table [" + title + "]");
    return node->as_table();
}

void refuse_unknown_tables(const toml::table& root, const std::string& file, Refusals& refusals) {
    static const std::vector<std::string> kKnown{"control", "pki", "site", "link", "webhook"};
    for (const auto& [key, node] : root) {
        if (std::find(kKnown.begin(), kKnown.end(), key.str()) != kKnown.end()) continue;
        refusals.add(file + ":" + std::to_string(key.source().begin.line),
                     "unknown table or key " + in_quotes(key.str()) + ": " + suggestion(key.str(), kKnown));
    }
}

}  // namespace

Result<ControlConfig> parse_config(std::string_view text, const std::string& file,
                                   const Overrides& overrides) {
    toml::table root;
    try {
        root = toml::parse(text, file);
    } catch (const toml::parse_error& error) {
        return Error{ErrorCode::invalid_argument,
                     file + ":" + std::to_string(error.source().begin.line) +
                         ": not valid TOML: " + std::string(error.description())};
    }
    apply(overrides, root);

    Refusals refusals;
    ControlConfig config;
    refuse_unknown_tables(root, file, refusals);
    read_control(Section(table(root, "control", file, refusals), file, "[control]", refusals), config);
    for (const toml::table* site : tables(root, "site", file, refusals))
        read_site(Section(site, file, "[[site]]", refusals), config);
    for (const toml::table* link : tables(root, "link", file, refusals))
        read_link(Section(link, file, "[[link]]", refusals), config);
    if (const toml::table* webhook = table(root, "webhook", file, refusals))
        read_webhook(Section(webhook, file, "[webhook]", refusals), config.webhook);
    if (const toml::table* pki = table(root, "pki", file, refusals))
        read_pki(Section(pki, file, "[pki]", refusals), config.pki);
    else if (!config.sites.empty())
        refusals.add(
            file,
            "there are [[site]] tables but no [pki]: add ca, certificate and key (longhaul pki makes them)");
    if (refusals.any()) return refusals.error();
    return config;
}

Result<ControlConfig> load_config(const std::string& file, const Overrides& overrides) {
    std::ifstream in(file, std::ios::binary);
    if (!in)
        return Error{ErrorCode::not_found,
                     file + ": " + std::strerror(errno) + ": name a readable file with --config"};
    std::ostringstream text;
    text << in.rdbuf();
    if (text.str().size() > kConfigBytesMax)
        return Error{ErrorCode::exhausted, file + ": is larger than 1 MiB: not a configuration"};
    return parse_config(text.str(), file, overrides);
}

}  // namespace longhaul::control
