// One look a second at both ends of a link.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/link_supervisor.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace longhaul::control {

LinkSupervisor::LinkSupervisor(std::uint8_t link, LinkBook& book, LinkSessions& sessions,
                               DataplaneClient& dataplane, PeerClient& peer, Timing timing)
    : link_(link), book_(book), sessions_(sessions), dataplane_(dataplane), peer_(peer), timing_(timing) {}

LinkSupervisor::~LinkSupervisor() {
    stop();
}

void LinkSupervisor::start() {
    thread_ = std::thread([this] { run(); });
}

void LinkSupervisor::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void LinkSupervisor::run() {
    seen_up_ = Clock::now();
    for (;;) {
        look();
        std::unique_lock lock(mutex_);
        if (wake_.wait_for(lock, timing_.poll, [this] { return stopping_; })) return;
    }
}

std::string LinkSupervisor::wanting(const std::string& own_boot, const command::LinkStatus& own,
                                    const PeerStatus& peer) {
    const PeerLink& theirs = *peer.find(link_);
    const auto now = Clock::now();
    if (own.state == command::LinkState::up && theirs.state == "up") seen_up_ = now;
    if (own.session.empty() || theirs.session.empty()) return "one end has no session";
    if (own.session != theirs.session) return "the ends have different sessions";
    if (own_boot_
            .empty()) {  // this control has just started and finds a session that both ends share: keep it
        own_boot_ = own_boot;
        peer_boot_ = peer.boot_id;
    }
    if (own_boot_ != own_boot) return "the dataplane here restarted";
    if (peer_boot_ != peer.boot_id) return "the dataplane at " + peer.site + " restarted";
    if (now - seen_up_ > timing_.down_patience && now - last_established_ > timing_.down_patience)
        return "the session has been silent for too long";
    return {};
}

void LinkSupervisor::look() {
    const auto view = book_.view(link_);
    LH_ASSERT(view.has_value());
    const auto trouble = [&](const std::string& text) {
        book_.set_trouble(link_, text);
        if (text != last_logged_ && !text.empty()) spdlog::warn("link {}: {}", view->name, text);
        last_logged_ = text;
    };
    const auto peer = peer_.status();  // asked in any case: it also tells whether the site is reachable
    if (!dataplane_.up()) return;      // the book already says why
    if (!peer) return trouble(peer.error().text);
    const PeerLink* theirs = peer.value().find(link_);
    if (!theirs)
        return trouble("site " + view->site + " has no link " + std::to_string(link_) +
                       " toward this one: add a [[link]] with this id to its control.toml");
    const std::string mismatch = settings_mismatch(view->settings, theirs->settings, view->site);
    book_.set_mismatch(link_, mismatch);
    if (!mismatch.empty()) return trouble(mismatch);
    if (peer.value().boot_id.empty())
        return trouble("the dataplane at " + view->site + " is down: " + peer.value().dataplane_reason);
    if (!view->initiator) return trouble("");

    const auto status = dataplane_.status();
    if (!status) return trouble(status.error().text);
    const std::string own_boot = status.value().boot_id;
    const auto& links = status.value().links;
    const auto own =
        std::find_if(links.begin(), links.end(), [&](const auto& link) { return link.link == link_; });
    const std::string why =
        wanting(own_boot, own == links.end() ? command::LinkStatus{} : *own, peer.value());
    if (why.empty()) return trouble("");

    spdlog::info("link {}: new session, as {}", view->name, why);
    if (auto result = sessions_.establish(link_, peer_); !result) return trouble(result.error().text);
    own_boot_ = own_boot;
    peer_boot_ = peer.value().boot_id;
    last_established_ = seen_up_ = Clock::now();
    trouble("");
}

}  // namespace longhaul::control
