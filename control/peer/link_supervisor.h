// Keeps one link's session alive by looking, not by remembering: each second it compares what both ends say
// now, and where they do not agree on one living session it establishes another. At the responder it only
// looks, so that the operator there reads the same reasons.
//
//   a session is established when   either dataplane restarted | the ends' session ids differ or one has none
//   |
//                                   it has not been up at both ends for `down_patience` (then at most one
//                                   each so often)
//
// Threads: one of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "control/peer/link_sessions.h"

namespace longhaul::control {

class LinkSupervisor {
  public:
    struct Timing {
        std::chrono::milliseconds poll{1000};
        std::chrono::milliseconds down_patience{5000};
    };
    // All references must outlive the supervisor.
    LinkSupervisor(std::uint8_t link, LinkBook& book, LinkSessions& sessions, DataplaneClient& dataplane,
                   PeerClient& peer, Timing timing);
    ~LinkSupervisor();

    void start();
    void stop();

  private:
    using Clock = std::chrono::steady_clock;

    void run();
    void look();
    // Empty, or why the two ends need a new session.
    std::string wanting(const std::string& own_boot, const command::LinkStatus& own, const PeerStatus& peer);

    const std::uint8_t link_;
    LinkBook& book_;
    LinkSessions& sessions_;
    DataplaneClient& dataplane_;
    PeerClient& peer_;
    const Timing timing_;

    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;

    std::string own_boot_, peer_boot_;  // at the last established or found session; the thread's from here on
    Clock::time_point seen_up_{}, last_established_{};
    std::string last_logged_;
};

}  // namespace longhaul::control
