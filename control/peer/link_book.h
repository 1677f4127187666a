// What this node knows of its links: settings (changeable while running), the dataplane's last word, and
// every reason why one is not up. Owned by the node; any thread may ask, each call is one short critical
// section.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/schedule/link_yield.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

struct LinkView {
    std::string name, site;
    command::LinkSettings settings;
    Calendar calendar;
    double payload_share = 0;    // of what it carries, as measured
    command::LinkStatus status;  // of the last connection to the dataplane; zeros when `known` is false
    bool known = false;          // the dataplane is connected and has spoken of this link
    std::string state;           // the dataplane's word, or "unknown"
    std::string reason;          // empty when up
    bool initiator = false;      // this site establishes the sessions
    std::uint64_t sessions_established = 0;  // by this process, as initiator
    bool up() const { return known && status.state == command::LinkState::up; }
};

struct LinkChange {
    std::optional<std::uint64_t> rate_bps;
    std::optional<double> share;      // of the rate
    std::optional<std::string> mode;  // of our sending direction
    std::optional<std::string> goal;
    std::optional<std::optional<unsigned>> fixed_parity;  // inner nullopt: adaptive
    std::optional<std::vector<WeekWindow>> windows;
    std::optional<std::vector<TimeSpan>> maintenance, blackouts;
    bool of_calendar() const { return windows || maintenance || blackouts; }
    bool of_settings() const { return rate_bps || share || mode || goal || fixed_parity; }
};

class LinkBook {
  public:
    LinkBook(std::string own_site, std::vector<LinkConfig> links);

    std::vector<command::LinkSettings> settings() const;
    std::vector<LinkView> views() const;
    std::optional<LinkView> view(const std::string& name) const;
    std::optional<LinkView> view(std::uint8_t link) const;

    // The new settings, to be given to the dataplane; they last until this process ends.
    Result<command::LinkSettings> change(const std::string& name, const LinkChange& change);

    void dataplane_up();  // forgets what the one before refused
    void dataplane_down(const std::string& reason);
    void set_status(const command::LinkStatus& status);
    void set_refused(std::uint8_t link, const std::string& text);  // the dataplane did not take the settings
    void set_mismatch(std::uint8_t link,
                      const std::string& text);  // the two ends' settings contradict each other
    void set_trouble(std::uint8_t link,
                     const std::string& text);  // why no session could be established; empty: none
    void count_session(std::uint8_t link);

  private:
    struct Entry {
        LinkConfig config;
        std::optional<command::LinkStatus> status;
        LinkYield yield;
        std::string refused, mismatch, trouble;
        std::uint64_t sessions_established = 0;
    };
    LinkView view_of(const Entry& entry) const;  // under mutex_

    const std::string own_site_;
    mutable std::mutex mutex_;
    std::map<std::uint8_t, Entry> entries_;
    std::string dataplane_down_ = "the dataplane is not connected yet";
};

// Empty, or what contradicts between our settings of a link and the far end's, with the remedy.
std::string settings_mismatch(const command::LinkSettings& ours, const command::LinkSettings& theirs,
                              const std::string& peer_site);

}  // namespace longhaul::control
