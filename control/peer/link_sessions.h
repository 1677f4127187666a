// Establishing a link session, both halves. The initiator (the site whose name sorts first) prepares its
// dataplane, sends offer and a fresh secret to the peer, and starts; the responder prepares, starts and
// answers with its offer. The secret lives for this exchange only and is wiped; a half that fails leaves two
// different session ids, which the supervisor sees and repairs with another session.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "control/dataplane_client/dataplane_client.h"
#include "control/peer/link_book.h"
#include "control/peer/messages.h"
#include "control/peer/peer_client.h"

namespace longhaul::control {

class LinkSessions {
  public:
    LinkSessions(std::string own_site, LinkBook& book, DataplaneClient& dataplane);

    // What the peer may know: the links toward it, with the dataplane's present word on them.
    PeerStatus status_for(const std::string& peer_site);

    Result<void> establish(std::uint8_t link, PeerClient& peer);
    Result<command::LinkOffer> respond(const std::string& peer_site, std::uint8_t link,
                                       const SessionRequest& request);

  private:
    Result<void> start(std::uint8_t link, bool initiator, const SessionRequest& request,
                       const command::LinkOffer& own, const command::LinkOffer& theirs);

    const std::string own_site_;
    LinkBook& book_;
    DataplaneClient& dataplane_;
    std::map<std::uint8_t, std::mutex>
        busy_;  // one establishment a link at a time; the map itself never changes
};

}  // namespace longhaul::control
