// GET /v1/events: a list for those who ask, a stream of server-sent events for those who follow.
//
// A stream reads the bounded log by its own last id, so a slow client costs no queue: it is cut off by the write
// timeout, or told how many events it missed. Their number is bounded, as each holds a thread of the server.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>

#include "control/core.h"
#include "control/http/server.h"

namespace longhaul::control {

// How streams and the webhook follow the log: so many events at once, and so long a wait for the next one before they
// look whether they are to stop.
inline constexpr std::size_t kFollowBatch = 100;
inline constexpr std::chrono::milliseconds kFollowPatience{500};

class EventStreams {
  public:
    static constexpr std::size_t kClientsMax = 8;
    static constexpr std::size_t kListMax = 1000;

    explicit EventStreams(Core& core) : core_(core) {}
    Reply answer(const Call& call);
    void stop() { *stopping_ = true; }  // streams end within a second

  private:
    Reply list(std::uint64_t after) const;
    Reply follow(std::uint64_t after);

    Core& core_;
    std::shared_ptr<std::atomic<bool>> stopping_ = std::make_shared<std::atomic<bool>>(false);
    std::shared_ptr<std::atomic<std::size_t>> clients_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace longhaul::control
