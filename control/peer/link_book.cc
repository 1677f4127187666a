// Links: settings, status and the most telling reason.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/link_book.h"

#include <arpa/inet.h>

#include <array>

namespace longhaul::control {
namespace {

// One spelling for each address, as IPv6 has many.
std::string canonical_ip(const std::string& text) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    std::array<char, INET6_ADDRSTRLEN> out{};
    const int family = ip_family(text) == IpFamily::v6 ? AF_INET6 : AF_INET;
    if (inet_pton(family, text.c_str(), address.data()) != 1) return text;
    return inet_ntop(family, address.data(), out.data(), out.size()) ? out.data() : text;
}

// Bundle bytes sent for the first time, heads included: all packets but parity and repairs.
std::uint64_t first_sent_bytes(const command::LinkStatus& status) {
    const std::uint64_t again = status.tx_parity_packets + status.tx_repair_packets;
    return status.tx_packets > again ? (status.tx_packets - again) * status.symbol_bytes : 0;
}

}  // namespace

LinkBook::LinkBook(std::string own_site, std::vector<LinkConfig> links) : own_site_(std::move(own_site)) {
    for (LinkConfig& link : links) {
        const std::uint8_t id = link.settings.link;
        entries_[id].config = std::move(link);
    }
}

LinkView LinkBook::view_of(const Entry& entry) const {
    LinkView view;
    view.name = entry.config.settings.name;
    view.site = entry.config.site;
    view.settings = entry.config.settings;
    view.calendar = entry.config.calendar;
    view.payload_share = entry.yield.share();
    view.initiator = own_site_ < entry.config.site;
    view.sessions_established = entry.sessions_established;
    view.known = dataplane_down_.empty() && entry.status.has_value();
    if (entry.status) view.status = *entry.status;
    view.state = view.known ? command::to_string(view.status.state) : "unknown";
    if (!entry.mismatch.empty())
        view.reason = entry.mismatch;
    else if (view.up())
        view.reason = view.status.reason;
    else if (!dataplane_down_.empty())
        view.reason = dataplane_down_;
    else if (!entry.refused.empty())
        view.reason = "the dataplane refused this link: " + entry.refused;
    else if (!entry.trouble.empty())
        view.reason = entry.trouble;
    else
        view.reason = view.status.reason.empty() ? "no session yet" : view.status.reason;
    return view;
}

std::vector<command::LinkSettings> LinkBook::settings() const {
    const std::lock_guard lock(mutex_);
    std::vector<command::LinkSettings> out;
    for (const auto& [id, entry] : entries_)
        out.push_back(entry.config.settings);
    return out;
}

std::vector<LinkView> LinkBook::views() const {
    const std::lock_guard lock(mutex_);
    std::vector<LinkView> out;
    for (const auto& [id, entry] : entries_)
        out.push_back(view_of(entry));
    return out;
}

std::optional<LinkView> LinkBook::view(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, entry] : entries_)
        if (entry.config.settings.name == name) return view_of(entry);
    return std::nullopt;
}

std::optional<LinkView> LinkBook::view(std::uint8_t link) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(link);
    if (found == entries_.end()) return std::nullopt;
    return view_of(found->second);
}

Result<command::LinkSettings> LinkBook::change(const std::string& name, const LinkChange& change) {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> known;
    for (auto& [id, entry] : entries_) {
        command::LinkSettings& settings = entry.config.settings;
        known.push_back(settings.name);
        if (settings.name != name) continue;
        if (change.rate_bps) settings.rate_bps = *change.rate_bps;
        if (change.share) settings.share = *change.share;
        if (change.mode) settings.mode = *change.mode;
        if (change.goal) settings.goal = *change.goal;
        if (change.fixed_parity) settings.fixed_parity = *change.fixed_parity;
        Calendar& calendar = entry.config.calendar;
        if (change.windows) calendar.windows = *change.windows;
        if (change.maintenance) calendar.maintenance = *change.maintenance;
        if (change.blackouts) calendar.blackouts = *change.blackouts;
        return settings;
    }
    return Error{ErrorCode::not_found,
                 "there is no link " + in_quotes(name) + ": " + suggestion(name, known)};
}

void LinkBook::dataplane_up() {
    const std::lock_guard lock(mutex_);
    dataplane_down_.clear();
}

void LinkBook::dataplane_down(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    dataplane_down_ = "the dataplane is down: " + reason;
    for (auto& [id, entry] : entries_) {
        entry.status.reset();
        entry.refused.clear();
    }
}

void LinkBook::set_status(const command::LinkStatus& status) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(status.link);
    if (found == entries_.end()) return;
    found->second.status = status;
    found->second.yield.add(status.tx_wire_bytes, first_sent_bytes(status));
}

void LinkBook::set_refused(std::uint8_t link, const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(link); found != entries_.end()) found->second.refused = text;
}

void LinkBook::set_mismatch(std::uint8_t link, const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(link); found != entries_.end()) found->second.mismatch = text;
}

void LinkBook::set_trouble(std::uint8_t link, const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(link); found != entries_.end()) found->second.trouble = text;
}

void LinkBook::count_session(std::uint8_t link) {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(link); found != entries_.end()) ++found->second.sessions_established;
}

std::string settings_mismatch(const command::LinkSettings& ours, const command::LinkSettings& theirs,
                              const std::string& peer_site) {
    std::string out;
    const auto differ = [&](const std::string& what, const std::string& here, const std::string& there,
                            const std::string& remedy) {
        if (here == there) return;
        out += (out.empty() ? "" : "; ") + what + " is " + here + " here and " + there + " at " + peer_site +
               ": " + remedy;
    };
    const std::string same = "set the same in both control.toml";
    differ("lanes", std::to_string(ours.lanes), std::to_string(theirs.lanes), same);
    differ("udp_port_base", std::to_string(ours.udp_port_base), std::to_string(theirs.udp_port_base), same);
    differ("remote_ip", canonical_ip(ours.remote_ip), canonical_ip(theirs.local_ip),
           "it must be the far end's local_ip");
    differ("local_ip", canonical_ip(ours.local_ip), canonical_ip(theirs.remote_ip),
           "it must be the far end's remote_ip");
    return out;
}

}  // namespace longhaul::control
