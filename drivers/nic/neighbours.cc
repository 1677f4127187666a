// Who lives where on the port's segment, and the answers that a good host owes: the table behind Neighbours.
//
//   (asked for) ──request──▶ incomplete ──answer──▶ known ──30 s──▶ known, being confirmed ──3 silent
//   requests──▶ incomplete
//                                ▲                   ▲                       │
//                                └── asked again     └──────── answer ───────┘
//
// A known address is usable all the time it is being confirmed: traffic never waits for a timer. Nobody
// enters the table by speaking, only by being asked for, so that strangers cannot fill it.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "drivers/nic/neighbour_frames.h"
#include "drivers/nic/nic.h"

namespace longhaul::nic {
namespace {

constexpr TimeNs kConfirmAfter = 30 * kSecond;  // REACHABLE_TIME of RFC 4861
constexpr TimeNs kRequestEvery = kSecond;       // RETRANS_TIMER
constexpr unsigned kConfirmTries = 3;           // MAX_UNICAST_SOLICIT
constexpr TimeNs kForgetAfter = 120 * kSecond;  // nobody asked for it
constexpr TimeNs kWantedFor = 3 * kSecond;      // an unanswered address is asked for while somebody wants it
constexpr unsigned kAnnouncements = 3;          // at start and after the link came back
constexpr TimeNs kAnnounceEvery = kSecond;
constexpr TimeNs kDefendEvery = 10 * kSecond;  // DEFEND_INTERVAL of RFC 5227
constexpr std::size_t kEntriesMax = 1024;
constexpr double kRepliesPerSecond = 1000, kReplyBurst = 100;

bool same_prefix(const wire::IpAddress& a, const wire::IpAddress& b, unsigned length) noexcept {
    if (a.v6 != b.v6) return false;
    for (unsigned bit = 0; bit < length; ++bit) {
        const auto mask = static_cast<std::uint8_t>(0x80 >> bit % 8);
        if ((a.bytes[bit / 8] & mask) != (b.bytes[bit / 8] & mask)) return false;
    }
    return true;
}

bool is_link_local(const wire::IpAddress& address) noexcept {
    return address.v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

struct Entry {
    wire::MacAddress mac{};
    bool known = false;
    TimeNs confirmed_at = 0;
    TimeNs wanted_at = 0;
    TimeNs request_at = 0;  // when the next request is due, while one is due at all
    unsigned silent = 0;    // requests since the last answer
};

struct Announcement {
    TimeNs due = 0;
    unsigned left = 0;
    TimeNs defended_at = 0;
    bool defended = false;
};

class ReplyBudget {
  public:
    bool take(TimeNs now) noexcept {
        tokens_ =
            std::min(kReplyBurst, tokens_ + static_cast<double>(now - at_) * kRepliesPerSecond / kSecond);
        at_ = now;
        if (tokens_ < 1) return false;
        tokens_ -= 1;
        return true;
    }

  private:
    double tokens_ = kReplyBurst;
    TimeNs at_ = 0;
};

}  // namespace

struct Neighbours::State {
    wire::MacAddress mac{};
    std::vector<IpPrefix> own;
    wire::IpAddress gateway_v4, gateway_v6;
    std::uint16_t vlan = 0;
    std::map<wire::IpAddress, Entry> entries;
    std::vector<Announcement> announcements;  // one for each of `own`
    ReplyBudget budget;
    Counters counters{};

    const IpPrefix* own_address(const wire::IpAddress& address) const {
        for (const IpPrefix& prefix : own)
            if (prefix.address == address) return &prefix;
        return nullptr;
    }
    // The own address that shares the target's segment; null: off-link.
    const IpPrefix* on_link(const wire::IpAddress& target) const {
        for (const IpPrefix& prefix : own)
            if (same_prefix(prefix.address, target, prefix.length)) return &prefix;
        return is_link_local(target) ? first_of(true) : nullptr;
    }
    const IpPrefix* first_of(bool v6) const {
        for (const IpPrefix& prefix : own)
            if (prefix.address.v6 == v6) return &prefix;
        return nullptr;
    }
    // The address whose MAC carries frames for `target`; nullopt: no way.
    std::optional<wire::IpAddress> next_hop(const wire::IpAddress& target) const {
        if (is_multicast(target) || is_unspecified(target) || own_address(target) != nullptr)
            return std::nullopt;
        if (on_link(target) != nullptr) return target;
        const wire::IpAddress& gateway = target.v6 ? gateway_v6 : gateway_v4;
        if (is_unspecified(gateway)) return std::nullopt;
        return gateway;
    }

