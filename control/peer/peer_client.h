// Asks the control process of one other site; every call is bounded in time and stands alone.
// Threads: any; only the reachability is shared.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "control/config/config.h"
#include "control/core.h"
#include "control/peer/messages.h"

namespace httplib {
class SSLClient;
class Result;
}  // namespace httplib

namespace longhaul::control {

struct Reachability {
    bool reachable = false;
    std::optional<WallNs> last_seen;
    std::string reason;  // empty when reachable
};

class PeerClient {
  public:
    static constexpr int kConnectTimeoutS = 2, kAnswerTimeoutS = 5;

    PeerClient(PkiConfig pki, SiteConfig site);

    const SiteConfig& site() const { return site_; }
    Reachability reachability() const;

    // Whoever wants to hear what the peer says of clocks and replicas; `clock` is read around the exchange. Set
    // before the first call.
    using Hear = std::function<void(const std::string& site, const PeerReport& report)>;
    void observe(std::function<WallNs()> clock, Hear hear) {
        clock_ = std::move(clock);
        hear_ = std::move(hear);
    }

    Result<PeerStatus> status();
    Result<command::LinkOffer> start_session(std::uint8_t link, const SessionRequest& request);
    Result<TargetAccepted> accept_dataset(const DatasetSpec& spec);
    Result<void> release_dataset(const std::string& name, std::uint64_t store);

  private:
    // The body's JSON object on a status of 2xx (null for 204), otherwise an error that names the site.
    Result<nlohmann::json> call(const std::function<httplib::Result(httplib::SSLClient&)>& send);

    const PkiConfig pki_;
    const SiteConfig site_;
    const Url url_;
    std::function<WallNs()> clock_;
    Hear hear_;
    mutable std::mutex mutex_;
    Reachability reachability_;
};

}  // namespace longhaul::control
