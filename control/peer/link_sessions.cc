// Both halves of establishing a link session.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/link_sessions.h"

#include <openssl/rand.h>

#include <algorithm>

namespace longhaul::control {

LinkSessions::LinkSessions(std::string own_site, LinkBook& book, DataplaneClient& dataplane)
    : own_site_(std::move(own_site)), book_(book), dataplane_(dataplane) {
    for (const command::LinkSettings& link : book_.settings())
        busy_[link.link];
}

PeerStatus LinkSessions::status_for(const std::string& peer_site) {
    PeerStatus out;
    out.site = own_site_;
    if (const auto status = dataplane_.status()) {
        for (const command::LinkStatus& link : status.value().links)
            book_.set_status(link);
        out.boot_id = dataplane_.hello().boot_id;
    } else {
        out.dataplane_reason = status.error().text;
    }
    for (const LinkView& link : book_.views())
        if (link.site == peer_site)
            out.links.push_back({link.settings, link.known ? link.status.session : "", link.state});
    return out;
}

Result<void> LinkSessions::start(std::uint8_t link, bool initiator, const SessionRequest& request,
                                 const command::LinkOffer& own, const command::LinkOffer& theirs) {
    command::LinkStart start;
    start.link = link;
    start.session = request.session;
    start.initiator = initiator;
    start.secret = request.secret;
    start.own_nonce = own.nonce;
    start.peer = theirs;
    start.symbol_bytes = std::min(own.symbol_bytes, theirs.symbol_bytes);
    start.lanes = static_cast<unsigned>(std::min(own.spis.size(), theirs.spis.size()));
    const auto result =
        start.lanes == 0 || start.symbol_bytes == 0
            ? Result<void>(Error{ErrorCode::protocol_error, "an offer has no lane or no symbol size"})
            : dataplane_.link_start(start);
    OPENSSL_cleanse(start.secret.data(), start.secret.size());
    return result;
}

Result<void> LinkSessions::establish(std::uint8_t link, PeerClient& peer) {
    const std::lock_guard busy(busy_.at(link));
    const auto view = book_.view(link);
    LH_ASSERT(view.has_value());
    const auto own = dataplane_.link_prepare(link);
    if (!own) return Error{own.error().code, "the dataplane cannot prepare a session: " + own.error().text};

    SessionRequest request;
    std::array<std::uint8_t, 16> session{};
    if (RAND_bytes(request.secret.data(), static_cast<int>(request.secret.size())) != 1 ||
        RAND_bytes(session.data(), static_cast<int>(session.size())) != 1)
        return Error{ErrorCode::internal, "the system has no random numbers"};
    request.session = command::hex(session);
    request.offer = own.value();
    request.settings = view->settings;
    const auto theirs = peer.start_session(link, request);
    if (!theirs) return theirs.error();
    auto started = start(link, true, request, own.value(), theirs.value());
    if (!started)
        return Error{started.error().code, "the dataplane cannot start the session: " + started.error().text};
    book_.count_session(link);
    return {};
}

Result<command::LinkOffer> LinkSessions::respond(const std::string& peer_site, std::uint8_t link,
                                                 const SessionRequest& request) {
    const auto view = book_.view(link);
    if (!view || view->site != peer_site)
        return Error{ErrorCode::not_found, own_site_ + " has no link " + std::to_string(link) + " toward " +
                                               peer_site +
                                               ": add a [[link]] with this id and site to its control.toml"};
    if (view->initiator)
        return Error{ErrorCode::invalid_argument,
                     "sessions between " + own_site_ + " and " + peer_site + " are begun by " + own_site_ +
                         ", whose name sorts first: are both sites of the same version?"};
    const std::string mismatch = settings_mismatch(view->settings, request.settings, peer_site);
    book_.set_mismatch(link, mismatch);
    if (!mismatch.empty())
        return Error{ErrorCode::invalid_argument, "as " + own_site_ + " sees it, " + mismatch};

    const std::lock_guard busy(busy_.at(link));
    auto own = dataplane_.link_prepare(link);
    if (!own) return Error{own.error().code, "its dataplane cannot prepare a session: " + own.error().text};
    if (auto started = start(link, false, request, own.value(), request.offer); !started)
        return Error{started.error().code, "its dataplane cannot start the session: " + started.error().text};
    return own;
}

}  // namespace longhaul::control