    Entry* make_entry(const wire::IpAddress& hop, TimeNs now);
    bool request_due(const Entry& entry, TimeNs now) const;
    TimeNs request_time(const Entry& entry) const;
    void learn(const wire::IpAddress& address, const wire::MacAddress& from, bool may_replace, TimeNs now);
    void conflict(const wire::IpAddress& address, TimeNs now);
    std::size_t answer(const Heard& heard, TimeNs now, MutableByteView reply);
    std::size_t answer_arp(const Heard& heard, TimeNs now, MutableByteView reply);
    std::size_t answer_solicit(const Heard& heard, TimeNs now, MutableByteView reply);
    std::size_t answer_echo(const Heard& heard, TimeNs now, MutableByteView reply);
    std::size_t write_announcement(const wire::IpAddress& address, MutableByteView frame);
    std::size_t write_request(const wire::IpAddress& target, const Entry& entry, MutableByteView frame);
};

// A full table gives up the entry that nobody has wanted for the longest time.
Entry* Neighbours::State::make_entry(const wire::IpAddress& hop, TimeNs now) {
    if (entries.size() >= kEntriesMax) {
        const auto oldest = std::min_element(
            entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.second.wanted_at < b.second.wanted_at; });
        entries.erase(oldest);
    }
    Entry& entry = entries[hop];
    entry.request_at = now;
    return &entry;
}

TimeNs Neighbours::State::request_time(const Entry& entry) const {
    if (!entry.known) return entry.request_at > entry.wanted_at + kWantedFor ? kNever : entry.request_at;
    if (entry.wanted_at + kForgetAfter < entry.request_at) return kNever;
    return std::max(entry.request_at, entry.confirmed_at + kConfirmAfter);
}

bool Neighbours::State::request_due(const Entry& entry, TimeNs now) const {
    const TimeNs at = request_time(entry);
    return at <= now;
}

void Neighbours::State::learn(const wire::IpAddress& address, const wire::MacAddress& from, bool may_replace,
                              TimeNs now) {
    const auto found = entries.find(address);
    if (found == entries.end()) return;
    Entry& entry = found->second;
    if (entry.known && entry.mac != from && !may_replace) return;
    entry.mac = from;
    entry.known = true;
    entry.confirmed_at = now;
    entry.silent = 0;
}

// Somebody else speaks for an own address: counted, and answered with one announcement every ten seconds.
void Neighbours::State::conflict(const wire::IpAddress& address, TimeNs now) {
    ++counters.conflicts;
    for (std::size_t i = 0; i < own.size(); ++i) {
        Announcement& announcement = announcements[i];
        if (own[i].address != address ||
            (announcement.defended && now - announcement.defended_at < kDefendEvery))
            continue;
        announcement.defended = true;
        announcement.defended_at = now;
        announcement.left = std::max(announcement.left, 1u);
        announcement.due = now;
    }
}

std::size_t Neighbours::State::answer_arp(const Heard& heard, TimeNs now, MutableByteView reply) {
    if (own_address(heard.sender) != nullptr) {
        if (heard.mac != mac) conflict(heard.sender, now);
        return 0;
    }
    learn(heard.sender, heard.mac, true, now);
    if (heard.kind != Kind::arp_request || own_address(heard.target) == nullptr) return 0;
    // An address probe (RFC 5227, sender 0.0.0.0) for an own address: the answer defends it.
    if (is_unspecified(heard.sender)) ++counters.conflicts;
    if (!budget.take(now)) {
        ++counters.limited;
        return 0;
    }
    ++counters.arp_replies;
    return write_arp({mac, heard.mac, vlan}, true, heard.target, heard.mac, heard.sender, reply);
}

std::size_t Neighbours::State::answer_solicit(const Heard& heard, TimeNs now, MutableByteView reply) {
    if (own_address(heard.target) == nullptr) return 0;
    const bool probe = is_unspecified(heard.sender);
    if (probe) ++counters.conflicts;  // somebody starts to use an own address; the answer defends it
    if (!probe && heard.has_mac) learn(heard.sender, heard.mac, true, now);
    if (!budget.take(now)) {
        ++counters.limited;
        return 0;
    }
    ++counters.nd_replies;
    const wire::IpAddress all_nodes{true, {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    if (probe)
        return write_advertise({mac, multicast_mac(all_nodes), vlan}, heard.target, all_nodes, false, reply);
    const wire::MacAddress& to = heard.has_mac ? heard.mac : heard.ethernet_source;
    return write_advertise({mac, to, vlan}, heard.target, heard.sender, true, reply);
}

std::size_t Neighbours::State::answer_echo(const Heard& heard, TimeNs now, MutableByteView reply) {
    if (own_address(heard.target) == nullptr || is_unspecified(heard.sender) || is_multicast(heard.sender) ||
        heard.ethernet_target != mac)
        return 0;
    if (!budget.take(now)) {
        ++counters.limited;
        return 0;
    }
    ++counters.echo_replies;
    return write_echo_reply({mac, heard.ethernet_source, vlan}, heard, reply);
}

std::size_t Neighbours::State::answer(const Heard& heard, TimeNs now, MutableByteView reply) {
    switch (heard.kind) {
        case Kind::arp_request:
        case Kind::arp_reply:
            return answer_arp(heard, now, reply);
        case Kind::nd_solicit:
            return answer_solicit(heard, now, reply);
        case Kind::nd_advertise:
            if (own_address(heard.target) != nullptr) {
                if (heard.has_mac && heard.mac != mac) conflict(heard.target, now);
            } else if (heard.has_mac) {
                learn(heard.target, heard.mac, heard.override_flag, now);
            }
            return 0;
        case Kind::echo_v4:
        case Kind::echo_v6:
            return answer_echo(heard, now, reply);
        case Kind::other:
            ++counters.ignored;
            return 0;
    }
    return 0;
}

std::size_t Neighbours::State::write_announcement(const wire::IpAddress& address, MutableByteView frame) {
    if (!address.v6) return write_arp({mac, kBroadcastMac, vlan}, false, address, {}, address, frame);
    const wire::IpAddress all_nodes{true, {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return write_advertise({mac, multicast_mac(all_nodes), vlan}, address, all_nodes, false, frame);
}

std::size_t Neighbours::State::write_request(const wire::IpAddress& target, const Entry& entry,
                                             MutableByteView frame) {
    const IpPrefix* source = on_link(target);
    if (source == nullptr) source = first_of(target.v6);  // a gateway outside every own prefix
    if (source == nullptr) return 0;
    if (!target.v6) {
        ++counters.arp_requests;
        return write_arp({mac, entry.known ? entry.mac : kBroadcastMac, vlan}, false, source->address, {},
                         target, frame);
    }
    ++counters.nd_requests;
    if (entry.known) return write_solicit({mac, entry.mac, vlan}, source->address, target, target, frame);
    const wire::IpAddress group = solicited_node(target);
    return write_solicit({mac, multicast_mac(group), vlan}, source->address, group, target, frame);
}

Neighbours::Neighbours(const wire::MacAddress& own_mac, std::vector<IpPrefix> own, wire::IpAddress gateway_v4,
                       wire::IpAddress gateway_v6, std::uint16_t vlan)
    : state_(std::make_unique<State>()) {
    state_->mac = own_mac;
    state_->own = std::move(own);
    gateway_v4.v6 = false;
    gateway_v6.v6 = true;
    state_->gateway_v4 = gateway_v4;
    state_->gateway_v6 = gateway_v6;
    state_->vlan = vlan;
    state_->announcements.assign(state_->own.size(), Announcement{0, kAnnouncements, 0, false});
}
Neighbours::~Neighbours() = default;
Neighbours::Neighbours(Neighbours&&) noexcept = default;
Neighbours& Neighbours::operator=(Neighbours&&) noexcept = default;

std::optional<wire::MacAddress> Neighbours::resolve(const wire::IpAddress& target, TimeNs now) {
    const auto hop = state_->next_hop(target);
    if (!hop) return std::nullopt;
    const auto found = state_->entries.find(*hop);
    Entry* entry = found != state_->entries.end() ? &found->second : state_->make_entry(*hop, now);
    entry->wanted_at = now;
    entry->request_at = std::min(entry->request_at, now + kRequestEvery);
    if (!entry->known) return std::nullopt;
    return entry->mac;
}

std::size_t Neighbours::handle(ByteView frame, TimeNs now, MutableByteView reply) {
    return state_->answer(hear(frame, state_->vlan), now, reply);
}

std::size_t Neighbours::next_request(TimeNs now, MutableByteView frame) {
    State& state = *state_;
    for (std::size_t i = 0; i < state.own.size(); ++i) {
        Announcement& announcement = state.announcements[i];
        if (announcement.left == 0 || announcement.due > now) continue;
        --announcement.left;
        announcement.due = now + kAnnounceEvery;
        return state.write_announcement(state.own[i].address, frame);
    }
    for (auto next = state.entries.begin(); next != state.entries.end();) {
        const auto at = next++;
        Entry& entry = at->second;
        if (now > entry.wanted_at + kForgetAfter) {
            state.entries.erase(at);
            continue;
        }
        if (!state.request_due(entry, now)) continue;
        if (entry.known && entry.silent >= kConfirmTries) {
            entry.known = false;  // gone: ask everybody from now on
            entry.silent = 0;
        }
        entry.request_at = now + kRequestEvery;
        ++entry.silent;
        if (const std::size_t bytes = state.write_request(at->first, entry, frame); bytes != 0) return bytes;
    }
    return 0;
}

TimeNs Neighbours::next_wake() const {
    TimeNs wake = kNever;
    for (const Announcement& announcement : state_->announcements)
        if (announcement.left != 0) wake = std::min(wake, announcement.due);
    for (const auto& [ip, entry] : state_->entries)
        wake = std::min(wake, state_->request_time(entry));
    return wake;
}

void Neighbours::announce(TimeNs now) {
    for (Announcement& announcement : state_->announcements) {
        announcement.left = kAnnouncements;
        announcement.due = now;
    }
    for (auto& [ip, entry] : state_->entries) {
        entry.confirmed_at = now > kConfirmAfter ? now - kConfirmAfter : 0;
        entry.request_at = now;
        entry.silent = 0;
    }
}

const Neighbours::Counters& Neighbours::counters() const {
    return state_->counters;
}

std::vector<Neighbours::Known> Neighbours::known(TimeNs now) const {
    std::vector<Known> list;
    for (const auto& [ip, entry] : state_->entries)
        if (entry.known) list.push_back({ip, entry.mac, now - entry.confirmed_at});
    return list;
}

}  // namespace longhaul::nic
